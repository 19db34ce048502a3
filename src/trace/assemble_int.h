/*
 * Inside the assembler. Ownership: assembler -> trees -> runs -> conversations, open tools; processes belong to the
 * assembler and point to their tree. Of history only hashes are kept, so a run of days stays flat.
 */
#ifndef CF_TRACE_ASSEMBLE_INT_H
#define CF_TRACE_ASSEMBLE_INT_H

#include "base/id.h"
#include "base/map.h"
#include "base/redact.h"
#include "trace/assemble.h"

/* What is kept of a message. */
struct seen {
	uint64_t hash;      /* message.hash: the same message sent again */
	uint64_t exact;     /* of the contract JSON, byte for byte: what input_base may stand for */
	uint64_t text_hash; /* of the text: a prompt that only grew begins with the old one */
	uint32_t text_len;
	uint32_t json_len;
	enum role role;
};

/* Provider ids remembered of one conversation (responses that a later call may continue). */
#define CONV_IDS 32
/* Tips of conversations kept per run: branches and sub-agents; the one idle for longest goes first. */
#define RUN_CONVS 256
/* Texts kept per run for the evidence of content flow, and bytes of each. */
#define RUN_TEXTS 16
#define RUN_TEXT_LEN 240
/* Tool calls open at once in one run. */
#define RUN_TOOLS 4096
/* Entries of one list of effects; more are counted. */
#define EFFECTS_MAX 512

struct conv {
	struct conv *next;
	struct run *run;
	uint32_t number;      /* in the run, from 0 */
	struct seen *seen;    /* messages of the latest request */
	size_t n, cap;
	bool has_answer;
	struct seen answer;   /* what the model said to it */
	uint64_t system_hash; /* of its leading system messages */
	uint64_t ids[CONV_IDS];
	size_t n_ids;
	uint32_t last_step;   /* its latest llm_call */
	bool whole_input;     /* last_step's input is known from its first message on */
	uint32_t failed_step; /* the latest llm_call when that failed, else 0 */
	uint64_t last_began_ns, last_ended_ns;
	uint32_t parent_step; /* tool_call that spawned it, 0: none */
	uint64_t used;        /* tick of the last use */
};

struct effect {
	enum effect_kind { EFFECT_EXEC, EFFECT_FILE, EFFECT_NET } kind;
	uint64_t ts_ns;
	uint32_t pid;
	uint64_t start_ns;
	char *json;         /* members without braces */
	uint64_t key;       /* equal for what is listed once; 0: each is listed */
	uint64_t peer_hash; /* EFFECT_NET */
	bool ended;         /* EFFECT_EXEC */
	bool shared;        /* during several open tool calls */
	uint64_t ended_ns;
	uint32_t code, signal;
};
struct effects {
	struct effect *items;
	size_t n, cap;
	uint64_t more; /* not listed */
};

/* A tool call that waits for its result. */
struct tool {
	struct tool *next;
	struct run *run;
	struct conv *conv;     /* may be NULL after its eviction */
	uint32_t step, parent_step;
	uint64_t began_ns;
	char *id, *name, *arguments; /* id may be NULL; arguments: raw JSON, an object */
	char *meta;            /* members without braces: source, pid, ... as of the request */
	uint64_t arguments_hash; /* by value */
	uint32_t pid;          /* of the process that asked the model */
	uint64_t start_ns;
	bool react;            /* asked for in text */
	bool passed;           /* its conversation went on without a result */
	char *mcp;             /* metadata.mcp: how a tool server was asked for it, or NULL */
	char *mcp_result;      /* raw JSON */
	bool mcp_failed;
	struct effects effects;
	bool shared;           /* something happened that this or another open call caused */
};

struct totals {
	uint64_t llm_calls, tool_calls, errors, final_outputs, user_inputs, embeddings, retries;
	uint64_t tokens_in, tokens_out, tokens_cached, tokens_cache_write, tokens_reasoning;
	uint64_t without_usage; /* llm_calls that said no usage */
	double cost;
	uint64_t with_cost;
	uint64_t incomplete, missing_bytes, truncated;
};

struct run {
	struct run *next;      /* in the tree */
	struct assembler *a;
	struct tree *tree;
	void *user;
	char id[37];
	uint64_t started_ns, last_ns;
	uint32_t next_step;
	uint32_t next_conv;
	struct conv *convs;
	size_t n_convs;
	struct tool *tools;
	size_t n_tools;
	struct totals totals;
	struct { char text[RUN_TEXT_LEN]; uint16_t len; struct conv *answer_of; } texts[RUN_TEXTS];
	size_t n_texts; /* ever; the ring wraps */
	uint64_t session, trace; /* hashes of ids that the agent itself sends, 0: none */
	struct proc *scope;    /* the process started before our eyes that it lives in, or NULL */
	struct span first_input; /* raw JSON, owned: task_info */
	char *conversation_id;
	char *sdk, *sdk_version, *agent_name, *agent_version; /* from request headers */
	uint32_t pid;          /* of the first call's process */
	uint64_t proc_start_ns;
	uint64_t used;
	bool last_failed;
	bool steps_cut; /* effects were counted but not listed */
	bool ended;
};

/* What happened in no tool call, until the next step of the tree. */
struct held {
	struct effects files;
	struct effects execs;
};

struct conn_row {
	struct conn_row *next;
	uint64_t id;
	uint32_t pid;
	uint64_t start_ns;
	enum conn_source source;
	enum proto_state state;
	char *peer, *protocol, *reason;
	uint64_t bytes_in, bytes_out, missing_in, missing_out;
	bool carries_tls, bound, joined_late;
};

struct note {
	struct note *next;
	uint32_t pid;
	char *text;
};

struct library {
	struct library *next;
	uint32_t pid;
	char *path, *library, *reason;
	bool hooked;
};

/* Of the processes below one root: shared by its runs. */
struct tree {
	struct tree *next;
	struct proc *root; /* kept while the tree is */
	struct run *runs;
	size_t n_runs, alive;
	uint64_t exited_ns; /* all processes gone since; 0: not */
	bool served;        /* it had plainly separate conversations */
	bool ever_run;
	struct held held;
	struct conn_row *conns;
	struct note *gaps;
	struct library *libraries;
	uint64_t processes, blind_uring, blind_splice;
};

struct framework {
	struct framework *next;
	char *name, *version, *kind;
};

struct proc {
	uint32_t pid;
	uint64_t start_ns;
	struct proc *parent;
	struct tree *tree;
	size_t children;    /* known processes that point here */
	bool exited;
	bool root;          /* of its tree */
	bool agent;         /* it, or one below it, asked a model: its own start is no step */
	bool announced;     /* as followed: else its fork or its fact is lost */
	bool exec_seen;     /* started before our eyes */
	bool serves;        /* answered on a connection */
	uint64_t exec_ns, exited_ns;
	uint32_t code, signal;
	char comm[17];
	char *exe, *cwd, *argv; /* argv: raw JSON array */
	char *container;        /* raw JSON object */
	struct framework *frameworks;
	struct tool *tool;      /* the open call it belongs to: inherited by its children */
	struct run *exec_run;   /* has a step for its start, that is given out again at its end; else NULL */
	uint32_t exec_step, exec_parent;
	struct effect exec;     /* what that step tells */
	struct proc *next_dead;
	bool waits;             /* in the queue of the dead */
};

struct counters {
	bool seen;
	uint64_t ts_ns;
	int64_t events, bytes, records;
	int64_t lost[12]; /* by lost_names */
};

struct assembler {
	struct assemble_options o;
	struct run_events events;
	void *ctx;
	struct id_source ids;
	struct map procs;
	struct map responses; /* hash of a provider id -> conv */
	struct tree *trees;
	size_t n_runs;
	uint64_t tick;
	uint64_t now_ns;
	struct redactor *redactor, *own_redactor;
	struct counters counters;
	uint64_t seen_records, seen_bytes; /* of the kernel: not DATA; captured bytes of DATA */
	bool saw_data, finishing, stopped; /* stopped: capture said that it ends */
	struct proc *first_dead, *last_dead;
	size_t n_dead;
	char *version, *host, *kernel, *arch, *command; /* command: raw JSON */
	char *stop_reason;
	int64_t sent, seen_sent; /* records that capture made: as it counts them at the end (0: unknown), and seen */
	struct buf value, meta, scratch;
	char step_id[16], parent_id[16]; /* of the step being built */
};

/* process.c */
struct proc *proc_get(struct assembler *a, uint32_t pid, uint64_t start_ns);
struct proc *proc_find(const struct assembler *a, uint32_t pid, uint64_t start_ns);
bool proc_within(const struct proc *p, const struct proc *top);
struct proc *proc_scope(struct proc *p);
void process_event(struct assembler *a, const struct cf_event *e);
void process_fact(struct assembler *a, const struct cf_event *e);
void procs_free(struct assembler *a);
void procs_forget(struct assembler *a);
/* false: some are still waited for. */
bool procs_of_tree_free(struct assembler *a, struct tree *t);
char *span_dup(struct span s); /* NULL for SPAN_NONE */

/* conversation.c */
struct conv_match {
	struct conv *conv;   /* NULL: a conversation that nobody saw before */
	size_t common;       /* messages of the request that were in its latest request */
	bool answer;         /* the next one is what the model said */
	bool rewritten;      /* ... in other words */
	bool by_id;
	bool same;           /* the same request again */
	size_t gone;         /* messages of its latest request that are missing in this one */
	bool compacted;      /* joined by what is left of it, not from the beginning */
};
void conv_find(struct assembler *a, struct tree *t, const struct call *c, struct conv_match *out);
struct conv *conv_new(struct run *r, const struct call *c);
void conv_free(struct conv *c);
/* Takes the request and its answer as the latest state. */
void conv_take(struct assembler *a, struct conv *v, const struct call *c);
struct seen seen_of(const struct message *m);
uint64_t system_hash_of(const struct call *c);
bool message_grew(const struct seen *old, const struct message *m);

/* evidence.c */
struct verdict {
	struct run *run;
	const char *why;
	struct tool *parent; /* the open tool call it was begun in, when only one can be */
	struct conv *summary_of; /* its input carries the last answer of this conversation */
};
void evidence_find(struct assembler *a, struct proc *p, const struct exchange *ex, const struct call *c,
		   struct verdict *out);
void run_remember_text(struct run *r, struct span text, struct conv *answer_of);
uint64_t exchange_session(const struct exchange *ex);
uint64_t exchange_trace(const struct exchange *ex);

/* runs.c */
struct run *run_new(struct assembler *a, struct proc *p, uint64_t began_ns);
void run_end(struct run *r, uint64_t now_ns);
struct run *run_current(struct tree *t);
/* A step to fill in; its ids live until the next one. parent 0: none. */
struct step run_step(struct run *r, enum step_type type, uint32_t number, uint32_t parent, uint64_t began_ns);
void run_free(struct run *r);
/* Ends the runs of trees whose processes are gone, once it is known what was lost until then. */
void runs_settle(struct assembler *a);
void tree_free(struct tree *t);
void runs_tick(struct assembler *a);
int64_t wall_ns(const struct assembler *a, uint64_t boot_ns);
uint32_t run_number(struct run *r);
void run_emit(struct run *r, struct step *s, bool again);
void run_write_info(struct run *r, struct run_info *info, struct buf *agent, struct buf *task, struct buf *meta,
		    uint64_t ended_ns);

/* calls.c, llm.c */
void exchange_take(struct assembler *a, const struct exchange *ex);
void call_take(struct assembler *a, const struct exchange *ex, const struct call *c);
/* A JSON string, in the arena. */
struct span json_string(struct arena *arena, struct span text);
struct span json_whole(struct arena *arena, int64_t value);
void meta_origin(struct buf *b, struct assembler *a, const struct exchange *ex);
void meta_http(struct buf *b, const struct exchange *ex, const struct call *c);
void meta_outcome(struct buf *b, const struct call *c);
void llm_emit(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c,
	      uint32_t number, uint32_t retry_of);

/* tools.c */
void tools_requested(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c, uint32_t parent);
void tools_results(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c, size_t from);
void tools_served(struct run *r, struct tool *asked, const struct exchange *ex, const struct call *c);
void tools_finish(struct run *r, const char *reason);
struct tool *tool_asked(struct tree *t, const struct call *c);
void tool_free(struct tool *t);
uint64_t json_hash(struct span raw);

/* effects.c */
void effect_exec(struct assembler *a, struct proc *p, const struct cf_exec *e);
void effect_exit(struct assembler *a, struct proc *p);
void effect_file(struct assembler *a, struct proc *p, const struct cf_file *e);
void effect_open(struct assembler *a, struct proc *p, const struct cf_open *e);
void effects_fini(struct effects *e);
/* metadata.effects of a tool call that ended at end_ns; what came later goes back to its tree. */
void effects_settle(struct tool *t, uint64_t end_ns, struct span peer);
void effects_write(const struct tool *t, struct buf *b);
/* What waited for a run or a tool call that would claim it: given out as steps of their own, when older. */
void held_flush(struct run *r, uint64_t until_ns);
void held_claim(struct run *r);

/* agent.c, totals.c, completeness.c */
void agent_headers(struct run *r, const struct exchange *ex);
void agent_write(struct run *r, struct buf *b);
void totals_call(struct run *r, const struct exchange *ex, const struct call *c);
void totals_write(const struct run *r, struct buf *b);
void conn_take(struct assembler *a, const struct conn_account *account);
void tree_facts_free(struct tree *t);
void completeness_write(struct run *r, struct buf *b, bool open);
bool counters_settled(const struct assembler *a, const struct tree *t);

static inline struct span span_str(const char *text)
{
	return text ? span_of(text) : SPAN_NONE;
}

#endif
