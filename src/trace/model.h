/*
 * The trace model: steps and runs of the contract ("contextforge-trace/1"), for the daemon and the tracer library
 * alike. A step is a row of raw JSON values keyed by a table of fields: building, checking, writing, loading and the
 * generated JSON Schema all walk the same table.
 */
#ifndef CF_TRACE_MODEL_H
#define CF_TRACE_MODEL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/span.h"

enum step_type {
	STEP_USER_INPUT,
	STEP_LLM_CALL,
	STEP_TOOL_CALL,
	STEP_RETRIEVAL,
	STEP_MEMORY_READ,
	STEP_MEMORY_WRITE,
	STEP_STATE_CHANGE,
	STEP_INTERRUPT,
	STEP_FINAL_OUTPUT,
	STEP_TYPES,
};

enum value_kind {
	VALUE_TEXT,
	VALUE_ANY,
	VALUE_OBJECT,
	VALUE_ARRAY,
	VALUE_INT,
	VALUE_NUMBER,
	VALUE_BOOL,
	VALUE_TEXT_OR_ARRAY,  /* llm_call.input: text or messages */
	VALUE_TEXT_OR_OBJECT,
	VALUE_TEXTS,          /* array of text */
	VALUE_NUMBERS,        /* array of numbers */
};

struct step_field {
	const char *name;
	enum value_kind kind;
	bool required;
	const char *empty;                /* raw JSON instead of the kind's empty value */
	const char *const *one_of;        /* the texts that are allowed, NULL at the end */
	const char *also_read;            /* one more that readers accept and writers never emit */
	const struct step_field *members; /* of the object, or of each object in the array; ends at one without a name */
};

#define STEP_MAX_FIELDS 12

struct step_schema {
	const char *name; /* "llm_call" */
	struct step_field fields[STEP_MAX_FIELDS]; /* ends at the first without a name; the index is the slot in struct step */
};
extern const struct step_schema step_schemas[STEP_TYPES];

/* Slots by name, so that code does not count: the order of the fields in the table. */
enum { UI_CONTENT, UI_INPUT_TYPE };
enum { LLM_MODEL, LLM_INPUT, LLM_OUTPUT, LLM_TOKENS_IN, LLM_TOKENS_OUT, LLM_TOKENS_TOTAL, LLM_LATENCY_MS, LLM_COST, LLM_PROVIDER };
enum { TOOL_NAME, TOOL_ARGUMENTS, TOOL_RESULT, TOOL_LATENCY_MS, TOOL_SUCCESS, TOOL_ERROR, TOOL_RESOURCE_IMPACT };
enum { RET_QUERY, RET_RESULTS, RET_MATCH_COUNT, RET_LATENCY_MS };
enum { MR_QUERY, MR_RESULTS, MR_MATCH_COUNT, MR_RELEVANCE_SCORES, MR_TOTAL_AVAILABLE };
enum { MW_ENTITY_TYPE, MW_OPERATION, MW_DATA, MW_ENTITY_ID, MW_NAMESPACE, MW_KEY, MW_CHANGES, MW_TRIGGERED_BY };
enum { SC_STATE_KEY, SC_NEW_VALUE, SC_OLD_VALUE, SC_REASON };
enum { INT_PROMPT, INT_RESPONSE, INT_WAIT_MS };
enum { FO_CONTENT, FO_FORMAT };

/* The model's own schema name, written into the metadata of every run. */
#define TRACE_SCHEMA "contextforge-trace/1"

extern const struct step_field agent_fields[], task_fields[];

/* The type with this name, or -1. */
int step_type_of(const char *name, size_t len);
/* Raw JSON of a required value that is not known. */
const char *step_empty_value(const struct step_field *f);
/* Slot of a member's name in this type; the contract's aliases are known too. -1: none. */
int step_slot(enum step_type type, struct span name);

struct step {
	enum step_type type;
	struct span id;        /* text */
	struct span parent_id; /* text; SPAN_NONE: none */
	int64_t began_ns;      /* unix time: written as timestamp */
	struct span values[STEP_MAX_FIELDS]; /* raw JSON; SPAN_NONE: left out (required ones: empty value + metadata.missing) */
	struct span metadata;  /* raw JSON object, or SPAN_NONE */
	struct span extra;     /* members that this version does not know, as `"a":1,"b":2` without braces; kept */
};

/*
 * {"step_id":...,"step_type":...} on one line, whatever white space the raw values hold. Required values that are absent
 * are written as their type's empty value and named in metadata.missing. Bytes that are not UTF-8 and lone surrogates
 * become U+FFFD and set metadata.invalid_utf8. 0 or -ENOSPC: then nothing was added.
 */
int step_write(const struct step *s, struct buf *out);

/* A raw value as the trace holds it: one line, valid UTF-8. *repaired (may be NULL) is set when bytes were replaced. */
int value_put(struct buf *out, struct span raw, bool *repaired);

/* What is wrong with the text inside a raw value: bytes that are not UTF-8, half a surrogate pair. NULL: nothing. */
const char *value_damage(struct span raw);

struct problem {
	char place[160];   /* "steps[3].tokens_in" */
	char message[200];
};
/* Sets the place and the message, cut to their room. Always -EINVAL. */
int problem_set(struct problem *why, const char *place, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Reads one step from a JSON object that json_value accepted; spans point into `raw` or the arena. Aliases of the contract
 * are read. 0; -EINVAL with *why; -ENOTSUP: unknown step type (skip it with a warning). */
int step_read(struct span raw, struct arena *a, struct step *out, struct problem *why);

/* Head and tail of a run; all JSON texts raw. */
struct run_info {
	struct span run_id;
	int64_t started_ns;    /* unix */
	int64_t ended_ns;      /* 0: open */
	struct span agent_info; /* raw object, required */
	struct span task_info;  /* raw object or SPAN_NONE */
	struct span metadata;   /* raw object or SPAN_NONE */
	struct span extra;      /* unknown members, kept */
};

/* The file is: head, steps, tail. Members in the order run_id, started_at, ended_at, agent_info, task_info, metadata, steps. */
int run_write_head(const struct run_info *r, struct buf *out); /* up to and including `"steps":[` */
int run_write_tail(struct buf *out);                           /* `]}` and a newline */
/* The same members as one object without steps, on one line: the first line of a journal. */
int run_write_line(const struct run_info *r, struct buf *out);
/* Takes one member of the run object; `steps` is not for it. 0, or -EINVAL with *why. Texts point into raw or the arena. */
int run_read_member(struct run_info *r, struct arena *a, struct span key, struct span value, struct problem *why);

#endif
