/* Inside libcontextforge. It lives in other people's processes: every allocation may fail, nothing ends the process. */
#ifndef CF_TRACER_TRACER_H
#define CF_TRACER_TRACER_H

#include "contextforge/tracer.h"

#include "base/redact.h"
#include "trace/model.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#define SCOPE_MAX 4096   /* steps open inside each other on one thread */
#define RUN_ID_MAX 128

/* One step that was begun. Held by the run while it is open, by each scope it is in, and by whoever began it. */
struct cf_span {
	cf_run *run; /* NULL: the run was closed. Under the run's lock, or the span was ended by us */
	struct cf_span *next, **prev; /* open ones of the run, under its lock */
	atomic_uint refs;
	atomic_bool ended;
	enum step_type type;
	char id[64];
	char parent[64];   /* "": none */
	int64_t began_ns;  /* since 1970 */
	int64_t began_mono_ns;
	struct buf name;     /* raw JSON of the first field; may be empty */
	struct buf metadata; /* raw JSON object; may be empty */
};

struct cf_run {
	cf_run *next, **prev; /* all runs of the process, under the list's lock */
	uint64_t serial;      /* never used twice in the process */
	unsigned forks;       /* of the process when it was opened */
	pthread_mutex_t lock; /* of what follows */
	int dir;              /* -1: nothing on disk */
	int fd;               /* the journal */
	int error;            /* the first write that failed: -errno */
	uint64_t written;     /* bytes of whole lines */
	int64_t ended_ns;     /* 0: it goes on */
	struct cf_span *spans;
	uint64_t *own_ids;    /* hashes of ids that the caller chose; open addressing */
	size_t n_own_ids, cap_own_ids;
	struct buf metadata;  /* raw JSON object */

	/* Fixed after opening. */
	atomic_uint_fast64_t n_ids;
	struct buf agent;
	struct buf task;
	char id[RUN_ID_MAX];
	char prefix[16]; /* of the ids that we give */
	char name[RUN_ID_MAX + 8];
	char file[NAME_MAX + 1]; /* of the trace when the caller named it */
	char *path;
	int64_t started_ns;
	struct redactor *redactor;
};

/* What a thread keeps between calls. */
struct scope {
	uint64_t run;   /* serial */
	cf_span *span;  /* held; NULL: pushed by hand */
	char id[64];
};
struct thread {
	struct arena arena; /* of the call */
	struct buf text;
	struct buf line;
	struct scope *scopes;
	size_t n_scopes, cap_scopes;
	bool busy;
};

/* NULL: no memory. Each call begins with it and ends with thread_done. */
struct thread *thread_begin(void);
void thread_done(struct thread *t);

/* Sets the message and gives the code. `place` and what follows are put together: "llm_call.tokens_in: must be ...". */
int fail(cf_code code, const char *place, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int fail_errno(int err, const char *place);

/* A value as raw JSON; SPAN_NONE for an absent one. CF_INVALID when its JSON is none, and the message names "of.name"
 * (of may be NULL). *repaired: text was not UTF-8. */
int value_raw(struct thread *t, cf_value v, const char *of, const char *name, struct span *out, bool *repaired);

/* 0, CF_INVALID for NULL, CF_FORKED. */
int run_usable(const cf_run *run);
int64_t now_unix_ns(void);
int64_t now_mono_ns(void);
/* Appends a line, with its newline, to the journal. Under the run's lock. */
int run_append(cf_run *run, struct span line);
struct run_info run_info_of(cf_run *run, int64_t ended_ns);
/* The metadata of the run with these members put in or replaced. Under the run's lock. */
int run_merge_metadata(cf_run *run, struct span object);

/*
 * Records what is in `s`, whose id, parent and time are found by the rules of cf_step_options.
 * final: not the first line of a span, so it is checked and passes the probe.
 */
int record_step(cf_run *run, struct thread *t, struct step *s, const cf_step_options *o, bool repaired, bool final, cf_id *id);
int record_values(cf_run *run, enum step_type type, const cf_value *values, const cf_step_options *o, cf_id *id);
/* The field that says how long a step took; -1: none. */
int latency_slot(enum step_type type);

/* The id of the thread's innermost open step in this run; false: none. */
bool scope_current(struct thread *t, const cf_run *run, char id[64]);
int scope_add(struct thread *t, const cf_run *run, cf_span *span, const char *id);
void scope_remove(struct thread *t, const cf_span *span);
void scopes_drop(struct thread *t);
void span_release(cf_span *span);
/* Takes the span off its run; false: it had ended. The caller's own hold stays. */
bool span_end(cf_span *span);
/* All spans of a run that is being closed. Under the run's lock. */
void spans_abandon(cf_run *run);

#endif
