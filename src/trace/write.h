/*
 * One run on its way to disk: a journal that grows a line at a time, and the final file made from it, sorted by
 * (timestamp, arrival), synced and renamed into place. Only places of steps are held, never the steps. For the trace
 * directory of the daemon, for recovery and for the tracer library alike: nothing here aborts, logs or reads a clock.
 *
 * A journal is a line with the run's members and then a line a step. A later line with the members again, or with the
 * same step_id, replaces the earlier one. The writer holds flock() on its journal: what is locked is still being written.
 */
#ifndef CF_TRACE_WRITE_H
#define CF_TRACE_WRITE_H

#include "trace/model.h"
#include "trace/sorter.h"

#include <sys/types.h>

#define RUN_NAME_MAX 200
#define RUN_FILE_MAX (RUN_NAME_MAX + 16) /* with a suffix */
#define JOURNAL_SUFFIX ".jsonl.part"

struct run_writer {
	int dir;             /* borrowed */
	int fd;              /* the journal */
	uid_t uid;           /* owner of new files; (uid_t)-1: whoever we are */
	gid_t gid;
	int error;           /* the first write that failed: nothing is taken any more, what was written stays */
	uint64_t n_lost;     /* lines that could not be written */
	uint64_t len;        /* of the journal on disk, whole lines */
	uint64_t arrivals;
	struct buf batch;    /* lines that are not written yet */
	struct buf head;     /* the run's members as last said */
	struct sorter places;
	char name[RUN_NAME_MAX];  /* "trace-<run_id>" */
	char final[RUN_FILE_MAX]; /* of the trace file when it is not <name>.json */
};

/*
 * A directory for traces: made with those above it when it is missing, 0700, for this owner ((uid_t)-1: whoever we
 * are). The last part of the path must not be a link. A descriptor or -errno.
 */
int run_dir_open(const char *path, uid_t uid, gid_t gid);

/* "trace-<run_id>", for ids that are safe in a file name. 0 or -EINVAL. */
int run_file_name(struct span run_id, char out[RUN_NAME_MAX]);

/* Makes the journal: -EEXIST when there is one, -EINVAL for a run_id that cannot be part of a file name. */
int run_writer_open(struct run_writer *w, int dir, uid_t uid, gid_t gid, const struct run_info *run);
/* What a journal that another process left holds. */
struct journal_facts {
	struct run_info run;  /* its texts live in the arena handed over */
	uint64_t steps;       /* lines */
	uint64_t skipped;     /* lines that are no step we know */
	uint64_t torn;        /* bytes of lines that were cut short */
	int64_t last_ns;      /* of the latest step; INT64_MIN: none */
};

/*
 * Takes up such a journal to end it. -EBUSY: it is still being written; -ENODATA: no run in it; -EBADMSG: its run is
 * damaged, *why says where. The new file will belong to the owner of the journal.
 */
int run_writer_reopen(struct run_writer *w, int dir, const char *journal, struct arena *a, struct journal_facts *facts,
		      struct problem *why);
/* The same for a journal of our own, which is open and locked; the writer owns the descriptor. Its members are not read. */
int run_writer_adopt(struct run_writer *w, int dir, int fd, const char *name, struct journal_facts *facts);
/* The trace as it is in the journal, synced, into an open file. */
int run_writer_copy(struct run_writer *w, const struct run_info *run, int to);
/* The step is written at the latest with the flush. 0 or -errno; -EMSGSIZE: longer than
 * LIMIT_STEP, others are still taken. */
int run_writer_step(struct run_writer *w, const struct step *s);
/* New members for the run: what was learnt about it. */
int run_writer_info(struct run_writer *w, const struct run_info *run);
/* One write. After -ENOSPC and the like the journal still ends with a whole line. */
int run_writer_flush(struct run_writer *w);
/*
 * Final file and no journal; `run` NULL: with the members as last said. On failure the journal stays.
 * The writer is closed either way. file: its name in the directory.
 */
int run_writer_end(struct run_writer *w, const struct run_info *run, char file[RUN_FILE_MAX]);
/* Closes without a final file; the journal stays. */
void run_writer_abandon(struct run_writer *w);

#endif
