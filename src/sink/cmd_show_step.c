#include "sink/cmd_show.h"

#include "base/text.h"
#include "base/timefmt.h"

#include <stdio.h>

#define CONTENT_WIDTH 80
#define SHORT_WIDTH 48

static const char *const colors[] = {
	[COLOR_NONE] = "\033[0m",     [COLOR_DIM] = "\033[2m",    [COLOR_BOLD] = "\033[1m", [COLOR_RED] = "\033[31m",
	[COLOR_YELLOW] = "\033[33m",  [COLOR_GREEN] = "\033[32m", [COLOR_CYAN] = "\033[36m",
};

void show_color(struct show *s, enum show_color c)
{
	if (s->color)
		buf_add_text(&s->out, colors[c]);
}

void show_text(struct show *s, struct span text, size_t width)
{
	if (s->full)
		text_put_safe(&s->out, text);
	else
		text_put_safe_cut(&s->out, text, width);
}

void show_value(struct show *s, struct arena *a, struct span raw, size_t width)
{
	struct span text = json_text(a, raw);

	show_text(s, text.p ? text : raw, width);
}

static void put_duration(struct show *s, struct span ms)
{
	int64_t n;
	char text[16];

	if (!json_i64(ms, &n) || n < 0 || (uint64_t)n > UINT64_MAX / NS_PER_MS / 2)
		return;
	text_duration((uint64_t)n * NS_PER_MS, text);
	buf_printf(&s->out, "  %s", text);
}

static bool put_tokens(struct show *s, struct span raw)
{
	int64_t n;
	char text[16];

	if (!json_i64(raw, &n) || n < 0) {
		buf_add_char(&s->out, '?');
		return false;
	}
	text_count((uint64_t)n, text);
	buf_add_text(&s->out, text);
	return true;
}

/* The provider's own object, in the words of the providers that say it. */
static int64_t cached_tokens(struct span metadata)
{
	static const char *const paths[] = {
		"usage.cache_read_input_tokens", "usage.prompt_tokens_details.cached_tokens",
		"usage.input_tokens_details.cached_tokens", "usage.cachedContentTokenCount", NULL,
	};
	int64_t n = 0;

	for (const char *const *path = paths; metadata.p && *path; path++)
		if (json_i64(json_path(metadata, *path), &n) && n > 0)
			return n;
	return 0;
}

/* The answer's content parts of one type. */
static bool put_parts(struct show *s, struct arena *a, struct span output, const char *type, const char *member)
{
	struct json_iter it = json_iter(json_get(output, "content"));
	struct span part;
	bool any = false;

	while (json_next(&it, NULL, &part)) {
		if (json_type_of(part) != JSON_OBJECT || !json_is(json_get(part, "type"), type))
			continue;
		buf_add_text(&s->out, any ? ", " : "  -> ");
		show_value(s, a, json_get(part, member), SHORT_WIDTH);
		any = true;
	}
	return any;
}

static void put_output(struct show *s, struct arena *a, struct span output)
{
	if (json_type_of(output) == JSON_OBJECT) {
		if (!put_parts(s, a, output, "tool_call", "name"))
			put_parts(s, a, output, "text", "text");
	} else if (output.len > 2) {
		buf_add_text(&s->out, "  ");
		show_value(s, a, output, CONTENT_WIDTH);
	}
}

static void put_llm(struct show *s, struct arena *a, const struct step *st)
{
	const struct span *v = st->values;
	int64_t cached = cached_tokens(st->metadata);
	double cost;
	char text[16];

	if (v[LLM_PROVIDER].p) {
		show_value(s, a, v[LLM_PROVIDER], SHORT_WIDTH);
		buf_add_char(&s->out, ' ');
	}
	show_value(s, a, v[LLM_MODEL], SHORT_WIDTH);
	if (v[LLM_TOKENS_IN].p || v[LLM_TOKENS_OUT].p) {
		buf_add_text(&s->out, "  ");
		put_tokens(s, v[LLM_TOKENS_IN]);
		buf_add_text(&s->out, " -> ");
		put_tokens(s, v[LLM_TOKENS_OUT]);
		buf_add_text(&s->out, " tok");
	}
	if (cached) {
		text_count((uint64_t)cached, text);
		buf_printf(&s->out, " (%s cached)", text);
	}
	put_duration(s, v[LLM_LATENCY_MS]);
	if (json_double(v[LLM_COST], &cost))
		buf_printf(&s->out, cost < 0.01 && cost > 0 ? "  $%.5f" : "  $%.3f", cost);
	put_output(s, a, v[LLM_OUTPUT]);
}

static void put_tool(struct show *s, struct arena *a, const struct step *st)
{
	const struct span *v = st->values;
	bool failed = json_type_of(v[TOOL_SUCCESS]) == JSON_FALSE;

	show_color(s, COLOR_BOLD);
	show_value(s, a, v[TOOL_NAME], SHORT_WIDTH);
	show_color(s, COLOR_NONE);
	if (v[TOOL_ARGUMENTS].len > 2) {
		buf_add_text(&s->out, "  ");
		show_text(s, v[TOOL_ARGUMENTS], CONTENT_WIDTH);
	}
	if (v[TOOL_SUCCESS].p) {
		show_color(s, failed ? COLOR_RED : COLOR_GREEN);
		buf_add_text(&s->out, failed ? "  failed" : "  ok");
		show_color(s, COLOR_NONE);
	}
	put_duration(s, v[TOOL_LATENCY_MS]);
	if (v[TOOL_ERROR].p) {
		buf_add_text(&s->out, "  ");
		show_color(s, COLOR_RED);
		show_value(s, a, v[TOOL_ERROR], CONTENT_WIDTH);
		show_color(s, COLOR_NONE);
	} else if (v[TOOL_RESULT].len > 2) {
		buf_add_text(&s->out, "  = ");
		show_value(s, a, v[TOOL_RESULT], SHORT_WIDTH);
	}
}

static void put_found(struct show *s, struct arena *a, struct span query, struct span count, struct span latency)
{
	show_value(s, a, query, CONTENT_WIDTH);
	buf_add_text(&s->out, "  -> ");
	show_text(s, count, 20);
	buf_add_text(&s->out, " found");
	put_duration(s, latency);
}

static void put_memory_write(struct show *s, struct arena *a, const struct span *v)
{
	show_value(s, a, v[MW_OPERATION], SHORT_WIDTH);
	buf_add_char(&s->out, ' ');
	show_value(s, a, v[MW_ENTITY_TYPE], SHORT_WIDTH);
	if (v[MW_KEY].p || v[MW_ENTITY_ID].p) {
		buf_add_char(&s->out, ' ');
		show_value(s, a, v[MW_KEY].p ? v[MW_KEY] : v[MW_ENTITY_ID], SHORT_WIDTH);
	}
	if (v[MW_CHANGES].p)
		buf_printf(&s->out, "  %zu changes", json_count(v[MW_CHANGES]));
}

static void put_state(struct show *s, struct arena *a, const struct span *v)
{
	show_value(s, a, v[SC_STATE_KEY], SHORT_WIDTH);
	if (v[SC_OLD_VALUE].p) {
		buf_add_text(&s->out, "  ");
		show_value(s, a, v[SC_OLD_VALUE], SHORT_WIDTH);
		buf_add_text(&s->out, " ->");
	}
	buf_add_text(&s->out, "  ");
	show_value(s, a, v[SC_NEW_VALUE], SHORT_WIDTH);
	if (v[SC_REASON].p) {
		buf_add_text(&s->out, "  (");
		show_value(s, a, v[SC_REASON], SHORT_WIDTH);
		buf_add_char(&s->out, ')');
	}
}

static void put_interrupt(struct show *s, struct arena *a, const struct span *v)
{
	show_value(s, a, v[INT_PROMPT], CONTENT_WIDTH);
	buf_add_text(&s->out, "  <- ");
	show_value(s, a, v[INT_RESPONSE], CONTENT_WIDTH);
	put_duration(s, v[INT_WAIT_MS]);
}

static const struct {
	const char *name;
	enum show_color color;
} looks[STEP_TYPES] = {
	[STEP_USER_INPUT] = { "user  ", COLOR_GREEN },    [STEP_LLM_CALL] = { "llm   ", COLOR_CYAN },
	[STEP_TOOL_CALL] = { "tool  ", COLOR_YELLOW },    [STEP_RETRIEVAL] = { "search", COLOR_CYAN },
	[STEP_MEMORY_READ] = { "recall", COLOR_CYAN },    [STEP_MEMORY_WRITE] = { "memory", COLOR_CYAN },
	[STEP_STATE_CHANGE] = { "state ", COLOR_DIM },    [STEP_INTERRUPT] = { "ask   ", COLOR_GREEN },
	[STEP_FINAL_OUTPUT] = { "final ", COLOR_GREEN },
};

static void put_what(struct show *s, struct arena *a, const struct step *st)
{
	const struct span *v = st->values;

	switch (st->type) {
	case STEP_LLM_CALL:
		put_llm(s, a, st);
		break;
	case STEP_TOOL_CALL:
		put_tool(s, a, st);
		break;
	case STEP_RETRIEVAL:
		put_found(s, a, v[RET_QUERY], v[RET_MATCH_COUNT], v[RET_LATENCY_MS]);
		break;
	case STEP_MEMORY_READ:
		put_found(s, a, v[MR_QUERY], v[MR_MATCH_COUNT], SPAN_NONE);
		break;
	case STEP_MEMORY_WRITE:
		put_memory_write(s, a, v);
		break;
	case STEP_STATE_CHANGE:
		put_state(s, a, v);
		break;
	case STEP_INTERRUPT:
		put_interrupt(s, a, v);
		break;
	default:
		show_value(s, a, v[0], CONTENT_WIDTH); /* content */
	}
}

/* Counts what metadata.effects lists: "  2 processes, 1 file". */
static void put_effects(struct show *s, struct span effects)
{
	static const char *const names[][3] = {
		{ "processes", "process", "processes" }, { "files", "file", "files" }, { "network", "connection", "connections" },
	};
	bool any = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct span list = json_get(effects, names[i][0]);
		size_t n = json_type_of(list) == JSON_ARRAY ? json_count(list) : 0;
		if (!n)
			continue;
		buf_printf(&s->out, "%s%zu %s", any ? ", " : "  ", n, names[i][n > 1 ? 2 : 1]);
		any = true;
	}
}

static void put_troubles(struct show *s, struct arena *a, struct span metadata)
{
	struct span error = json_get(metadata, "error"), incomplete = json_get(metadata, "incomplete");
	struct span lost = json_get(metadata, "missing_bytes"), reason = json_get(metadata, "reason");

	if (error.p) {
		struct span message = json_type_of(error) == JSON_OBJECT ? json_get(error, "message") : error;
		show_color(s, COLOR_RED);
		buf_add_text(&s->out, "  error: ");
		show_value(s, a, message.p ? message : error, CONTENT_WIDTH);
		show_color(s, COLOR_NONE);
	}
	if (incomplete.p && json_type_of(incomplete) != JSON_FALSE) {
		show_color(s, COLOR_YELLOW);
		buf_add_text(&s->out, "  [incomplete");
		if (reason.p) {
			buf_add_text(&s->out, ": ");
			show_value(s, a, reason, SHORT_WIDTH);
		}
		if (lost.p) {
			buf_add_text(&s->out, ", missing bytes: ");
			show_text(s, lost, 20);
		}
		buf_add_char(&s->out, ']');
		show_color(s, COLOR_NONE);
	}
}

void show_step(struct show *s, struct arena *a, const struct step *st)
{
	show_color(s, looks[st->type].color);
	buf_add_text(&s->out, looks[st->type].name);
	show_color(s, COLOR_NONE);
	buf_add_text(&s->out, "  ");
	put_what(s, a, st);
	if (st->metadata.p) {
		struct span effects = json_get(st->metadata, "effects");
		if (json_type_of(effects) == JSON_OBJECT)
			put_effects(s, effects);
		put_troubles(s, a, st->metadata);
	}
}

static void add_number(uint64_t *sum, struct span raw)
{
	int64_t n;

	if (json_i64(raw, &n) && n > 0)
		*sum += (uint64_t)n;
}

void show_count_step(struct show_totals *t, const struct step *st)
{
	const struct span *v = st->values;
	struct span incomplete = st->metadata.p ? json_get(st->metadata, "incomplete") : SPAN_NONE;
	double cost;

	t->steps++;
	t->llm_calls += st->type == STEP_LLM_CALL;
	t->tool_calls += st->type == STEP_TOOL_CALL;
	t->retrievals += st->type == STEP_RETRIEVAL;
	t->memory += st->type == STEP_MEMORY_READ || st->type == STEP_MEMORY_WRITE;
	t->incomplete += incomplete.p && json_type_of(incomplete) != JSON_FALSE;
	t->errors += (st->metadata.p && json_get(st->metadata, "error").p) ||
		     (st->type == STEP_TOOL_CALL && json_type_of(v[TOOL_SUCCESS]) == JSON_FALSE);
	if (st->type != STEP_LLM_CALL)
		return;
	add_number(&t->tokens_in, v[LLM_TOKENS_IN]);
	add_number(&t->tokens_out, v[LLM_TOKENS_OUT]);
	t->tokens_cached += (uint64_t)cached_tokens(st->metadata);
	if (json_double(v[LLM_COST], &cost)) {
		t->cost += cost;
		t->has_cost = true;
	}
}
