/*
 * Every rule of the contract, on a trace file or a journal of any size, with the place that breaks it. Memory does not
 * grow with the file: ids are sorted outside of it.
 */
#ifndef CF_TRACE_CHECK_H
#define CF_TRACE_CHECK_H

#include "trace/model.h"

enum check_level {
	CHECK_AUTO,   /* strict for files that name our schema, lenient for others' */
	CHECK_LENIENT, /* what readers accept: aliases, any run_id, any form of time */
	CHECK_STRICT, /* what writers must emit */
};

struct check {
	enum check_level level;
	bool journal;
	/* `warning`: the file is still good (an unknown step type in a lenient check, a torn last line). */
	void (*on_problem)(void *ctx, const struct problem *p, bool warning);
	void *ctx;
	/* Results. */
	uint64_t steps;
	uint64_t problems;
	uint64_t warnings;
	bool strict; /* as it was checked */
};

/* 0 when the file was read to its end or up to where it is malformed (a problem); -errno when it could not be read. */
int check_fd(int fd, struct check *c);

/* The rules of one step, without those that need others. Problems' places begin with `place`. */
void check_step(struct check *c, const struct step *s, struct span raw, const char *place);
/* 0, or -EINVAL and the first field of the step that is not as writers must emit it: "tokens_in". */
int step_valid(const struct step *s, struct problem *why);
/* Messages of anybody's form in that of the contract: what does not fit becomes {"type":"other","value":...}. */
int messages_put(struct span array, struct buf *out);
/* The run's own members. */
void check_run(struct check *c, const struct run_info *run);

/* The JSON Schema of the contract, from the same tables. 0 or -ENOSPC. */
int schema_write(struct buf *out);

#endif
