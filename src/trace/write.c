#include "trace/write.h"

#include "base/limits.h"
#include "base/map.h"
#include "trace/write_place.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int by_id(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;

	if (a->id_hash != b->id_hash)
		return a->id_hash < b->id_hash ? -1 : 1;
	return a->arrival < b->arrival ? -1 : a->arrival > b->arrival;
}

int run_file_name(struct span run_id, char out[RUN_NAME_MAX])
{
	if (!run_id.len || run_id.len > RUN_NAME_MAX - 32 || run_id.p[0] == '.')
		return -EINVAL;
	for (size_t i = 0; i < run_id.len; i++)
		if (!isalnum((unsigned char)run_id.p[i]) && !strchr("-_.:", run_id.p[i]))
			return -EINVAL;
	snprintf(out, RUN_NAME_MAX, "trace-%.*s", SPAN_FMT(run_id));
	return 0;
}

int run_writer_create(const struct run_writer *w, const char *name)
{
	int fd = openat(w->dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (w->uid != (uid_t)-1 && w->uid != geteuid() && fchown(fd, w->uid, w->gid)) {
		int err = -errno;
		unlinkat(w->dir, name, 0);
		close(fd);
		return err;
	}
	return fd;
}

int run_writer_write(int fd, const char *p, size_t len, size_t *done)
{
	*done = 0;
	while (*done < len) {
		ssize_t n = write(fd, p + *done, len - *done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		*done += (size_t)n;
	}
	return 0;
}

void run_writer_init(struct run_writer *w, int dir, uid_t uid, gid_t gid)
{
	*w = (struct run_writer){ .dir = dir, .fd = -1, .uid = uid, .gid = gid };
	buf_init(&w->batch, LIMIT_JOURNAL_BATCH + LIMIT_STEP);
	buf_init(&w->head, LIMIT_RUN_HEAD);
	sorter_init(&w->places, sizeof(struct place), by_id, dir);
}

void run_writer_fini(struct run_writer *w)
{
	buf_fini(&w->batch);
	buf_fini(&w->head);
	sorter_fini(&w->places);
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

void run_writer_abandon(struct run_writer *w)
{
	run_writer_flush(w);
	run_writer_fini(w);
}

int run_writer_open(struct run_writer *w, int dir, uid_t uid, gid_t gid, const struct run_info *run)
{
	char name[RUN_FILE_MAX];

	run_writer_init(w, dir, uid, gid);
	int err = run_file_name(run->run_id, w->name);
	if (err)
		return err;
	snprintf(name, sizeof(name), "%s" JOURNAL_SUFFIX, w->name);
	w->fd = run_writer_create(w, name);
	if (w->fd < 0)
		return w->fd;
	flock(w->fd, LOCK_EX | LOCK_NB);
	err = run_writer_info(w, run);
	if (!err)
		err = run_writer_flush(w);
	if (err) {
		run_writer_fini(w);
		unlinkat(dir, name, 0);
	}
	return err;
}

/* Lines that got through stay; half a line would spoil what is read later. */
static void cut_at_line(struct run_writer *w, size_t done)
{
	const char *last = memrchr(w->batch.p, '\n', done);
	size_t whole = last ? (size_t)(last + 1 - w->batch.p) : 0;

	w->len += whole;
	for (size_t i = whole; i < w->batch.len; i++)
		w->n_lost += w->batch.p[i] == '\n';
	if (done > whole && ftruncate(w->fd, (off_t)w->len))
		w->error = -errno;
}

int run_writer_flush(struct run_writer *w)
{
	size_t done;

	if (!w->batch.len || w->error)
		return w->error;
	int err = run_writer_write(w->fd, w->batch.p, w->batch.len, &done);
	if (!err) {
		w->len += done;
	} else {
		w->error = err;
		cut_at_line(w, done);
	}
	if (w->batch.cap > 2 * LIMIT_JOURNAL_BATCH)
		buf_fini(&w->batch);
	buf_clear(&w->batch);
	return err;
}

static int flush_full(struct run_writer *w)
{
	return w->batch.len >= LIMIT_JOURNAL_BATCH ? run_writer_flush(w) : 0;
}

int run_writer_info(struct run_writer *w, const struct run_info *run)
{
	size_t before = w->batch.len;
	int err = w->error ? w->error : run_write_line(run, &w->batch);

	if (err)
		return err;
	buf_clear(&w->head);
	err = buf_add(&w->head, w->batch.p + before, w->batch.len - before - 1);
	return err ? err : flush_full(w);
}

int run_writer_add_place(struct run_writer *w, struct span id, int64_t began_ns, uint64_t at, size_t len)
{
	struct place p = {
		.id_hash = hash_bytes(id.p, id.len, 0),
		.began_ns = began_ns,
		.at = at,
		.len = len,
		.arrival = w->arrivals++,
	};

	return sorter_add(&w->places, &p);
}

int run_writer_step(struct run_writer *w, const struct step *s)
{
	size_t before = w->batch.len;

	if (w->error) {
		w->n_lost++;
		return w->error;
	}
	int err = step_write(s, &w->batch);

	if (!err)
		err = run_writer_add_place(w, s->id, s->began_ns, w->len + before, w->batch.len - before);
	if (!err)
		err = buf_add_char(&w->batch, '\n');
	if (err) {
		w->batch.len = before;
		w->n_lost++;
		return err;
	}
	return flush_full(w);
}
