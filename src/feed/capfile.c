#include "feed/feed.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#define IO_ROOM (1 * MIB)
#define HEADER_MAX (64 * KIB)
#define RECORD_MAX (1 * MIB) /* the largest slice is 64 KiB; facts are smaller than that */

static const char magic[8] = { 'C', 'F', 'C', 'A', 'P', '\n', 0, 1 };

struct file_head {
	char magic[8];
	uint32_t version;
	uint32_t header_len; /* of the JSON behind, padded to 8 with blanks */
};

struct capfile {
	int fd;
	size_t from;
	struct buf io;
};

void feed_header(struct buf *out)
{
	static const struct {
		const char *name;
		unsigned int kind;
		size_t size;
	} kinds[] = {
		{ "open", CF_EV_OPEN, sizeof(struct cf_open) },	  { "data", CF_EV_DATA, sizeof(struct cf_data) },
		{ "close", CF_EV_CLOSE, sizeof(struct cf_close) }, { "bind", CF_EV_BIND, sizeof(struct cf_bind) },
		{ "fork", CF_EV_FORK, sizeof(struct cf_fork) },	  { "exec", CF_EV_EXEC, sizeof(struct cf_exec) },
		{ "exit", CF_EV_EXIT, sizeof(struct cf_exit) },	  { "file", CF_EV_FILE, sizeof(struct cf_file) },
		{ "blind", CF_EV_BLIND, sizeof(struct cf_blind) }, { "step", CF_EV_STEP, sizeof(struct cf_step) },
		{ "fact", CF_FACT_FIRST, sizeof(struct cf_fact) },
	};
	struct utsname u;

	uname(&u);
	buf_add_char(out, '{');
	json_put_member_text(out, "version", span_of(CF_VERSION));
	json_put_member_text(out, "machine", span_of(u.machine));
	json_put_key(out, "kinds");
	buf_add_char(out, '{');
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		json_put_key(out, kinds[i].name);
		buf_printf(out, "[%u,%zu]", kinds[i].kind, kinds[i].size);
	}
	buf_add_text(out, "}}");
}

static struct capfile *new_file(int fd)
{
	struct capfile *f = mem_alloc(sizeof(*f));

	f->fd = fd;
	buf_init(&f->io, IO_ROOM + 2 * RECORD_MAX);
	return f;
}

static int add_padded(struct buf *b, const void *p, size_t len, char pad)
{
	int err = buf_add(b, p, len);

	while (!err && b->len % 8)
		err = buf_add_char(b, pad);
	return err;
}

int capfile_create(int fd, struct span header_json, struct capfile **out)
{
	struct file_head h = { .version = 1, .header_len = (uint32_t)((header_json.len + 7) & ~7ul) };
	struct capfile *f;

	if (header_json.len > HEADER_MAX)
		return -E2BIG;
	memcpy(h.magic, magic, sizeof(magic));
	f = new_file(fd);
	buf_add(&f->io, &h, sizeof(h));
	add_padded(&f->io, header_json.p, header_json.len, ' ');
	*out = f;
	return 0;
}

int capfile_flush(struct capfile *f)
{
	size_t done = 0;

	while (done < f->io.len) {
		ssize_t n = write(f->fd, f->io.p + done, f->io.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	buf_clear(&f->io);
	return 0;
}

int capfile_write(struct capfile *f, const struct cf_event *e)
{
	int err = f->io.len >= IO_ROOM ? capfile_flush(f) : 0;

	return err ? err : add_padded(&f->io, e, e->size, 0);
}

/* At least `need` bytes from f->from on, if the file has them. */
static bool fill(struct capfile *f, size_t need)
{
	if (f->io.len - f->from >= need)
		return true;
	buf_shift(&f->io, f->from);
	f->from = 0;
	while (f->io.len < need) {
		char *to = buf_reserve(&f->io, IO_ROOM);
		ssize_t n = to ? read(f->fd, to, IO_ROOM) : -1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		f->io.len += (size_t)n;
	}
	return true;
}

int capfile_open(int fd, struct buf *header, struct capfile **out)
{
	struct capfile *f = new_file(fd);
	struct file_head h;

	if (!fill(f, sizeof(h)))
		goto bad;
	memcpy(&h, f->io.p, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 || h.header_len > HEADER_MAX || h.header_len % 8)
		goto bad;
	if (!fill(f, sizeof(h) + h.header_len) || buf_add(header, f->io.p + sizeof(h), h.header_len))
		goto bad;
	f->from = sizeof(h) + h.header_len;
	*out = f;
	return 0;
bad:
	capfile_close(f);
	return -EBADMSG;
}

const struct cf_event *capfile_next(struct capfile *f, int *err)
{
	struct cf_event h;

	*err = 0;
	if (!fill(f, sizeof(h))) {
		*err = f->io.len > f->from ? -EBADMSG : 0;
		return NULL;
	}
	memcpy(&h, f->io.p + f->from, sizeof(h));
	size_t need = ((size_t)h.size + 7) & ~(size_t)7;
	if (h.size < sizeof(h) || h.size > RECORD_MAX || !fill(f, need)) {
		*err = -EBADMSG;
		return NULL;
	}
	const struct cf_event *e = (const void *)(f->io.p + f->from);
	f->from += need;
	return e;
}

void capfile_close(struct capfile *f)
{
	if (!f)
		return;
	buf_fini(&f->io);
	free(f);
}
