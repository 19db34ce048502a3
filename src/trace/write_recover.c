#include "trace/write.h"

#include "trace/read.h"
#include "trace/write_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_journal(struct run_writer *w, const char *journal)
{
	struct stat st;

	w->fd = openat(w->dir, journal, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (w->fd < 0 || fstat(w->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	if (flock(w->fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (geteuid() == 0) {
		w->uid = st.st_uid;
		w->gid = st.st_gid;
	}
	w->len = (uint64_t)st.st_size;
	return 0;
}

static int take_step(struct run_writer *w, const struct run_item *item, struct journal_facts *f)
{
	struct arena a;
	struct step s;
	int err = 0;

	arena_init(&a);
	if (step_read(item->raw, &a, &s, NULL)) {
		f->skipped++;
	} else {
		err = run_writer_add_place(w, s.id, s.began_ns, item->at, item->raw.len);
		f->steps++;
		if (s.began_ns > f->last_ns)
			f->last_ns = s.began_ns;
	}
	arena_fini(&a);
	return err;
}

/* a NULL: the run's members are not wanted. */
static int read_journal(struct run_writer *w, struct arena *a, struct journal_facts *f, struct problem *why)
{
	struct run_reader r;
	struct run_item item;
	int more, err = 0;

	run_reader_init(&r, w->fd, true);
	while (!err && (more = run_reader_next(&r, &item)) > 0)
		err = take_step(w, &item, f);
	if (!err && more < 0) {
		err = more == -EINVAL ? -EBADMSG : more;
		*why = r.why;
	}
	if (!err && a && !r.run.run_id.p)
		err = -ENODATA;
	if (!err && a) {
		buf_clear(&w->head);
		err = run_write_line(&r.run, &w->head);
		w->head.len -= !err; /* the newline */
	}
	if (!err && a)
		err = run_read(arena_copy(a, buf_span(&w->head)), a, &f->run, why);
	f->torn = r.torn;
	run_reader_fini(&r);
	return err;
}

int run_writer_reopen(struct run_writer *w, int dir, const char *journal, struct arena *a, struct journal_facts *facts,
		      struct problem *why)
{
	struct journal_facts f = { .last_ns = INT64_MIN };
	size_t len = strlen(journal), suffix = sizeof(JOURNAL_SUFFIX) - 1;

	if (len <= suffix || len - suffix >= RUN_NAME_MAX || strcmp(journal + len - suffix, JOURNAL_SUFFIX) != 0)
		return -EINVAL;
	run_writer_init(w, dir, (uid_t)-1, (gid_t)-1);
	snprintf(w->name, sizeof(w->name), "%.*s", (int)(len - suffix), journal);
	int err = open_journal(w, journal);
	if (!err)
		err = read_journal(w, a, &f, why);
	if (err)
		run_writer_fini(w);
	else
		*facts = f;
	return err;
}

int run_writer_adopt(struct run_writer *w, int dir, int fd, const char *name, struct journal_facts *facts)
{
	struct journal_facts f = { .last_ns = INT64_MIN };
	struct problem why;
	struct stat st;

	run_writer_init(w, dir, (uid_t)-1, (gid_t)-1);
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->fd = fd;
	int err = fstat(fd, &st) ? -errno : 0;
	w->len = err ? 0 : (uint64_t)st.st_size;
	if (!err)
		err = read_journal(w, NULL, &f, &why);
	if (err)
		run_writer_fini(w);
	else
		*facts = f;
	return err;
}
