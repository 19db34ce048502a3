/*
 * The trace directory: opened once, everything in it is made relative to it, without following links, for the owner
 * alone (directory 0700, files 0600). Each run is a journal while it is open and one trace file when it has ended.
 */
#ifndef CF_SINK_DIR_H
#define CF_SINK_DIR_H

#include "trace/model.h"

#include <sys/types.h>

#define DIR_FILE_MAX 256

struct dir_sink;
struct dir_run;

struct dir_stats {
	uint64_t bytes;     /* written to journals */
	uint64_t steps;     /* handed in */
	uint64_t lost;      /* of them, could not be written */
	uint64_t runs;      /* begun */
	int error;          /* the first failure: -ENOSPC, -EDQUOT, -EIO, ... ; 0 */
};

/*
 * Makes the directory and those above it when they are missing. uid, gid: owner of all that is made; (uid_t)-1: the
 * one we run as. 0 or -errno (-ELOOP or -ENOTDIR: a link or no directory).
 */
int dir_sink_open(const char *path, uid_t uid, gid_t gid, struct dir_sink **out);
/* Runs that are still open keep their journals. */
void dir_sink_close(struct dir_sink *s);
const struct dir_stats *dir_sink_stats(const struct dir_sink *s);

/* -EEXIST: this run has a journal here; -EINVAL: run_id cannot be a file name. */
int dir_sink_begin(struct dir_sink *s, const struct run_info *run, struct dir_run **out);
/*
 * Takes a step; a step with an id that was there before replaces the former one. -ENOSPC and other failures are told
 * once; from then on steps are counted as lost and 0 is returned. What was captured stays. -EMSGSIZE: only this step
 * was too long.
 */
int dir_run_step(struct dir_run *r, const struct step *s);
/* What was learnt about the run: replaces its members. */
int dir_run_info(struct dir_run *r, const struct run_info *run);
/* Everything taken so far is in the journal. Call it on each tick. */
int dir_run_flush(struct dir_run *r);
/* The trace file; file (may be NULL) gets its name in the directory. `r` is freed, whatever happens. */
int dir_run_end(struct dir_run *r, const struct run_info *final, char file[DIR_FILE_MAX]);
/* The journal stays as it is, for recover. */
void dir_run_abandon(struct dir_run *r);

#endif
