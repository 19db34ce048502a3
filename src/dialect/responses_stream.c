/*
 * The answer of the Responses API. The terminal event repeats the whole response and is preferred; when the stream is cut,
 * finished items count, and what deltas gave of the others.
 */
#include "dialect/responses.h"

#include "base/limits.h"

#include <stdlib.h>

enum piece_kind {
	PIECE_TEXT,
	PIECE_REFUSAL,
	PIECE_THOUGHT,
	PIECE_SUMMARY,
	PIECE_ARGUMENTS,
	PIECE_INPUT,
	PIECE_CODE
};

struct piece {
	enum piece_kind kind;
	int64_t sub; /* content or summary index */
	struct joined text;
	struct span whole; /* from its .done event */
};

struct item {
	int64_t index;
	struct span added, done;
	struct piece *pieces;
	size_t n_pieces;
};

struct responses_stream {
	struct call *c;
	struct item *items;
	size_t n_items;
	size_t last;
	struct span output, usage, status, reason, tier, error;
	bool begun, seen, done;
};

static const struct {
	const char *event; /* + ".delta" or ".done" */
	enum piece_kind kind;
	const char *whole; /* member of its .done event */
} events[] = {
	{ "response.output_text", PIECE_TEXT, "text" },
	{ "response.function_call_arguments", PIECE_ARGUMENTS, "arguments" },
	{ "response.reasoning_summary_text", PIECE_SUMMARY, "text" },
	{ "response.reasoning_text", PIECE_THOUGHT, "text" },
	{ "response.custom_tool_call_input", PIECE_INPUT, "input" },
	{ "response.refusal", PIECE_REFUSAL, "refusal" },
	{ "response.mcp_call_arguments", PIECE_ARGUMENTS, "arguments" },
	{ "response.code_interpreter_call_code", PIECE_CODE, "code" },
};

struct responses_stream *responses_stream_new(struct call *c)
{
	struct responses_stream *s = arena_alloc(c->arena, sizeof(*s));

	s->c = c;
	return s;
}

bool responses_stream_done(const struct responses_stream *s)
{
	return s->done;
}

static void keep(struct span *to, struct span raw)
{
	if (raw.p)
		*to = raw;
}

void responses_stream_object(struct responses_stream *s, struct span response, bool terminal)
{
	struct call *c = s->c;
	struct span id, model, status, error, details, output, usage, tier, previous;

	PICK(response, { "id", &id }, { "model", &model }, { "status", &status },
	     { "error", &error }, { "incomplete_details", &details }, { "output", &output },
	     { "usage", &usage }, { "service_tier", &tier }, { "previous_response_id", &previous });
	s->seen = true;
	if (id.p)
		c->response_id = read_text(c, id);
	if (model.len > 2)
		c->model = read_text(c, model);
	if (previous.p && !c->previous_id.p) {
		c->previous_id = read_text(c, previous);
		c->input_is_delta = true;
	}
	keep(&s->status, status);
	keep(&s->usage, usage);
	keep(&s->tier, tier);
	keep(&s->error, error);
	struct span reason = json_get(details, "reason");
	if (json_type_of(reason) == JSON_STRING)
		s->reason = reason;
	if (terminal) {
		s->output = output;
		s->done = true;
	}
}

static struct item *find_item(struct responses_stream *s, struct span raw)
{
	int64_t index = 0;

	json_i64(raw, &index);
	if (s->last < s->n_items && s->items[s->last].index == index)
		return &s->items[s->last];
	for (size_t i = s->n_items; i-- > 0;) {
		if (s->items[i].index == index) {
			s->last = i;
			return &s->items[i];
		}
	}
	if (s->n_items >= LIMIT_STREAM_TOOLS) {
		read_incomplete(s->c, "too many items");
		return NULL;
	}
	s->last = s->n_items;
	struct item *it = arena_push(s->c->arena, &s->items, &s->n_items, sizeof(*it));
	it->index = index;
	return it;
}

static struct piece *find_piece(struct responses_stream *s, struct item *it, enum piece_kind kind,
				int64_t sub)
{
	for (size_t i = it->n_pieces; i-- > 0;)
		if (it->pieces[i].kind == kind && it->pieces[i].sub == sub)
			return &it->pieces[i];
	if (it->n_pieces >= LIMIT_STREAM_TOOLS)
		return NULL;
	struct piece *p = arena_push(s->c->arena, &it->pieces, &it->n_pieces, sizeof(*p));
	p->kind = kind;
	p->sub = sub;
	return p;
}

/* A delta, or the whole text at its end. */
static bool piece_event(struct responses_stream *s, struct span name, struct span event)
{
	struct span index, content, summary, delta;
	bool done = span_ends(name, SPAN(".done"));
	size_t tail = done ? 5 : 6;
	int64_t sub = 0;

	if (!done && !span_ends(name, SPAN(".delta")))
		return false;
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		if (!span_is(span_at(name.p, name.len - tail), events[i].event))
			continue;
		PICK(event, { "output_index", &index }, { "content_index", &content },
		     { "summary_index", &summary }, { done ? events[i].whole : "delta", &delta });
		json_i64(content.p ? content : summary, &sub);
		struct item *it = find_item(s, index);
		struct piece *p = it ? find_piece(s, it, events[i].kind, sub) : NULL;
		if (p && done)
			p->whole = delta;
		else if (p)
			joined_add(s->c, &p->text, delta);
		s->begun = s->seen = true;
		return true;
	}
	return false;
}

bool responses_stream_event(struct responses_stream *s, struct span event)
{
	struct span type, response, item, index, error, object, name;

	PICK(event, { "type", &type }, { "response", &response }, { "item", &item },
	     { "output_index", &index }, { "error", &error }, { "object", &object });
	name = read_text(s->c, type);
	if (!name.p) {
		if (error.p)
			read_error(s->c, error);
		else if (json_is(object, "response"))
			responses_stream_object(s, event, true);
		return s->begun;
	}
	if (piece_event(s, name, event))
		return s->begun;
	if (span_is(name, "response.output_item.added") ||
	    span_is(name, "response.output_item.done")) {
		struct item *it = find_item(s, index);
		if (it && span_ends(name, SPAN(".done")))
			it->done = item;
		else if (it)
			it->added = item;
		s->begun = s->seen = true;
	} else if (span_is(name, "error")) {
		read_error(s->c, error.p ? error : event);
		if (!error.p) { /* the event's own type says nothing: the code does */
			struct span code = json_get(event, "code");
			s->c->error.type = json_type_of(code) == JSON_STRING ? read_text(s->c, code)
									     : SPAN("error");
		}
		s->done = true;
	} else if (response.p) {
		responses_stream_object(s, response,
					span_is(name, "response.completed") ||
						span_is(name, "response.incomplete") ||
						span_is(name, "response.failed") ||
						span_is(name, "response.cancelled") ||
						span_is(name, "response.done"));
	}
	return s->begun;
}

static void put_pieces(struct buf *b, struct item *it, enum piece_kind kind, const char *type,
		       const char *member)
{
	for (size_t i = 0; i < it->n_pieces; i++) {
		struct piece *p = &it->pieces[i];
		struct span text = p->whole.p ? p->whole : joined_raw(&p->text);
		if (p->kind != kind || !text.p)
			continue;
		json_put_comma(b);
		buf_add_char(b, '{');
		json_put_member_text(b, "type", span_of(type));
		json_put_member(b, member, text);
		buf_add_char(b, '}');
	}
}

/* The item as far as its deltas told it. */
static struct span item_so_far(struct call *c, struct item *it)
{
	static const struct {
		enum piece_kind kind;
		const char *member;
	} singles[] = { { PIECE_ARGUMENTS, "arguments" },
			{ PIECE_INPUT, "input" },
			{ PIECE_CODE, "code" } };
	struct span key, value;
	size_t room = it->added.len + 256;
	struct buf b;

	for (size_t i = 0; i < it->n_pieces; i++)
		room += it->pieces[i].text.len + it->pieces[i].whole.len + 64;
	buf_init(&b, room);
	buf_add_char(&b, '{');
	/* later members win when an item is read */
	struct json_iter members = json_iter(it->added);
	while (members.object && json_next(&members, &key, &value)) {
		json_put_comma(&b);
		buf_add_span(&b, key);
		buf_add_char(&b, ':');
		buf_add_span(&b, value);
	}
	bool message = false, thought = false;
	for (size_t i = 0; i < it->n_pieces; i++) {
		struct piece *p = &it->pieces[i];
		for (size_t k = 0; k < sizeof(singles) / sizeof(*singles); k++)
			if (p->kind == singles[k].kind)
				json_put_member(&b, singles[k].member,
						p->whole.p ? p->whole : joined_raw(&p->text));
		message |= p->kind == PIECE_TEXT || p->kind == PIECE_REFUSAL;
		thought |= p->kind == PIECE_THOUGHT;
	}
	if (message || thought) {
		json_put_key(&b, "content");
		buf_add_char(&b, '[');
		put_pieces(&b, it, PIECE_TEXT, "output_text", "text");
		put_pieces(&b, it, PIECE_REFUSAL, "refusal", "refusal");
		put_pieces(&b, it, PIECE_THOUGHT, "reasoning_text", "text");
		buf_add_char(&b, ']');
	}
	if (!message && !thought && it->n_pieces && it->pieces[0].kind == PIECE_SUMMARY) {
		json_put_key(&b, "summary");
		buf_add_char(&b, '[');
		put_pieces(&b, it, PIECE_SUMMARY, "summary_text", "text");
		buf_add_char(&b, ']');
	}
	if (!it->added.p) /* its beginning was lost */
		json_put_member_text(&b, "type",
				     message ? SPAN("message")
				     : it->n_pieces && it->pieces[0].kind == PIECE_ARGUMENTS
					     ? SPAN("function_call")
					     : SPAN("reasoning"));
	buf_add_char(&b, '}');
	struct span out = arena_copy(c->arena, buf_span(&b));
	buf_fini(&b);
	return out;
}

static int by_index(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static bool is_refusal(struct span item)
{
	struct json_iter it = json_iter(json_get(item, "content"));
	struct span part;

	while (!it.object && json_next(&it, NULL, &part))
		if (json_is(json_get(part, "type"), "refusal"))
			return true;
	return false;
}

static void draft_item(struct draft *d, struct span item)
{
	responses_item(d, item);
	d->call->refusal |= is_refusal(item);
}

bool responses_stream_finish(struct responses_stream *s, bool streamed)
{
	struct call *c = s->c;
	struct span item;
	struct draft d;
	bool ended = streamed && (s->done || c->error.type.p);

	if (streamed && !ended)
		read_incomplete(c, "stream ended early");
	if (s->error.p)
		read_error(c, s->error);
	draft_init(&d, c, ROLE_ASSISTANT);
	struct json_iter it = json_iter(s->output);
	if (json_count(s->output)) {
		while (!it.object && json_next(&it, NULL, &item))
			draft_item(&d, item);
	} else { /* cut, or a server whose terminal event leaves the items out */
		if (s->n_items)
			qsort(s->items, s->n_items, sizeof(*s->items), by_index);
		for (size_t i = 0; i < s->n_items; i++)
			draft_item(&d, s->items[i].done.p ? s->items[i].done
							  : item_so_far(c, &s->items[i]));
	}
	if (s->seen && (d.n_parts || !c->error.type.p))
		call_set_answer(c, &d, s->reason.p ? s->reason : s->status);
	openai_usage(c, s->usage);
	read_meta(c, "status", s->status);
	read_meta(c, "response_service_tier", s->tier);
	return ended;
}
