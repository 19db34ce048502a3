/*
 * Walks a trace file or a journal of any size: one step at a time in one bounded buffer. The members of the run are
 * gathered as they come by (in files of ours before the first step).
 */
#ifndef CF_TRACE_READ_H
#define CF_TRACE_READ_H

#include "trace/model.h"

struct run_reader {
	int fd;             /* borrowed; read from its start, or from where a pipe stands */
	bool journal;       /* one line per step */
	struct run_info run;
	struct arena run_arena; /* of `run` */
	uint64_t n_steps;   /* handed out */
	uint64_t line;      /* journal: number of the line last handed out, from 1 */
	uint64_t torn;      /* journal: bytes of lines that hold no object: a write that was cut short */
	bool has_steps;     /* a trace file's `steps` was seen */
	struct problem why; /* when reading ended with an error */

	struct buf buf;
	size_t pos;         /* in buf: behind what was taken */
	uint64_t buf_at;    /* of buf in the file */
	uint64_t read_at;   /* next byte to read */
	bool eof;
	int state;
};

struct run_item {
	struct span raw; /* the step, one JSON object or at least one JSON value; valid until the next call */
	uint64_t at;     /* its place in the file */
};

/* journal: the file is a `.jsonl.part`. */
void run_reader_init(struct run_reader *r, int fd, bool journal);
void run_reader_fini(struct run_reader *r);
/* 1: a step; 0: the end; -EINVAL: malformed, see why; other: reading failed. */
int run_reader_next(struct run_reader *r, struct run_item *out);

/* All the members of a run object but its steps; 0, or -EINVAL with *why. */
int run_read(struct span raw, struct arena *a, struct run_info *out, struct problem *why);

#endif
