/* One step as one line: what was done, with what, how it went. */
#include "sink/console_int.h"

#include "base/text.h"
#include "base/timefmt.h"

#include <stdio.h>

#define TEXT_WIDTH 60
#define TOOLS_SHOWN 4

/* A raw JSON value for a person: strings without their quotes, anything else as it is. */
void console_put_text(struct buf *b, struct arena *a, struct span raw, size_t width)
{
	struct span text = json_type_of(raw) == JSON_STRING ? json_text(a, raw) : raw;

	text_put_safe_cut(b, span_trim(text), width);
}

static void put_count(struct buf *b, struct span raw)
{
	char text[16] = "?";
	int64_t n;

	if (json_i64(raw, &n) && n >= 0)
		text_count((uint64_t)n, text);
	buf_add_text(b, text);
}

static void put_latency(struct buf *b, struct span raw)
{
	char text[16];
	int64_t ms;

	if (!json_i64(raw, &ms) || ms < 0)
		return;
	text_duration((uint64_t)ms * NS_PER_MS, text);
	buf_printf(b, "  %s", text);
}

/* "  error 429 rate_limit_error: message"; whether there was one. */
static bool put_error(struct buf *b, struct arena *a, const struct step *s)
{
	struct span error = json_get(s->metadata, "error"), part;
	int64_t status;

	if (!error.p)
		return false;
	buf_add_text(b, "  error");
	if (json_i64(json_get(error, "status"), &status) && status)
		buf_printf(b, " %lld", (long long)status);
	part = json_get(error, "type");
	if (part.p) {
		buf_add_char(b, ' ');
		console_put_text(b, a, part, 40);
	}
	part = json_get(error, "message");
	if (part.p) {
		buf_add_text(b, ": ");
		console_put_text(b, a, part, TEXT_WIDTH);
	}
	return true;
}

static void put_incomplete(struct buf *b, struct arena *a, const struct step *s)
{
	struct span reason = json_get(s->metadata, "reason");

	if (!json_true(json_get(s->metadata, "incomplete")))
		return;
	buf_add_text(b, "  INCOMPLETE");
	if (reason.p) {
		buf_add_text(b, ": ");
		console_put_text(b, a, reason, TEXT_WIDTH);
	}
}

/* "  -> Bash, Read": the tools that the answer asks for. */
static void put_asked(struct buf *b, struct arena *a, struct span output)
{
	struct json_iter it = json_iter(json_get(output, "content"));
	struct span part;
	size_t n = 0;

	if (json_type_of(output) != JSON_OBJECT ||
	    json_type_of(json_get(output, "content")) != JSON_ARRAY)
		return;
	while (json_next(&it, NULL, &part)) {
		if (!json_is(json_get(part, "type"), "tool_call"))
			continue;
		if (n++ < TOOLS_SHOWN) {
			buf_add_text(b, n == 1 ? "  -> " : ", ");
			console_put_text(b, a, json_get(part, "name"), 40);
		}
	}
	if (n > TOOLS_SHOWN)
		buf_printf(b, " and %zu more", n - TOOLS_SHOWN);
}

static void put_llm(struct console *c, const struct step *s, struct arena *a, struct buf *b)
{
	struct span cached = json_get(s->metadata, "tokens_cached");
	int64_t n;
	double cost;

	(void)c;
	if (s->values[LLM_PROVIDER].p) {
		console_put_text(b, a, s->values[LLM_PROVIDER], 20);
		buf_add_char(b, ' ');
	}
	console_put_text(b, a, s->values[LLM_MODEL].p ? s->values[LLM_MODEL] : SPAN("unknown"), 40);
	if (s->values[LLM_TOKENS_IN].p || s->values[LLM_TOKENS_OUT].p) {
		buf_add_text(b, "  ");
		put_count(b, s->values[LLM_TOKENS_IN]);
		buf_add_text(b, " -> ");
		put_count(b, s->values[LLM_TOKENS_OUT]);
		buf_add_text(b, " tok");
	}
	if (json_i64(cached, &n) && n > 0) {
		buf_add_text(b, " (");
		put_count(b, cached);
		buf_add_text(b, " cached)");
	}
	put_latency(b, s->values[LLM_LATENCY_MS]);
	if (json_double(s->values[LLM_COST], &cost))
		buf_printf(b, "  $%.3f", cost);
	if (!put_error(b, a, s))
		put_asked(b, a, s->values[LLM_OUTPUT]);
}

/* "3 processes, 1 file written, 2 hosts" out of metadata.effects. */
static void put_effects(struct buf *b, struct span effects)
{
	static const struct {
		const char *name, *one, *many;
	} rows[] = {
		{ "processes", "process", "processes" },
		{ "files", "file", "files" },
		{ "network", "connection", "connections" },
	};
	bool any = false;

	for (size_t i = 0; effects.p && i < sizeof(rows) / sizeof(*rows); i++) {
		struct span list = json_get(effects, rows[i].name);
		size_t n = json_type_of(list) == JSON_ARRAY ? json_count(list) : 0;

		if (!n)
			continue;
		buf_printf(b, "%s%zu %s", any ? ", " : "  ", n,
			   n == 1 ? rows[i].one : rows[i].many);
		any = true;
	}
}

/* A process that no tool call asked for: its command line, as a person would type it. */
static bool is_command(const struct step *s)
{
	return s->type == STEP_TOOL_CALL && json_is(s->values[TOOL_NAME], "exec") &&
	       json_is(json_get(s->metadata, "source"), "process");
}

static void put_command(const struct step *s, struct arena *a, struct buf *b)
{
	struct json_iter it = json_iter(json_get(s->values[TOOL_ARGUMENTS], "argv"));
	struct span word;
	struct buf line;

	buf_init(&line, 64 * 1024);
	while (json_next(&it, NULL, &word)) {
		if (line.len)
			buf_add_char(&line, ' ');
		buf_add_span(&line, json_text(a, word));
	}
	text_put_safe_cut(b, buf_span(&line), TEXT_WIDTH);
	buf_fini(&line);
	int64_t code;
	if (json_i64(json_get(s->values[TOOL_RESULT], "exit_code"), &code))
		buf_printf(b, "  exit %lld", (long long)code);
	put_latency(b, s->values[TOOL_LATENCY_MS]);
}

static void put_tool(struct console *c, const struct step *s, struct arena *a, struct buf *b)
{
	struct span arguments = s->values[TOOL_ARGUMENTS];

	(void)c;
	if (is_command(s)) {
		put_command(s, a, b);
		return;
	}
	console_put_text(b, a, s->values[TOOL_NAME], 40);
	if (json_count(arguments)) {
		buf_add_char(b, ' ');
		console_put_text(b, a, arguments, TEXT_WIDTH);
	}
	put_latency(b, s->values[TOOL_LATENCY_MS]);
	if (s->values[TOOL_ERROR].p) {
		buf_add_text(b, "  failed: ");
		console_put_text(b, a, s->values[TOOL_ERROR], TEXT_WIDTH);
	}
	put_effects(b, json_get(s->metadata, "effects"));
}

static void put_content(struct console *c, const struct step *s, struct arena *a, struct buf *b)
{
	size_t room = c->setup.width ? (size_t)c->setup.width : 100;

	/* UI_CONTENT and FO_CONTENT: the first field of both. */
	console_put_text(b, a, s->values[UI_CONTENT], room > 60 ? room - 40 : 20);
}

static void put_retrieval(struct console *c, const struct step *s, struct arena *a, struct buf *b)
{
	(void)c;
	console_put_text(b, a, s->values[RET_QUERY], TEXT_WIDTH);
	buf_add_text(b, "  ");
	put_count(b, s->values[RET_MATCH_COUNT]);
	buf_add_text(b, " results");
	put_latency(b, s->values[RET_LATENCY_MS]);
	put_error(b, a, s);
}

static void put_memory_read(struct console *c, const struct step *s, struct arena *a, struct buf *b)
{
	(void)c;
	console_put_text(b, a, s->values[MR_QUERY], TEXT_WIDTH);
	buf_add_text(b, "  ");
	put_count(b, s->values[MR_MATCH_COUNT]);
	buf_add_text(b, " found");
}

static void put_memory_write(struct console *c, const struct step *s, struct arena *a,
			     struct buf *b)
{
	(void)c;
	console_put_text(b, a, s->values[MW_OPERATION], 20);
	buf_add_char(b, ' ');
	console_put_text(b, a, s->values[MW_ENTITY_TYPE], 40);
	if (s->values[MW_KEY].p) {
		buf_add_char(b, ' ');
		console_put_text(b, a, s->values[MW_KEY], TEXT_WIDTH);
	}
}

static void put_state(struct console *c, const struct step *s, struct arena *a, struct buf *b)
{
	(void)c;
	console_put_text(b, a, s->values[SC_STATE_KEY], 40);
	buf_add_text(b, " = ");
	console_put_text(b, a, s->values[SC_NEW_VALUE], TEXT_WIDTH);
	if (s->values[SC_REASON].p) {
		buf_add_text(b, "  ");
		console_put_text(b, a, s->values[SC_REASON], TEXT_WIDTH);
	}
}

static void put_interrupt(struct console *c, const struct step *s, struct arena *a, struct buf *b)
{
	(void)c;
	console_put_text(b, a, s->values[INT_PROMPT], TEXT_WIDTH);
	buf_add_text(b, " -> ");
	console_put_text(b, a, s->values[INT_RESPONSE], TEXT_WIDTH);
	put_latency(b, s->values[INT_WAIT_MS]);
}

static const struct {
	const char *word;
	void (*put)(struct console *c, const struct step *s, struct arena *a, struct buf *b);
} rows[STEP_TYPES] = {
	[STEP_USER_INPUT] = { "user", put_content },
	[STEP_LLM_CALL] = { "llm", put_llm },
	[STEP_TOOL_CALL] = { "tool", put_tool },
	[STEP_RETRIEVAL] = { "search", put_retrieval },
	[STEP_MEMORY_READ] = { "recall", put_memory_read },
	[STEP_MEMORY_WRITE] = { "store", put_memory_write },
	[STEP_STATE_CHANGE] = { "state", put_state },
	[STEP_INTERRUPT] = { "asked", put_interrupt },
	[STEP_FINAL_OUTPUT] = { "final", put_content },
};

/* "claude[812]", padded so that what follows stands in a column. */
static void put_process(struct buf *b, struct arena *a, const struct step *s)
{
	struct span process = json_get(s->metadata, "process");
	size_t start = b->len;
	int64_t pid;

	if (process.p)
		console_put_text(b, a, process, 24);
	if (json_i64(json_get(s->metadata, "pid"), &pid))
		buf_printf(b, "[%lld]", (long long)pid);
	while (b->len - start < 14)
		buf_add_char(b, ' ');
}

bool console_describe(struct console *c, const struct step *s, struct buf *out)
{
	struct arena a;

	arena_init(&a);
	if (json_is(json_get(s->metadata, "source"), "process"))
		buf_add_text(out, " `- ");
	else
		buf_add_char(out, ' ');
	put_process(out, &a, s);
	buf_printf(out, " %-6s ", is_command(s) ? "exec" : rows[s->type].word);
	rows[s->type].put(c, s, &a, out);
	put_incomplete(out, &a, s);
	arena_fini(&a);
	return true;
}

void console_note(struct names *set, struct span text)
{
	static char there; /* a set needs no values */

	if (text.len && !names_get(set, text))
		names_set(set, text, &there);
}

static void note_all(struct names *set, struct arena *a, struct span list, const char *member)
{
	struct json_iter it = json_iter(list);
	struct span item;

	if (json_type_of(list) != JSON_ARRAY)
		return;
	while (json_next(&it, NULL, &item))
		console_note(set, json_type_of(item) == JSON_OBJECT ? json_get_text(a, item, member)
								    : json_text(a, item));
}

/* Sums that a run's totals do not hold. */
void console_count_step(struct console *c, const struct step *s)
{
	struct span http = json_get(s->metadata, "http"),
		    effects = json_get(s->metadata, "effects");
	struct arena a;

	arena_init(&a);
	if (http.p)
		console_note(&c->hosts, json_get_text(&a, http, "host"));
	if (effects.p)
		note_all(&c->files, &a, json_get(effects, "files"), "path");
	arena_fini(&a);
}
