/*
 * libcontextforge: an agent says itself what it does, step by step, and gets a trace of it.
 *
 *     cf_run_options o = { .size = sizeof(o) };
 *     o.agent_name = "my-agent";
 *     o.output_path = "traces";
 *     cf_run *run = cf_run_open(&o);
 *     cf_user_input(run, "What is 2+2?", NULL, NULL);
 *     cf_final_output(run, cf_text("4"), NULL, NULL);
 *     cf_run_close(run);
 *
 * Every function may be called from any thread, also for the same run. Nothing here aborts, prints, exits, blocks signals
 * or installs handlers for them. A step that was recorded is in the run's journal, so that a crash of the program
 * loses at most the step being recorded (`cf-observe recover DIR` makes the trace).
 *
 * Functions return 0, or a negative cf_code; cf_error() then says which field was wrong and why. Recording into NULL
 * is such an error, so a run that could not be opened needs no further checks.
 *
 * After fork() the runs of the parent stay the parent's: the child gets CF_FORKED and may open runs of its own.
 */
#ifndef CONTEXTFORGE_TRACER_H
#define CONTEXTFORGE_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CF_API __attribute__((visibility("default")))

typedef enum cf_code {
	CF_FINE = 0,
	CF_INVALID = -1, /* an argument: cf_error() names it */
	CF_MEMORY = -2,
	CF_IO = -3,      /* the journal or the trace could not be written or read */
	CF_FORKED = -4,  /* the run belongs to the parent process */
	CF_CLOSED = -5,
	CF_LIMIT = -6,   /* a step longer than 192 MiB */
} cf_code;

/* The last error of this thread: "llm_call.tokens_in: must be a whole number, 0 or more". "" when there was none. */
CF_API const char *cf_error(void);
/* Version of the library, "0.1.0". */
CF_API const char *cf_version(void);

/* ---- Values ------------------------------------------------------------------------------------------------- */

typedef enum cf_kind { CF_ABSENT, CF_TEXT, CF_JSON, CF_INT, CF_NUMBER, CF_BOOL, CF_NULL } cf_kind;

/* Any value. Text and JSON are borrowed until the call returns. All zero: absent. */
typedef struct cf_value {
	cf_kind kind;
	const char *text;
	size_t len;
	union {
		int64_t integer;
		double number;
	} as;
} cf_value;

static inline cf_value cf_make_value(cf_kind kind)
{
	cf_value v;
	memset(&v, 0, sizeof(v));
	v.kind = kind;
	return v;
}

static inline cf_value cf_text_n(const char *text, size_t len)
{
	cf_value v = cf_make_value(text ? CF_TEXT : CF_ABSENT);
	v.text = text;
	v.len = len;
	return v;
}

static inline cf_value cf_text(const char *text)
{
	return cf_text_n(text, text ? strlen(text) : 0);
}

/* JSON text. Numbers, escapes and long integers in it are kept as they are written. */
static inline cf_value cf_json_n(const char *json, size_t len)
{
	cf_value v = cf_text_n(json, len);
	if (json)
		v.kind = CF_JSON;
	return v;
}

static inline cf_value cf_json(const char *json)
{
	return cf_json_n(json, json ? strlen(json) : 0);
}

static inline cf_value cf_int(int64_t n)
{
	cf_value v = cf_make_value(CF_INT);
	v.as.integer = n;
	return v;
}

static inline cf_value cf_number(double n)
{
	cf_value v = cf_make_value(CF_NUMBER);
	v.as.number = n;
	return v;
}

static inline cf_value cf_bool(bool b)
{
	cf_value v = cf_make_value(CF_BOOL);
	v.as.integer = b;
	return v;
}

/* A real null, which is data. */
static inline cf_value cf_null(void)
{
	return cf_make_value(CF_NULL);
}

/* Builds JSON. `key` is NULL inside an array and for the outermost value. */
typedef struct cf_builder cf_builder;
CF_API cf_builder *cf_builder_new(void);
CF_API void cf_builder_free(cf_builder *b);
CF_API int cf_builder_object(cf_builder *b, const char *key); /* opens one */
CF_API int cf_builder_array(cf_builder *b, const char *key);
CF_API int cf_builder_end(cf_builder *b);                     /* closes the innermost */
CF_API int cf_builder_put(cf_builder *b, const char *key, cf_value value);
/* The value, valid until the builder is used again; absent after an error or while something is open. */
CF_API cf_value cf_builder_value(const cf_builder *b);

/* ---- Runs --------------------------------------------------------------------------------------------------- */

typedef struct cf_run cf_run;

/* All structs of options are zeroed and have their size set: members may be added at the end. */
typedef struct cf_run_options {
	size_t size;
	const char *agent_name; /* required */
	const char *agent_version;
	const char *agent_framework;
	const char *agent_framework_version;
	const char *task_description;
	const char *task_goal;
	cf_value task_input;     /* an object */
	cf_value metadata;       /* an object */
	/* Directory (made when it is missing), or a path that ends in .json. NULL: nothing is on disk until cf_run_save. */
	const char *output_path;
	const char *run_id;      /* NULL: a new UUID */
	const char *context_id;  /* joins independent runs of one execution */
	int64_t started_ns;      /* since 1970; 0: now */
	/* Secrets of known shapes never get into a trace; more is taken out by these. */
	bool redact_inputs;
	bool redact_outputs;
	const char *const *redact_patterns; /* POSIX extended regular expressions */
	size_t n_redact_patterns;
	const char *redact_replacement;     /* used literally; NULL: [REDACTED:kind:hash] */
} cf_run_options;

/* NULL: cf_error() says why. */
CF_API cf_run *cf_run_open(const cf_run_options *options);
CF_API const char *cf_run_id(const cf_run *run);
/* Adds members to the run's metadata; those that are there are replaced. */
CF_API int cf_run_add_metadata(cf_run *run, cf_value object);
/* Nothing more is recorded, but it can be read and saved until the close, which needs no reason again. why: it failed. */
CF_API int cf_run_end(cf_run *run, const char *why);
/* Writes the trace file and frees the run. Steps that were begun and not ended stay, marked incomplete. */
CF_API int cf_run_close(cf_run *run);
/* The same for a run that failed. */
CF_API int cf_run_fail(cf_run *run, const char *why);
/* Where the trace is, or will be after the close; NULL without an output path. */
CF_API const char *cf_run_path(const cf_run *run);
/* The trace as it is now, as JSON; indent 0: compact. Free it with cf_free. NULL on error. */
CF_API char *cf_run_to_json(cf_run *run, int indent);
/* The trace as it is now, as a file. The run stays open. */
CF_API int cf_run_save(cf_run *run, const char *path);
CF_API void cf_free(void *p);

/* ---- Steps -------------------------------------------------------------------------------------------------- */

typedef struct cf_id {
	char text[64];
} cf_id;

typedef struct cf_span cf_span;

/* What every step may have. */
typedef struct cf_step_options {
	const char *step_id;        /* NULL: a new one */
	const char *parent_step_id; /* NULL: the thread's current scope; "": none */
	int64_t timestamp_ns;       /* when it began, since 1970; 0: now (less its latency) */
	cf_value metadata;          /* an object */
	cf_span *span;              /* what cf_begin gave: this call ends it */
	void *reserved[4];
} cf_step_options;

typedef struct cf_user_input_options {
	size_t size;
	cf_step_options step;
	cf_value input_type; /* text, file, voice, image */
} cf_user_input_options;

typedef struct cf_llm_call_options {
	size_t size;
	cf_step_options step;
	cf_value tokens_in, tokens_out, tokens_total, latency_ms, cost_estimate, provider;
} cf_llm_call_options;

typedef struct cf_tool_call_options {
	size_t size;
	cf_step_options step;
	cf_value latency_ms, success, error, resource_impact;
} cf_tool_call_options;

typedef struct cf_retrieval_options {
	size_t size;
	cf_step_options step;
	cf_value latency_ms;
} cf_retrieval_options;

typedef struct cf_memory_read_options {
	size_t size;
	cf_step_options step;
	cf_value relevance_scores, total_available;
} cf_memory_read_options;

typedef struct cf_memory_write_options {
	size_t size;
	cf_step_options step;
	cf_value entity_id, name_space, key, changes, triggered_by_step_id;
} cf_memory_write_options;

typedef struct cf_state_change_options {
	size_t size;
	cf_step_options step;
	cf_value old_value, reason;
} cf_state_change_options;

typedef struct cf_interrupt_options {
	size_t size;
	cf_step_options step;
} cf_interrupt_options;

typedef struct cf_final_output_options {
	size_t size;
	cf_step_options step;
	cf_value format;
} cf_final_output_options;

/* In C: cf_llm_call(run, ..., CF_WITH(cf_llm_call_options, .tokens_in = cf_int(812)), &id); */
#define CF_WITH(type, ...) (&(type){ .size = sizeof(type), __VA_ARGS__ })

/*
 * One function per type of step. Options may be NULL; `id` (may be NULL) gets the id of the step. A required value that
 * is absent is written empty and named in metadata.missing.
 */
CF_API int cf_user_input(cf_run *run, const char *content, const cf_user_input_options *o, cf_id *id);
/* input: text or an array of messages; output: text or an object. */
CF_API int cf_llm_call(cf_run *run, const char *model, cf_value input, cf_value output, const cf_llm_call_options *o,
		       cf_id *id);
/* arguments: an object (anything else becomes {"value": ...}). */
CF_API int cf_tool_call(cf_run *run, const char *tool_name, cf_value arguments, cf_value result,
			const cf_tool_call_options *o, cf_id *id);
/* results: [{"content", "score"?, "metadata"?}]; match_count < 0: as many as there are results. */
CF_API int cf_retrieval(cf_run *run, const char *query, cf_value results, int64_t match_count,
			const cf_retrieval_options *o, cf_id *id);
CF_API int cf_memory_read(cf_run *run, cf_value query, cf_value results, int64_t match_count,
			  const cf_memory_read_options *o, cf_id *id);
/* operation: add, update or delete. */
CF_API int cf_memory_write(cf_run *run, const char *entity_type, const char *operation, cf_value data,
			   const cf_memory_write_options *o, cf_id *id);
CF_API int cf_state_change(cf_run *run, const char *state_key, cf_value new_value, const cf_state_change_options *o,
			   cf_id *id);
/* wait_duration_ms < 0: as long as its span was open. */
CF_API int cf_interrupt(cf_run *run, const char *prompt, cf_value response, int64_t wait_duration_ms,
			const cf_interrupt_options *o, cf_id *id);
CF_API int cf_final_output(cf_run *run, cf_value content, const cf_final_output_options *o, cf_id *id);

/*
 * A step as one JSON object with the members of the contract; step_id, timestamp and parent_step_id may be left out as
 * above. For bindings to other languages. With a span, it ends the span.
 */
CF_API int cf_record(cf_run *run, const char *json, size_t len, cf_span *span, cf_id *id);

/* ---- Scopes ------------------------------------------------------------------------------------------------- */

typedef enum cf_type {
	CF_USER_INPUT, CF_LLM_CALL, CF_TOOL_CALL, CF_RETRIEVAL, CF_MEMORY_READ, CF_MEMORY_WRITE, CF_STATE_CHANGE,
	CF_INTERRUPT, CF_FINAL_OUTPUT,
} cf_type;

typedef struct cf_begin_options {
	size_t size;
	const char *parent_step_id; /* as above */
	int64_t timestamp_ns;       /* 0: now */
	cf_value metadata;
	bool detached;              /* not the scope of this thread: for tasks that share one */
} cf_begin_options;

/*
 * A step begins: its latency runs, and what this thread records before its end becomes its child. It is in the journal
 * at once, marked incomplete. `name`: model, tool name, query, state key or prompt; may be NULL.
 * It ends when a step is recorded with .step.span, or with cf_span_fail or cf_span_end.
 */
CF_API cf_span *cf_begin(cf_run *run, cf_type type, const char *name, const cf_begin_options *o);
CF_API const char *cf_span_id(const cf_span *span);
/* It ends with an error and without a result. */
CF_API int cf_span_fail(cf_span *span, const char *type, const char *message);
/* It ends as it is, for steps that only hold others: a state_change whose new_value is `value`, an absent one else. */
CF_API int cf_span_end(cf_span *span, cf_value value);
/* What this thread records into the run until the pop is a child of that step: an agent inside an agent. */
CF_API int cf_scope_push(cf_run *run, const char *parent_step_id);
CF_API int cf_scope_pop(cf_run *run);

/* ---- Reading back ------------------------------------------------------------------------------------------- */

/* Walks the steps of a trace file (or journal) without holding it. */
typedef struct cf_reader cf_reader;
CF_API cf_reader *cf_reader_open(const char *path);
/* 1: a step as JSON, valid until the next call; 0: no more; < 0: an error. */
CF_API int cf_reader_next(cf_reader *r, const char **json, size_t *len);
/* The run's members without steps, as JSON; all of them are there when next gave 0. */
CF_API const char *cf_reader_run(cf_reader *r);
CF_API void cf_reader_close(cf_reader *r);
/* Number of rules of the contract that the file breaks, or < 0; the first is in cf_error(). */
CF_API int cf_check(const char *path);

#ifdef __cplusplus
}
#endif
#endif
