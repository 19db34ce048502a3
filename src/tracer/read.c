/* Reading traces back. */
#include "tracer/tracer.h"

#include "base/limits.h"
#include "trace/check.h"
#include "trace/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct cf_reader {
	struct run_reader reader;
	struct buf text; /* the step or the run last handed out */
	int fd;
};

static bool is_journal(const char *path)
{
	static const char suffix[] = ".jsonl.part";
	size_t n = strlen(path), m = sizeof(suffix) - 1;

	return n > m && strcmp(path + n - m, suffix) == 0;
}

static int open_file(const char *path)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (!path)
		return fail(CF_INVALID, "path", "is NULL");
	return fd < 0 ? fail_errno(-errno, path) : fd;
}

cf_reader *cf_reader_open(const char *path)
{
	int fd = open_file(path);
	cf_reader *r = fd < 0 ? NULL : calloc(1, sizeof(*r));

	if (!r) {
		if (fd >= 0) {
			close(fd);
			fail(CF_MEMORY, "reader", "out of memory");
		}
		return NULL;
	}
	r->fd = fd;
	buf_init(&r->text, LIMIT_STEP);
	run_reader_init(&r->reader, fd, is_journal(path));
	return r;
}

int cf_reader_next(cf_reader *r, const char **json, size_t *len)
{
	struct run_item item;

	if (!r)
		return fail(CF_INVALID, "reader", "is NULL");
	int more = run_reader_next(&r->reader, &item);
	if (more == -EINVAL)
		return fail(CF_INVALID, r->reader.why.place, "%s", r->reader.why.message);
	if (more <= 0)
		return more ? fail_errno(more, "reader") : 0;
	buf_clear(&r->text);
	if (buf_add_span(&r->text, item.raw) || buf_add_char(&r->text, 0))
		return fail(CF_MEMORY, "reader", "out of memory");
	*json = r->text.p;
	if (len)
		*len = r->text.len - 1;
	return 1;
}

const char *cf_reader_run(cf_reader *r)
{
	if (!r)
		return NULL;
	buf_clear(&r->text);
	if (run_write_line(&r->reader.run, &r->text)) {
		fail(CF_MEMORY, "reader", "out of memory");
		return NULL;
	}
	r->text.p[r->text.len - 1] = 0;
	return r->text.p;
}

void cf_reader_close(cf_reader *r)
{
	if (!r)
		return;
	run_reader_fini(&r->reader);
	buf_fini(&r->text);
	close(r->fd);
	free(r);
}

static void keep_first(void *ctx, const struct problem *p, bool warning)
{
	bool *any = ctx;

	if (!warning && !*any)
		fail(CF_INVALID, p->place, "%s", p->message);
	*any |= !warning;
}

int cf_check(const char *path)
{
	bool any = false;
	struct check c = { .level = CHECK_AUTO, .on_problem = keep_first, .ctx = &any };
	int fd = open_file(path);

	if (fd < 0)
		return fd;
	c.journal = is_journal(path);
	int err = check_fd(fd, &c);
	close(fd);
	if (err)
		return fail_errno(err, path);
	return c.problems > INT_MAX ? INT_MAX : (int)c.problems;
}
