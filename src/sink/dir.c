#include "sink/dir.h"

#include "base/mem.h"
#include "trace/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct dir_sink {
	int fd;
	uid_t uid;
	gid_t gid;
	struct dir_run *runs; /* open ones */
	struct dir_stats stats;
};

struct dir_run {
	struct dir_sink *sink;
	struct dir_run *next;
	struct run_writer writer;
	uint64_t counted_len;
	uint64_t counted_lost;
};

int dir_sink_open(const char *path, uid_t uid, gid_t gid, struct dir_sink **out)
{
	int fd = run_dir_open(path, uid, gid);

	if (fd < 0)
		return fd;
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS)) {
		int err = -errno;
		close(fd);
		return err;
	}
	struct dir_sink *s = mem_alloc(sizeof(*s));
	s->fd = fd;
	s->uid = uid;
	s->gid = gid;
	*out = s;
	return 0;
}

void dir_sink_close(struct dir_sink *s)
{
	if (!s)
		return;
	while (s->runs)
		dir_run_abandon(s->runs);
	close(s->fd);
	free(s);
}

const struct dir_stats *dir_sink_stats(const struct dir_sink *s)
{
	return &s->stats;
}

int dir_sink_begin(struct dir_sink *s, const struct run_info *run, struct dir_run **out)
{
	struct dir_run *r = mem_alloc(sizeof(*r));
	int err = run_writer_open(&r->writer, s->fd, s->uid, s->gid, run);

	if (err) {
		free(r);
		return err;
	}
	r->sink = s;
	r->next = s->runs;
	s->runs = r;
	s->stats.runs++;
	*out = r;
	return 0;
}

/* Brings the sink's counters up to date; the first failure of the sink is passed on, later ones are only counted. */
static int account(struct dir_run *r, int err)
{
	struct dir_stats *st = &r->sink->stats;

	st->bytes += r->writer.len - r->counted_len;
	st->lost += r->writer.n_lost - r->counted_lost;
	r->counted_len = r->writer.len;
	r->counted_lost = r->writer.n_lost;
	if (err == -EMSGSIZE)
		return err;
	if (!err || st->error)
		return 0;
	st->error = err;
	return err;
}

int dir_run_step(struct dir_run *r, const struct step *s)
{
	r->sink->stats.steps++;
	return account(r, run_writer_step(&r->writer, s));
}

int dir_run_info(struct dir_run *r, const struct run_info *run)
{
	return account(r, run_writer_info(&r->writer, run));
}

int dir_run_flush(struct dir_run *r)
{
	return account(r, run_writer_flush(&r->writer));
}

static void forget(struct dir_run *r)
{
	struct dir_run **at = &r->sink->runs;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	free(r);
}

int dir_run_end(struct dir_run *r, const struct run_info *final, char file[DIR_FILE_MAX])
{
	char name[RUN_FILE_MAX];

	account(r, run_writer_flush(&r->writer));
	int err = run_writer_end(&r->writer, final, name);
	if (!err && file)
		snprintf(file, DIR_FILE_MAX, "%s", name);
	if (err && !r->sink->stats.error)
		r->sink->stats.error = err;
	forget(r);
	return err;
}

void dir_run_abandon(struct dir_run *r)
{
	run_writer_abandon(&r->writer);
	forget(r);
}
