#include "trace/write.h"

#include "base/limits.h"
#include "trace/write_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int by_time(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;

	if (a->began_ns != b->began_ns)
		return a->began_ns < b->began_ns ? -1 : 1;
	return a->arrival < b->arrival ? -1 : a->arrival > b->arrival;
}

static int read_all(int fd, char *p, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Copies pieces of the journal into the final file through one window; the order is nearly that of the journal. */
struct copy {
	int from;
	uint64_t from_len;
	int to;
	char *window;
	uint64_t at; /* of the window in the journal */
	size_t n;    /* bytes in the window */
	struct buf out;
};

static int copy_flush(struct copy *c, size_t unless_below)
{
	size_t done;

	if (c->out.len < unless_below)
		return 0;
	int err = run_writer_write(c->to, c->out.p, c->out.len, &done);
	buf_clear(&c->out);
	return err;
}

/* Reads ahead, more and more, only while the order is that of the journal. */
static int copy_window(struct copy *c, uint64_t at, size_t len)
{
	if (at >= c->at && at < c->at + c->n)
		return 0;
	if (at >= c->from_len)
		return -EIO;
	bool goes_on = at >= c->at && at <= c->at + c->n + 4 * KIB;
	size_t want = goes_on && 2 * c->n > len ? 2 * c->n : len;
	if (want > LIMIT_JOURNAL_BATCH)
		want = LIMIT_JOURNAL_BATCH;
	uint64_t left = c->from_len - at;
	c->n = left < want ? (size_t)left : want;
	c->at = at;
	int err = read_all(c->from, c->window, c->n, at);
	if (err)
		c->n = 0;
	return err;
}

static int copy_piece(struct copy *c, uint64_t at, size_t len)
{
	int err = 0;

	while (!err && len) {
		err = copy_window(c, at, len);
		if (err)
			break;
		size_t n = (size_t)(c->at + c->n - at);
		if (n > len)
			n = len;
		err = buf_add(&c->out, c->window + (at - c->at), n);
		if (!err)
			err = copy_flush(c, LIMIT_JOURNAL_BATCH);
		at += n;
		len -= n;
	}
	return err;
}

/* Both lines begin with the step_id, so equal ids give equal beginnings. */
static bool same_id(const struct run_writer *w, const struct place *a, const struct place *b)
{
	char pa[1024], pb[1024];
	size_t na = a->len < sizeof(pa) ? a->len : sizeof(pa), nb = b->len < sizeof(pb) ? b->len : sizeof(pb);

	if (read_all(w->fd, pa, na, a->at) || read_all(w->fd, pb, nb, b->at))
		return true;
	struct span ia = span_at(pa, na), ib = span_at(pb, nb), end = SPAN("\",\"step_type\":");
	struct span ra = span_find(ia, end), rb = span_find(ib, end);
	if (ra.p)
		ia.len = (size_t)(ra.p - ia.p);
	if (rb.p)
		ib.len = (size_t)(rb.p - ib.p);
	return span_eq(ia, ib);
}

/* The last line of each step, in the order of the file. */
static int order_places(struct run_writer *w, struct sorter *ordered)
{
	struct place p, last;
	bool have = false;
	int more, err = sorter_sort(&w->places);

	if (err)
		return err;
	while ((more = sorter_next(&w->places, &p)) > 0) {
		if (p.at + p.len > w->len)
			continue; /* its write failed */
		if (have && last.id_hash == p.id_hash && same_id(w, &last, &p)) {
			p.arrival = last.arrival;
		} else if (have) {
			err = sorter_add(ordered, &last);
			if (err)
				return err;
		}
		last = p;
		have = true;
	}
	if (more < 0)
		return more;
	if (have)
		err = sorter_add(ordered, &last);
	return err ? err : sorter_sort(ordered);
}

static int put_head(struct run_writer *w, const struct run_info *run, struct buf *out)
{
	if (run)
		return run_write_head(run, out);
	int err = buf_add(out, w->head.p, w->head.len - 1);
	return err ? err : buf_add_text(out, ",\n\"steps\":[");
}

int run_writer_copy(struct run_writer *w, const struct run_info *run, int to)
{
	struct copy c = { .from = w->fd, .from_len = w->len, .to = to };
	struct sorter ordered;
	struct place p;
	int more = 0;

	sorter_init(&ordered, sizeof(p), by_time, w->dir);
	buf_init(&c.out, LIMIT_RUN_HEAD + 2 * LIMIT_JOURNAL_BATCH);
	c.window = malloc(LIMIT_JOURNAL_BATCH);
	int err = c.window ? put_head(w, run, &c.out) : -ENOMEM;
	if (!err)
		err = order_places(w, &ordered);
	for (bool first = true; !err && (more = sorter_next(&ordered, &p)) > 0; first = false) {
		err = buf_add_text(&c.out, first ? "\n" : ",\n");
		if (!err)
			err = copy_piece(&c, p.at, p.len);
	}
	if (!err)
		err = more;
	if (!err)
		err = run_write_tail(&c.out);
	if (!err)
		err = copy_flush(&c, 0);
	if (!err && fsync(to) && errno != EINVAL) /* a pipe */
		err = -errno;
	free(c.window);
	buf_fini(&c.out);
	sorter_fini(&ordered);
	return err;
}

int run_writer_end(struct run_writer *w, const struct run_info *run, char file[RUN_FILE_MAX])
{
	char journal[RUN_FILE_MAX], part[RUN_FILE_MAX], final[RUN_FILE_MAX];

	run_writer_flush(w);
	snprintf(journal, sizeof(journal), "%s" JOURNAL_SUFFIX, w->name);
	snprintf(part, sizeof(part), "%s.json.tmp", w->name);
	if (w->final[0])
		snprintf(final, sizeof(final), "%s", w->final);
	else
		snprintf(final, sizeof(final), "%s.json", w->name);
	unlinkat(w->dir, part, 0); /* of an end that was cut short */
	int fd = run_writer_create(w, part), err = fd < 0 ? fd : run_writer_copy(w, run, fd);
	if (fd >= 0 && close(fd) && !err)
		err = -errno;
	if (!err && renameat(w->dir, part, w->dir, final))
		err = -errno;
	if (!err) {
		unlinkat(w->dir, journal, 0);
		fsync(w->dir);
		if (file)
			snprintf(file, RUN_FILE_MAX, "%s", final);
	} else if (fd >= 0) {
		unlinkat(w->dir, part, 0);
	}
	run_writer_fini(w);
	return err;
}
