#include "trace/model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const input_types[] = { "text", "file", "voice", "image", NULL };
static const char *const operations[] = { "add", "update", "delete", NULL };

static const struct step_field result_members[] = {
	{ "content", VALUE_TEXT, true },
	{ "score", VALUE_NUMBER },
	{ "metadata", VALUE_OBJECT },
	{ NULL },
};

static const struct step_field change_members[] = {
	{ "path", VALUE_TEXT, true },
	{ "old_value", VALUE_ANY },
	{ "new_value", VALUE_ANY },
	{ NULL },
};

static const struct step_field impact_members[] = {
	{ "amount", VALUE_NUMBER, true },
	{ "unit", VALUE_TEXT, true },
	{ "breakdown", VALUE_OBJECT },
	{ NULL },
};

static const struct step_field message_members[] = {
	{ "role", VALUE_TEXT, true },
	{ "content", VALUE_TEXT_OR_ARRAY, true },
	{ NULL },
};

const struct step_field agent_fields[] = {
	{ "name", VALUE_TEXT, true },
	{ "version", VALUE_TEXT },
	{ "framework", VALUE_TEXT },
	{ "framework_version", VALUE_TEXT },
	{ NULL },
};

const struct step_field task_fields[] = {
	{ "description", VALUE_TEXT },
	{ "goal", VALUE_TEXT },
	{ "input", VALUE_OBJECT },
	{ NULL },
};

const struct step_schema step_schemas[STEP_TYPES] = {
	[STEP_USER_INPUT] = { "user_input", {
		[UI_CONTENT] = { "content", VALUE_TEXT, true },
		[UI_INPUT_TYPE] = { "input_type", VALUE_TEXT, .one_of = input_types },
	} },
	[STEP_LLM_CALL] = { "llm_call", {
		[LLM_MODEL] = { "model", VALUE_TEXT, true, .empty = "\"unknown\"" },
		[LLM_INPUT] = { "input", VALUE_TEXT_OR_ARRAY, true, .members = message_members },
		[LLM_OUTPUT] = { "output", VALUE_TEXT_OR_OBJECT, true },
		[LLM_TOKENS_IN] = { "tokens_in", VALUE_INT },
		[LLM_TOKENS_OUT] = { "tokens_out", VALUE_INT },
		[LLM_TOKENS_TOTAL] = { "tokens_total", VALUE_INT },
		[LLM_LATENCY_MS] = { "latency_ms", VALUE_INT },
		[LLM_COST] = { "cost_estimate", VALUE_NUMBER },
		[LLM_PROVIDER] = { "provider", VALUE_TEXT },
	} },
	[STEP_TOOL_CALL] = { "tool_call", {
		[TOOL_NAME] = { "tool_name", VALUE_TEXT, true },
		[TOOL_ARGUMENTS] = { "arguments", VALUE_OBJECT, true },
		[TOOL_RESULT] = { "result", VALUE_ANY, true },
		[TOOL_LATENCY_MS] = { "latency_ms", VALUE_INT },
		[TOOL_SUCCESS] = { "success", VALUE_BOOL },
		[TOOL_ERROR] = { "error", VALUE_TEXT },
		[TOOL_RESOURCE_IMPACT] = { "resource_impact", VALUE_OBJECT, .members = impact_members },
	} },
	[STEP_RETRIEVAL] = { "retrieval", {
		[RET_QUERY] = { "query", VALUE_TEXT, true },
		[RET_RESULTS] = { "results", VALUE_ARRAY, true, .members = result_members },
		[RET_MATCH_COUNT] = { "match_count", VALUE_INT, true },
		[RET_LATENCY_MS] = { "latency_ms", VALUE_INT },
	} },
	[STEP_MEMORY_READ] = { "memory_read", {
		[MR_QUERY] = { "query", VALUE_TEXT_OR_OBJECT, true },
		[MR_RESULTS] = { "results", VALUE_ARRAY, true },
		[MR_MATCH_COUNT] = { "match_count", VALUE_INT, true },
		[MR_RELEVANCE_SCORES] = { "relevance_scores", VALUE_NUMBERS },
		[MR_TOTAL_AVAILABLE] = { "total_available", VALUE_INT },
	} },
	[STEP_MEMORY_WRITE] = { "memory_write", {
		[MW_ENTITY_TYPE] = { "entity_type", VALUE_TEXT, true },
		/* No text is both empty and allowed: metadata.missing says that this one is not known. */
		[MW_OPERATION] = { "operation", VALUE_TEXT, true, .empty = "\"update\"", .one_of = operations,
				   .also_read = "put" },
		[MW_DATA] = { "data", VALUE_OBJECT, true },
		[MW_ENTITY_ID] = { "entity_id", VALUE_TEXT },
		[MW_NAMESPACE] = { "namespace", VALUE_TEXTS },
		[MW_KEY] = { "key", VALUE_TEXT },
		[MW_CHANGES] = { "changes", VALUE_ARRAY, .members = change_members },
		[MW_TRIGGERED_BY] = { "triggered_by_step_id", VALUE_TEXT },
	} },
	[STEP_STATE_CHANGE] = { "state_change", {
		[SC_STATE_KEY] = { "state_key", VALUE_TEXT, true },
		[SC_NEW_VALUE] = { "new_value", VALUE_ANY, true },
		[SC_OLD_VALUE] = { "old_value", VALUE_ANY },
		[SC_REASON] = { "reason", VALUE_TEXT },
	} },
	[STEP_INTERRUPT] = { "interrupt", {
		[INT_PROMPT] = { "prompt", VALUE_TEXT, true },
		[INT_RESPONSE] = { "response", VALUE_TEXT_OR_OBJECT, true },
		[INT_WAIT_MS] = { "wait_duration_ms", VALUE_INT, true },
	} },
	[STEP_FINAL_OUTPUT] = { "final_output", {
		[FO_CONTENT] = { "content", VALUE_ANY, true },
		[FO_FORMAT] = { "format", VALUE_TEXT },
	} },
};

/* Names that OpenInference users write, and the kinds of its spans. */
static const struct {
	const char *name;
	enum step_type type;
} kind_aliases[] = {
	{ "LLM", STEP_LLM_CALL },        { "EMBEDDING", STEP_LLM_CALL },   { "TOOL", STEP_TOOL_CALL },
	{ "RETRIEVER", STEP_RETRIEVAL }, { "CHAIN", STEP_STATE_CHANGE },   { "AGENT", STEP_STATE_CHANGE },
	{ "RERANKER", STEP_RETRIEVAL },  { "GUARDRAIL", STEP_STATE_CHANGE },
};

static const struct {
	enum step_type type;
	int slot;
	const char *name;
} slot_aliases[] = {
	{ STEP_LLM_CALL, LLM_MODEL, "llm.model_name" },
	{ STEP_LLM_CALL, LLM_TOKENS_IN, "llm.token_count.prompt" },
	{ STEP_LLM_CALL, LLM_TOKENS_OUT, "llm.token_count.completion" },
};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

int step_type_of(const char *name, size_t len)
{
	struct span text = span_at(name, len);

	for (int t = 0; t < STEP_TYPES; t++)
		if (span_is(text, step_schemas[t].name))
			return t;
	for (size_t i = 0; i < N_OF(kind_aliases); i++)
		if (span_is(text, kind_aliases[i].name))
			return kind_aliases[i].type;
	return -1;
}

int step_slot(enum step_type type, struct span name)
{
	const struct step_field *f = step_schemas[type].fields;

	for (int i = 0; i < STEP_MAX_FIELDS && f[i].name; i++)
		if (span_is(name, f[i].name))
			return i;
	if (!memchr(name.p, '.', name.len))
		return -1;
	for (size_t i = 0; i < N_OF(slot_aliases); i++)
		if (slot_aliases[i].type == type && span_is(name, slot_aliases[i].name))
			return slot_aliases[i].slot;
	return -1;
}

const char *step_empty_value(const struct step_field *f)
{
	if (f->empty)
		return f->empty;
	switch (f->kind) {
	case VALUE_OBJECT:
		return "{}";
	case VALUE_ARRAY:
	case VALUE_TEXTS:
	case VALUE_NUMBERS:
		return "[]";
	case VALUE_INT:
	case VALUE_NUMBER:
		return "0";
	case VALUE_BOOL:
		return "false";
	default:
		return "\"\"";
	}
}

int problem_set(struct problem *why, const char *place, const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return -EINVAL;
	snprintf(why->place, sizeof(why->place), "%s", place);
	va_start(ap, fmt);
	vsnprintf(why->message, sizeof(why->message), fmt, ap);
	va_end(ap);
	return -EINVAL;
}
