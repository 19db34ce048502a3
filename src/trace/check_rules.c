#include "trace/check_rules.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

static void put_place(char *out, size_t cap, const struct place *at)
{
	size_t len;

	if (!at)
		return;
	put_place(out, cap, at->of);
	len = strlen(out);
	if (!at->name)
		snprintf(out + len, cap - len, "[%zu]", at->index);
	else
		snprintf(out + len, cap - len, "%s%s", len ? "." : "", at->name);
}

void check_say(struct check *c, bool warning, const struct place *at, const char *fmt, ...)
{
	struct problem p = { "", "" };
	va_list ap;

	put_place(p.place, sizeof(p.place), at);
	va_start(ap, fmt);
	vsnprintf(p.message, sizeof(p.message), fmt, ap);
	va_end(ap);
	if (warning)
		c->warnings++;
	else
		c->problems++;
	if (c->on_problem)
		c->on_problem(c->ctx, &p, warning);
}

static const char *const kind_names[] = {
	[VALUE_TEXT] = "text",
	[VALUE_ANY] = "a value",
	[VALUE_OBJECT] = "an object",
	[VALUE_ARRAY] = "an array",
	[VALUE_INT] = "a whole number, 0 or more",
	[VALUE_NUMBER] = "a number",
	[VALUE_BOOL] = "true or false",
	[VALUE_TEXT_OR_ARRAY] = "text or an array of objects",
	[VALUE_TEXT_OR_OBJECT] = "text or an object",
	[VALUE_TEXTS] = "an array of text",
	[VALUE_NUMBERS] = "an array of numbers",
};

static bool all_of(struct span array, enum json_type type)
{
	struct json_iter it = json_iter(array);
	struct span value;

	while (json_next(&it, NULL, &value))
		if (json_type_of(value) != type)
			return false;
	return true;
}

static bool kind_fits(enum value_kind kind, struct span raw)
{
	enum json_type type = json_type_of(raw);
	int64_t n;

	switch (kind) {
	case VALUE_TEXT:
		return type == JSON_STRING;
	case VALUE_ANY:
		return true;
	case VALUE_OBJECT:
		return type == JSON_OBJECT;
	case VALUE_ARRAY:
		return type == JSON_ARRAY;
	case VALUE_INT:
		return json_i64(raw, &n) && n >= 0;
	case VALUE_NUMBER:
		return type == JSON_NUMBER;
	case VALUE_BOOL:
		return type == JSON_TRUE || type == JSON_FALSE;
	case VALUE_TEXT_OR_ARRAY:
		return type == JSON_STRING || (type == JSON_ARRAY && all_of(raw, JSON_OBJECT));
	case VALUE_TEXT_OR_OBJECT:
		return type == JSON_STRING || type == JSON_OBJECT;
	case VALUE_TEXTS:
		return type == JSON_ARRAY && all_of(raw, JSON_STRING);
	case VALUE_NUMBERS:
		return type == JSON_ARRAY && all_of(raw, JSON_NUMBER);
	}
	return false;
}

static void check_one_of(struct check *c, const struct step_field *f, struct span raw, const struct place *at)
{
	char list[120] = "";
	size_t len = 0;

	for (const char *const *text = f->one_of; *text; text++)
		if (json_is(raw, *text))
			return;
	if (!c->strict && f->also_read && json_is(raw, f->also_read))
		return;
	for (const char *const *text = f->one_of; *text; text++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", *text);
	check_say(c, false, at, "must be one of: %s", list);
}

void check_members(struct check *c, const struct step_field *fields, struct span object, const struct place *at)
{
	struct span values[STEP_MAX_FIELDS] = { 0 }, key, value;
	struct json_iter it = json_iter(object);

	while (json_next(&it, &key, &value))
		for (int i = 0; fields[i].name; i++)
			if (json_is(key, fields[i].name))
				values[i] = value;
	for (int i = 0; fields[i].name; i++) {
		struct place member = { at, fields[i].name, 0 };
		bool null = json_type_of(values[i]) == JSON_NULL;
		if (!values[i].p && fields[i].required)
			check_say(c, false, &member, "is required");
		else if (values[i].p && (fields[i].required || !null))
			check_value(c, &fields[i], values[i], &member);
	}
}

static void check_items(struct check *c, const struct step_field *f, struct span array, const struct place *at)
{
	struct json_iter it = json_iter(array);
	struct place item = { at, NULL, 0 };
	struct span value;

	for (; json_next(&it, NULL, &value); item.index++) {
		if (json_type_of(value) == JSON_OBJECT)
			check_members(c, f->members, value, &item);
		else
			check_say(c, false, &item, "must be an object");
	}
}

void check_value(struct check *c, const struct step_field *f, struct span raw, const struct place *at)
{
	enum json_type type = json_type_of(raw);

	if (!kind_fits(f->kind, raw)) {
		check_say(c, false, at, "must be %s", kind_names[f->kind]);
		return;
	}
	if (f->one_of)
		check_one_of(c, f, raw, at);
	if (!f->members)
		return;
	if (f->kind == VALUE_TEXT_OR_ARRAY) {
		/* Others' messages have any form: only what we write is held to ours. */
		if (type == JSON_ARRAY && c->strict)
			check_messages(c, raw, at);
	} else if (type == JSON_ARRAY) {
		check_items(c, f, raw, at);
	} else if (type == JSON_OBJECT) {
		check_members(c, f->members, raw, at);
	}
}

static const struct step_field text_part[] = { { "text", VALUE_TEXT, true }, { NULL } };
static const struct step_field call_part[] = {
	{ "id", VALUE_TEXT },
	{ "name", VALUE_TEXT, true },
	{ "arguments", VALUE_ANY, true },
	{ NULL },
};
static const struct step_field result_part[] = {
	{ "id", VALUE_TEXT },
	{ "content", VALUE_ANY, true },
	{ "is_error", VALUE_BOOL },
	{ NULL },
};
static const struct step_field other_part[] = { { "value", VALUE_ANY, true }, { NULL } };
static const struct step_field no_part[] = { { NULL } };

static const struct {
	const char *type;
	const struct step_field *fields;
} parts[] = {
	{ "text", text_part },   { "tool_call", call_part }, { "tool_result", result_part }, { "reasoning", text_part },
	{ "image", no_part },    { "audio", no_part },       { "file", no_part },            { "other", other_part },
};

static void check_part(struct check *c, struct span part, const struct place *at)
{
	struct place type_at = { at, "type", 0 };
	struct span type = json_type_of(part) == JSON_OBJECT ? json_get(part, "type") : SPAN_NONE;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (json_is(type, parts[i].type)) {
			check_members(c, parts[i].fields, part, at);
			return;
		}
	}
	check_say(c, false, &type_at, "must be one of: text, tool_call, tool_result, reasoning, image, audio, file, other");
}

bool part_fits(struct span part)
{
	struct check c = { .strict = true };

	check_part(&c, part, NULL);
	return !c.problems;
}

void check_message(struct check *c, struct span message, const struct place *at)
{
	static const char *const roles[] = { "system", "user", "assistant", "tool", NULL };
	static const struct step_field role = { "role", VALUE_TEXT, true, .one_of = roles };
	struct place role_at = { at, "role", 0 }, content_at = { at, "content", 0 }, part_at = { &content_at, NULL, 0 };
	struct span content = json_get(message, "content"), part;
	enum json_type type = json_type_of(content);
	struct json_iter it = json_iter(type == JSON_ARRAY ? content : SPAN_NONE);

	check_one_of(c, &role, json_get(message, "role"), &role_at);
	if (type != JSON_STRING && type != JSON_ARRAY)
		check_say(c, false, &content_at, "must be text or an array of parts");
	for (; json_next(&it, NULL, &part); part_at.index++)
		check_part(c, part, &part_at);
}

void check_messages(struct check *c, struct span array, const struct place *at)
{
	struct json_iter it = json_iter(array);
	struct place item = { at, NULL, 0 };
	struct span message;

	for (; json_next(&it, NULL, &message); item.index++)
		check_message(c, message, &item);
}

static const char *const sources[] = { "tls", "socket", "pipe", "tty", "process", "tracer", "otlp", NULL };
static const char *const provenances[] = { "observed", "inferred", "reported", NULL };
static const char *const states[] = { "running", "completed", "failed", NULL };

static const struct step_field base_members[] = {
	{ "step_id", VALUE_TEXT, true },
	{ "messages", VALUE_INT, true },
	{ NULL },
};
static const struct step_field error_members[] = {
	{ "type", VALUE_TEXT },
	{ "message", VALUE_TEXT },
	{ "status", VALUE_INT },
	{ NULL },
};
static const struct step_field step_metadata[] = {
	{ "source", VALUE_TEXT, .one_of = sources },
	{ "provenance", VALUE_TEXT, .one_of = provenances },
	{ "pid", VALUE_INT },
	{ "http", VALUE_OBJECT },
	{ "time_to_first_token_ms", VALUE_INT },
	{ "usage", VALUE_OBJECT },
	{ "tools_offered", VALUE_TEXTS },
	{ "effects", VALUE_OBJECT },
	{ "missing", VALUE_TEXTS },
	{ "missing_bytes", VALUE_INT },
	{ "input_base", VALUE_OBJECT, .members = base_members },
	{ "error", VALUE_OBJECT, .members = error_members },
	{ NULL },
};

/* What metadata.missing names must be required here and hold its empty value. */
static void check_missing(struct check *c, const struct step *s, struct span names, const struct place *at)
{
	struct json_iter it = json_iter(names);
	struct place item = { at, NULL, 0 };
	struct span name;

	for (; json_next(&it, NULL, &name); item.index++) {
		int slot = name.len > 2 ? step_slot(s->type, span_at(name.p + 1, name.len - 2)) : -1;
		const struct step_field *f = slot < 0 ? NULL : &step_schemas[s->type].fields[slot];
		if (!f || !f->required)
			check_say(c, false, &item, "names no required field");
		else if (s->values[slot].p && !span_is(s->values[slot], step_empty_value(f)))
			check_say(c, false, &item, "names %s, which has a value", f->name);
	}
}

void check_step_metadata(struct check *c, const struct step *s, const struct place *at)
{
	struct place missing_at = { at, "missing", 0 };

	if (!s->metadata.p || !c->strict)
		return;
	_Static_assert(sizeof(step_metadata) / sizeof(step_metadata[0]) <= STEP_MAX_FIELDS + 1, "check_members' room");
	check_members(c, step_metadata, s->metadata, at);
	struct span missing = json_get(s->metadata, "missing");
	if (json_type_of(missing) == JSON_ARRAY)
		check_missing(c, s, missing, &missing_at);
}

/* True when the value is a number other than 0, or holds one. */
static bool counts_something(struct span raw)
{
	struct json_iter it = json_iter(raw);
	struct span value;
	double n;

	if (json_double(raw, &n))
		return n != 0;
	while (json_next(&it, NULL, &value))
		if (counts_something(value))
			return true;
	return false;
}

static void check_capture(struct check *c, struct span capture, const struct place *at)
{
	static const struct step_field members[] = { { "completeness", VALUE_OBJECT, true }, { NULL } };
	static const struct step_field inner[] = { { "complete", VALUE_BOOL, true }, { NULL } };
	struct span completeness = json_get(capture, "completeness");
	struct place in = { at, "completeness", 0 }, complete_at = { &in, "complete", 0 };

	check_members(c, members, capture, at);
	if (json_type_of(completeness) != JSON_OBJECT)
		return;
	check_members(c, inner, completeness, &in);
	if (json_true(json_get(completeness, "complete")) && counts_something(json_get(completeness, "lost")))
		check_say(c, false, &complete_at, "is true although something was lost");
}

void check_run_metadata(struct check *c, const struct run_info *run, const struct place *at)
{
	static const struct step_field members[] = {
		{ "schema", VALUE_TEXT, true },
		{ "state", VALUE_TEXT, .one_of = states },
		{ "capture", VALUE_OBJECT },
		{ "conversation_id", VALUE_TEXT },
		{ "totals", VALUE_OBJECT },
		{ "context_id", VALUE_TEXT },
		{ "merged_from", VALUE_TEXTS },
		{ NULL },
	};
	struct place capture_at = { at, "capture", 0 }, state_at = { at, "state", 0 };

	if (!c->strict)
		return;
	check_members(c, members, run->metadata, at);
	struct span capture = json_get(run->metadata, "capture"), state = json_get(run->metadata, "state");
	if (json_type_of(capture) == JSON_OBJECT)
		check_capture(c, capture, &capture_at);
	if ((json_is(state, "completed") || json_is(state, "failed")) && !run->ended_ns)
		check_say(c, false, &state_at, "has ended, but ended_at is missing");
	if (json_is(state, "running") && run->ended_ns)
		check_say(c, false, &state_at, "is running, but there is ended_at");
}
