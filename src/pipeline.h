/*
 * Everything right of the stream of events, wired together: streams -> protocols -> dialects -> runs -> sinks. The same
 * for a live observation and for a replay; reads no clock.
 */
#ifndef CF_PIPELINE_H
#define CF_PIPELINE_H

#include "base/redact.h"
#include "feed/feed.h"
#include "options.h"

struct pipeline;
struct pipeline_hooks {
	/* Asks capture for something (a socket's mode). May be NULL. */
	void (*request)(void *ctx, const struct request *r);
	void *ctx;
};

/* What the options say must not be stored. -EINVAL with `why`: a bad pattern. */
int pipeline_redactor(const struct options *o, uint64_t seed, struct redactor **out, char why[REDACT_WHY]);
/* Opens the trace directory. 0 or -errno with `why`; -EINVAL: the options are wrong. */
int pipeline_new(const struct options *o, const struct pipeline_hooks *hooks, struct pipeline **out, char *why, size_t why_len);
void pipeline_event(struct pipeline *p, const struct cf_event *e);
/* Journals are written out: after every batch, so that a crash loses only what was not yet parsed. */
void pipeline_flush(struct pipeline *p);
/* Ends everything still open. Once. `reason` when no CF_FACT_STOP came. Returns an exit code of exit.h. */
int pipeline_finish(struct pipeline *p, const char *reason);
bool pipeline_stopped(const struct pipeline *p); /* CF_FACT_STOP was seen */
/* Whether anything could be read: a library was hooked or a call was seen. */
bool pipeline_covered(const struct pipeline *p);
void pipeline_free(struct pipeline *p);

#endif
