/*
 * Calls and process events -> steps -> runs. Sans-IO: ids come from the seed, times from the events.
 *
 * One run per conversation where conversations are plainly separate, else per process tree.
 */
#ifndef CF_TRACE_ASSEMBLE_H
#define CF_TRACE_ASSEMBLE_H

#include "dialect/call.h"
#include "event.h"
#include "trace/model.h"

struct run; /* opaque; run->user belongs to the sink, see run_user */

struct run_events {
	/* `info` and `step` are valid until the callback returns. */
	void (*on_run)(void *ctx, struct run *run, const struct run_info *info);
	/* A step that is finished; `again` when it replaces one with the same id (a late result). */
	void (*on_step)(void *ctx, struct run *run, const struct step *step, bool again);
	/* Ended: info has ended_at, agent_info and metadata (state, totals, capture with completeness). */
	void (*on_run_end)(void *ctx, struct run *run, const struct run_info *info);
};

struct assemble_options {
	uint64_t seed;
	int64_t wall_offset_ns; /* unix time = boot time + this */
	bool no_inputs;         /* keep structure, drop content */
	bool no_outputs;
	struct redactor *redactor; /* with no_inputs and no_outputs in it; NULL: one without patterns of the user */
};

/* What became of one connection, for completeness. Reported by the pipeline when it changes and at the end. */
struct conn_account {
	const struct conn_info *conn;
	enum proto_state state;
	const char *protocol; /* "http/1.1"; NULL unknown */
	const char *reason;   /* why not decoded */
	uint64_t bytes_in, bytes_out;     /* moved */
	uint64_t missing_in, missing_out; /* lost in gaps */
	bool counted_only;    /* only what followed processes tell each other, in no protocol that is read */
	bool carries_tls;     /* socket: TLS on it */
	bool bound;           /* socket: its TLS plaintext is read elsewhere */
};

struct assembler;
struct assembler *assembler_new(const struct assemble_options *options, const struct run_events *events, void *ctx);
void assembler_call(struct assembler *a, const struct exchange *ex, const struct call *call);
/* An exchange that is no call: whoever answers on sockets is a server, whose conversations are other people's. */
void assembler_exchange(struct assembler *a, const struct exchange *ex);
/*
 * Every record of the stream, in order: processes, files, sockets and facts are used; the others are only counted, so
 * that a record that got lost between the kernel and here is noticed (see completeness.c).
 */
void assembler_event(struct assembler *a, const struct cf_event *e);
void assembler_conn(struct assembler *a, const struct conn_account *account);
/* Ends every run. Steps that still wait are given out as incomplete. */
void assembler_finish(struct assembler *a, uint64_t now_ns, const char *reason);
void assembler_free(struct assembler *a);

void run_set_user(struct run *run, void *user);
void *run_user(const struct run *run);

#endif
