/*
 * Tool calls: asked for in an answer, done when their result first appears in a later request. Each is given out at
 * once, as incomplete, and again when its result is known, so that a crash in between loses nothing that was seen.
 */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "trace/react.h"

#include <stdlib.h>

/* Equal for the same JSON value: white space and the order of members do not count. */
static uint64_t hash_value(struct span raw, int depth)
{
	enum json_type type = json_type_of(raw);
	struct json_iter it = json_iter(raw);
	struct span key, value;
	uint64_t h = 7 + (uint64_t)type;

	if ((type != JSON_OBJECT && type != JSON_ARRAY) || depth > 64)
		return hash_bytes(raw.p, raw.len, h);
	while (json_next(&it, &key, &value)) {
		uint64_t v = hash_value(value, depth + 1);
		h = type == JSON_OBJECT ? h + hash_mix(hash_bytes(key.p, key.len, 11) ^ hash_mix(v)) : hash_mix(h ^ v) + 1;
	}
	return hash_mix(h);
}

uint64_t json_hash(struct span raw)
{
	return hash_value(raw, 0);
}

void tool_free(struct tool *t)
{
	void *p;

	for (size_t i = 0; map_next(&t->run->a->procs, &i, NULL, &p);)
		if (((struct proc *)p)->tool == t)
			((struct proc *)p)->tool = NULL;
	effects_fini(&t->effects);
	free(t->id);
	free(t->name);
	free(t->arguments);
	free(t->meta);
	free(t->mcp);
	free(t->mcp_result);
	free(t);
}

static void unlink_tool(struct tool *t)
{
	struct tool **at = &t->run->tools;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->run->n_tools--;
}

/* Tool arguments are an object in the contract; anything else is wrapped. */
static char *arguments_object(struct span raw)
{
	struct buf b;

	if (json_type_of(raw) == JSON_OBJECT)
		return span_dup(raw);
	buf_init(&b, 2 * LIMIT_BODY);
	buf_add_text(&b, "{\"value\":");
	buf_add_span(&b, raw.len ? raw : SPAN("null"));
	buf_add_char(&b, '}');
	char *out = span_dup(buf_span(&b));
	buf_fini(&b);
	return out;
}

struct outcome {
	struct span result; /* raw JSON, or SPAN_NONE */
	bool known;         /* success is */
	bool failed;
	uint64_t ended_ns;  /* 0: no latency */
	const char *reason; /* why incomplete; NULL: it is not */
};

static struct span error_text(struct arena *arena, const struct outcome *o)
{
	return json_type_of(o->result) == JSON_STRING ? o->result : json_string(arena, SPAN("the tool reported an error"));
}

static void emit(struct tool *t, const struct outcome *o, bool again)
{
	struct run *r = t->run;
	struct buf *b = &r->a->meta;
	struct step s = run_step(r, STEP_TOOL_CALL, t->step, t->parent_step, t->began_ns);
	struct arena arena;

	arena_init(&arena);
	buf_clear(b);
	buf_add_char(b, '{');
	buf_add_text(b, t->meta);
	json_put_member_text(b, "call_id", span_str(t->id));
	json_put_key(b, "requested_by");
	buf_printf(b, "\"s%u\"", t->parent_step);
	if (t->react)
		json_put_member_text(b, "protocol", SPAN("text"));
	if (t->mcp)
		json_put_member(b, "mcp", span_of(t->mcp));
	effects_write(t, b);
	if (o->reason) {
		json_put_member_bool(b, "incomplete", true);
		json_put_member_text(b, "reason", span_of(o->reason));
	}
	buf_add_char(b, '}');
	s.metadata = buf_span(b);
	s.values[TOOL_NAME] = json_string(&arena, span_of(t->name));
	s.values[TOOL_ARGUMENTS] = span_of(t->arguments);
	s.values[TOOL_RESULT] = o->result;
	if (o->ended_ns >= t->began_ns && o->ended_ns)
		s.values[TOOL_LATENCY_MS] = json_whole(&arena, (int64_t)((o->ended_ns - t->began_ns) / NS_PER_MS));
	if (o->known) {
		s.values[TOOL_SUCCESS] = o->failed ? SPAN("false") : SPAN("true");
		if (o->failed)
			s.values[TOOL_ERROR] = error_text(&arena, o);
	}
	run_emit(r, &s, again);
	arena_fini(&arena);
}

static void finish(struct tool *t, const struct outcome *o, struct span peer)
{
	struct run *r = t->run;

	effects_settle(t, o->ended_ns ? o->ended_ns : UINT64_MAX, peer);
	emit(t, o, true);
	r->totals.errors += o->known && o->failed;
	unlink_tool(t);
	tool_free(t);
}

static char *origin(struct run *r, struct conv *v, const struct exchange *ex, bool server_side, bool inferred)
{
	struct buf b;

	buf_init(&b, 64 * KIB);
	buf_add_char(&b, '{');
	meta_origin(&b, r->a, ex);
	if (inferred)
		json_put_member_text(&b, "joined", SPAN("inferred"));
	if (server_side)
		json_put_member_bool(&b, "server_side", true);
	if (v && v->number)
		json_put_member_i64(&b, "conversation", v->number);
	char *out = span_dup(span_at(b.p + 1, b.len - 1));
	buf_fini(&b);
	return out;
}

static struct tool *tool_new(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c,
			     const struct tool_request *q, uint32_t parent)
{
	struct tool *t = mem_alloc(sizeof(*t));

	t->run = r;
	t->conv = v;
	t->step = run_number(r);
	t->parent_step = parent;
	t->began_ns = c->ended_ns;
	t->id = q->id.len ? span_dup(q->id) : NULL;
	t->name = span_dup(q->name.p ? q->name : SPAN(""));
	t->arguments = arguments_object(q->arguments);
	t->arguments_hash = json_hash(span_of(t->arguments));
	t->pid = ex->conn->pid;
	t->start_ns = ex->conn->proc_start_ns;
	t->meta = origin(r, v, ex, q->server_side, false);
	r->totals.tool_calls++;
	return t;
}

static void request_one(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c,
			const struct tool_request *q, uint32_t parent, bool react)
{
	struct tool *t = tool_new(r, v, ex, c, q, parent);

	if (q->server_side) {
		struct outcome o = { q->result, q->result.p || q->failed, q->failed, 0,
				     q->result.p || q->failed ? NULL : "the provider did not show a result" };
		emit(t, &o, false);
		r->totals.errors += q->failed;
		tool_free(t);
		return;
	}
	t->react = react;
	struct tool **end = &r->tools;
	while (*end)
		end = &(*end)->next;
	*end = t;
	if (++r->n_tools > RUN_TOOLS) {
		struct outcome lost = { .reason = "too many open tool calls" };
		finish(r->tools, &lost, SPAN_NONE);
	}
	emit(t, &(struct outcome){ .reason = "no result yet" }, false);
}

/* Text of an action as a tool request: an object stays one, other text is a string. */
static void request_text(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c, uint32_t parent)
{
	struct react_action action;
	struct arena arena;
	struct span whole;

	if (!react_asks(c) || !react_parse(c->answer.text, &action))
		return;
	arena_init(&arena);
	struct tool_request q = { .name = action.name };
	if (json_valid(action.input) && json_value(action.input, &whole, NULL) == 0)
		q.arguments = whole;
	else
		q.arguments = json_string(&arena, action.input.p ? action.input : SPAN(""));
	request_one(r, v, ex, c, &q, parent, true);
	arena_fini(&arena);
}

void tools_requested(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c, uint32_t parent)
{
	for (size_t i = 0; i < c->answer.n_requests; i++)
		request_one(r, v, ex, c, &c->answer.requests[i], parent, false);
	request_text(r, v, ex, c, parent);
	held_claim(r);
}

/* The open call that a result answers: by id; without one by name, in the order of asking. */
static struct tool *find_open(struct run *r, const struct conv *v, const struct tool_result *res)
{
	struct tool *found = NULL;

	for (struct tool *t = r->tools; t; t = t->next) {
		if (t->react)
			continue;
		if (res->id.len) {
			if (t->id && span_is(res->id, t->id))
				found = t; /* the latest, should an id be used twice */
		} else if (!t->id && !found && (!t->conv || t->conv == v || t->conv->number == v->number) &&
			   (!res->name.len || span_is(res->name, t->name))) {
			found = t;
		}
	}
	return found;
}

static struct span find_text(const struct call *c, size_t from, const struct tool *t, struct span input)
{
	struct span found = SPAN_NONE;

	for (size_t i = from; i < c->n_messages && !found.p; i++)
		if (c->messages[i].role != ROLE_SYSTEM)
			found = react_result(c->messages[i].text, span_of(t->name), input);
	return found;
}

static void text_results(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c, size_t from)
{
	struct tool *next;

	for (struct tool *t = r->tools; t; t = next) {
		next = t->next;
		if (!t->react || (t->conv && t->conv->number != v->number))
			continue;
		struct arena arena;
		arena_init(&arena);
		struct span args = span_of(t->arguments), text = json_get_text(&arena, args, "value");
		struct span found = find_text(c, from, t, text.p ? text : args);
		if (!found.p)
			found = find_text(c, from, t, SPAN_NONE);
		if (found.p) {
			struct outcome o = { json_string(&arena, found), true, false, c->began_ns, NULL };
			finish(t, &o, ex->conn->peer);
		}
		arena_fini(&arena);
	}
}

/* The conversation went on without a result: what happens from now on is not the doing of these calls. */
static void pass(struct run *r, const struct conv *v, const struct call *c)
{
	for (struct tool *t = r->tools; t; t = t->next)
		t->passed = t->passed || (t->conv && t->conv->number == v->number && t->began_ns <= c->began_ns);
}

void tools_results(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c, size_t from)
{
	for (size_t i = from; i < c->n_messages && r->tools; i++) {
		for (size_t k = 0; k < c->messages[i].n_results; k++) {
			const struct tool_result *res = &c->messages[i].results[k];
			struct tool *t = find_open(r, v, res);
			if (!t || t->began_ns > c->began_ns)
				continue;
			struct outcome o = { res->result, true, res->is_error, c->began_ns, NULL };
			finish(t, &o, ex->conn->peer);
		}
	}
	text_results(r, v, ex, c, from);
	pass(r, v, c);
}

/* "mcp__files__read" and "files-read" are how models see the tool "read" of a server. */
static bool same_tool(const char *asked, struct span served)
{
	struct span a = span_of(asked);

	if (!served.len || !span_ends(a, served))
		return false;
	if (a.len == served.len)
		return true;
	return strchr("_-./:", a.p[a.len - served.len - 1]);
}

struct tool *tool_asked(struct tree *tree, const struct call *c)
{
	uint64_t h = json_hash(c->tool.arguments.p ? c->tool.arguments : SPAN("{}"));
	struct tool *found = NULL;

	for (struct run *r = tree->runs; r; r = r->next)
		for (struct tool *t = r->tools; t; t = t->next) {
			if (c->tool.id.len && t->id && span_is(c->tool.id, t->id))
				return t;
			if (!found && !t->mcp && t->began_ns <= c->began_ns && t->arguments_hash == h &&
			    same_tool(t->name, c->tool.name))
				found = t;
		}
	return found;
}

static char *mcp_evidence(struct run *r, const struct exchange *ex, const struct call *c)
{
	struct buf b;

	buf_init(&b, MIB);
	buf_add_char(&b, '{');
	json_put_member_text(&b, "tool", c->tool.name);
	meta_origin(&b, r->a, ex);
	meta_http(&b, ex, c);
	if (c->ended_ns >= c->began_ns)
		json_put_member_i64(&b, "latency_ms", (int64_t)((c->ended_ns - c->began_ns) / NS_PER_MS));
	if (c->tool.failed)
		json_put_member_bool(&b, "is_error", true);
	meta_outcome(&b, c);
	buf_add_char(&b, '}');
	char *out = span_dup(buf_span(&b));
	buf_fini(&b);
	return out;
}

void tools_served(struct run *r, struct tool *asked, const struct exchange *ex, const struct call *c)
{
	if (asked) {
		free(asked->mcp);
		free(asked->mcp_result);
		asked->mcp = mcp_evidence(r, ex, c);
		asked->mcp_result = span_dup(c->tool.result);
		asked->mcp_failed = c->tool.failed;
		return;
	}
	bool error = c->error.type.p || c->error.message.p || c->tool.failed;
	struct tool *t = tool_new(r, NULL, ex, c, &c->tool, 0);
	struct step s = run_step(r, STEP_TOOL_CALL, t->step, 0, c->began_ns);
	struct outcome o = { .result = c->tool.result };
	struct buf *b = &r->a->meta;
	struct arena arena;

	arena_init(&arena);
	buf_clear(b);
	buf_add_char(b, '{');
	meta_origin(b, r->a, ex);
	meta_http(b, ex, c);
	json_put_member_text(b, "dialect", span_str(c->dialect));
	json_put_member_text(b, "call_id", c->tool.id);
	meta_outcome(b, c);
	buf_add_char(b, '}');
	s.metadata = buf_span(b);
	s.values[TOOL_NAME] = json_string(&arena, span_of(t->name));
	s.values[TOOL_ARGUMENTS] = span_of(t->arguments);
	s.values[TOOL_RESULT] = c->tool.result;
	if (c->ended_ns >= c->began_ns)
		s.values[TOOL_LATENCY_MS] = json_whole(&arena, (int64_t)((c->ended_ns - c->began_ns) / NS_PER_MS));
	if (error || c->tool.result.p)
		s.values[TOOL_SUCCESS] = error ? SPAN("false") : SPAN("true");
	if (error)
		s.values[TOOL_ERROR] = c->error.message.p ? json_string(&arena, c->error.message) : error_text(&arena, &o);
	r->totals.errors += error;
	run_emit(r, &s, false);
	arena_fini(&arena);
	tool_free(t);
}

void tools_finish(struct run *r, const char *reason)
{
	while (r->tools) {
		struct tool *t = r->tools;
		struct outcome o = { .reason = reason };
		if (t->mcp_result) {
			/* The tool server's own answer is known, though the model never got to see it. */
			o = (struct outcome){ span_of(t->mcp_result), true, t->mcp_failed, 0, reason };
		}
		finish(t, &o, SPAN_NONE);
	}
}
