/* Anthropic's answer: streamed events are put together to the message that would have come whole, then read alike. */
#include "dialect/anthropic.h"

#include "base/limits.h"

struct block {
	int64_t index;
	struct span start;   /* the block as it began */
	struct joined text;  /* text, thinking or compaction content */
	struct joined input; /* partial_json */
	struct span signature;
};

struct anthropic_stream {
	struct call *c;
	struct block *blocks;
	size_t n_blocks;
	size_t last;
	struct span content; /* of a whole message */
	struct span usage, usage_end, stop_reason, stop_details, container, metrics;
	bool begun, done, seen;
};

struct anthropic_stream *anthropic_stream_new(struct call *c)
{
	struct anthropic_stream *s = arena_alloc(c->arena, sizeof(*s));

	s->c = c;
	return s;
}

static void keep(struct span *to, struct span raw)
{
	if (raw.p)
		*to = raw;
}

void anthropic_stream_message(struct anthropic_stream *s, struct span message)
{
	struct span id, model, content, usage, reason, details, container, type, error;

	PICK(message, { "id", &id }, { "model", &model }, { "content", &content },
	     { "usage", &usage }, { "stop_reason", &reason }, { "stop_details", &details },
	     { "container", &container }, { "type", &type }, { "error", &error });
	if (json_is(type, "error") || error.p) {
		read_error(s->c, error);
		return;
	}
	s->seen = true;
	if (id.p)
		s->c->response_id = read_text(s->c, id);
	if (model.len > 2)
		s->c->model = read_text(s->c, model);
	keep(&s->usage, usage);
	keep(&s->stop_reason, reason);
	keep(&s->stop_details, details);
	keep(&s->container, container);
	if (json_count(content))
		s->content = content;
}

static struct block *find_block(struct anthropic_stream *s, struct span raw)
{
	int64_t index = -1;

	json_i64(raw, &index);
	if (s->last < s->n_blocks && s->blocks[s->last].index == index)
		return &s->blocks[s->last];
	for (size_t i = s->n_blocks; i-- > 0;) {
		if (s->blocks[i].index == index) {
			s->last = i;
			return &s->blocks[i];
		}
	}
	if (s->n_blocks >= LIMIT_STREAM_TOOLS) {
		read_incomplete(s->c, "too many blocks");
		return NULL;
	}
	s->last = s->n_blocks;
	struct block *b = arena_push(s->c->arena, &s->blocks, &s->n_blocks, sizeof(*b));
	b->index = index;
	return b;
}

static void block_start(struct anthropic_stream *s, struct span index, struct span block)
{
	struct block *b = find_block(s, index);

	s->begun = s->seen = true;
	if (b)
		b->start = block;
}

static void block_delta(struct anthropic_stream *s, struct span index, struct span delta)
{
	struct block *b = find_block(s, index);
	struct span text, thinking, json, signature, content;

	s->begun = s->seen = true;
	if (!b)
		return;
	PICK(delta, { "text", &text }, { "thinking", &thinking }, { "partial_json", &json },
	     { "signature", &signature }, { "content", &content });
	joined_add(s->c, &b->text, text);
	joined_add(s->c, &b->text, thinking);
	joined_add(s->c, &b->text, content);
	joined_add(s->c, &b->input, json);
	keep(&b->signature, signature);
}

static void message_delta(struct anthropic_stream *s, struct span delta, struct span usage)
{
	struct span reason, details, container;

	PICK(delta, { "stop_reason", &reason }, { "stop_details", &details },
	     { "container", &container });
	keep(&s->stop_reason, reason);
	keep(&s->stop_details, details);
	keep(&s->container, container);
	keep(&s->usage_end, usage);
	s->done |= reason.p != NULL;
}

bool anthropic_stream_event(struct anthropic_stream *s, struct span event)
{
	struct span type, message, index, block, delta, usage, error, metrics;

	PICK(event, { "type", &type }, { "message", &message }, { "index", &index },
	     { "content_block", &block }, { "delta", &delta }, { "usage", &usage },
	     { "error", &error }, { "amazon-bedrock-invocationMetrics", &metrics });
	keep(&s->metrics, metrics);
	if (json_is(type, "content_block_delta"))
		block_delta(s, index, delta);
	else if (json_is(type, "content_block_start"))
		block_start(s, index, block);
	else if (json_is(type, "message_start"))
		anthropic_stream_message(s, message);
	else if (json_is(type, "message_delta"))
		message_delta(s, delta, usage);
	else if (json_is(type, "message_stop"))
		s->done = true;
	else if (json_is(type, "error") || (!type.p && error.p))
		read_error(s->c, error);
	else if (json_is(type, "message")) { /* asked for a stream, got it whole */
		anthropic_stream_message(s, event);
		s->done = s->begun = true;
	}
	return s->begun;
}

/* The member that a block's pieces fill. */
static const char *text_member(struct span start)
{
	struct span type = json_get(start, "type");

	if (json_is(type, "thinking"))
		return "thinking";
	return json_is(type, "compaction") ? "content" : "text";
}

/* The block as it would have come whole. */
static void put_block(struct anthropic_stream *s, struct buf *b, struct block *k)
{
	struct span text = joined_raw(&k->text), input = joined_raw(&k->input), key, value;
	struct json_iter it = json_iter(k->start);
	const char *member = text_member(k->start);

	json_put_comma(b);
	buf_add_char(b, '{');
	if (!k->start.p) /* its start was lost: pieces of text are still text */
		json_put_member_text(b, "type", input.p ? SPAN("tool_use") : SPAN("text"));
	while (it.object && json_next(&it, &key, &value)) {
		if ((text.p && json_is(key, member)) || (input.p && json_is(key, "input")) ||
		    (k->signature.p && json_is(key, "signature")))
			continue;
		json_put_comma(b);
		buf_add_span(b, key);
		buf_add_char(b, ':');
		buf_add_span(b, value);
	}
	if (text.p && json_type_of(json_get(k->start, member)) == JSON_STRING &&
	    json_get(k->start, member).len > 2) {
		struct joined whole = { 0 };
		joined_add(s->c, &whole, json_get(k->start, member));
		joined_add(s->c, &whole, text);
		text = joined_raw(&whole);
	}
	json_put_member(b, member, text);
	if (input.p)
		json_put_member(b, "input", tool_arguments(s->c, input));
	json_put_member(b, "signature", k->signature);
	buf_add_char(b, '}');
}

static struct span whole_content(struct anthropic_stream *s)
{
	size_t room = 2;
	struct buf b;

	if (!s->n_blocks)
		return s->content;
	for (size_t i = 0; i < s->n_blocks; i++) {
		struct block *k = &s->blocks[i];
		room += 2 * k->start.len + 2 * k->text.len + k->input.len + k->signature.len + 128;
	}
	buf_init(&b, room);
	buf_add_char(&b, '[');
	for (size_t i = 0; i < s->n_blocks; i++)
		put_block(s, &b, &s->blocks[i]);
	buf_add_char(&b, ']');
	struct span out = arena_copy(s->c->arena, buf_span(&b));
	buf_fini(&b);
	return out;
}

/* The later report is cumulative: its members replace those of the first. */
static struct span merged_usage(struct anthropic_stream *s)
{
	struct json_iter it = json_iter(s->usage);
	struct span key, value;
	struct buf b;

	if (!s->usage.p || !s->usage_end.p)
		return s->usage.p ? s->usage : s->usage_end;
	buf_init(&b, s->usage.len + s->usage_end.len + 16);
	buf_add_char(&b, '{');
	while (it.object && json_next(&it, &key, &value)) {
		struct span name = read_text(s->c, key);
		struct span newer = json_get(s->usage_end, arena_copy(s->c->arena, name).p);
		json_put_comma(&b);
		buf_add_span(&b, key);
		buf_add_char(&b, ':');
		buf_add_span(&b, newer.p && json_type_of(newer) != JSON_NULL ? newer : value);
	}
	it = json_iter(s->usage_end);
	while (it.object && json_next(&it, &key, &value)) {
		struct span name = read_text(s->c, key);
		if (json_get(s->usage, arena_copy(s->c->arena, name).p).p)
			continue;
		json_put_comma(&b);
		buf_add_span(&b, key);
		buf_add_char(&b, ':');
		buf_add_span(&b, value);
	}
	buf_add_char(&b, '}');
	struct span out = arena_copy(s->c->arena, buf_span(&b));
	buf_fini(&b);
	return out;
}

/* Input does not include what was read from or written to the cache: the call's does. */
static void read_usage(struct call *c, struct span usage)
{
	struct span input, output, read, write, details;
	int64_t cached, written;

	if (json_type_of(usage) != JSON_OBJECT)
		return;
	PICK(usage, { "input_tokens", &input }, { "output_tokens", &output },
	     { "cache_read_input_tokens", &read }, { "cache_creation_input_tokens", &write },
	     { "output_tokens_details", &details });
	c->usage = usage;
	cached = read_count(read);
	written = read_count(write);
	c->tokens_cached = cached;
	c->tokens_cache_write = written;
	c->tokens_in = read_count(input);
	if (c->tokens_in >= 0)
		c->tokens_in += (cached > 0 ? cached : 0) + (written > 0 ? written : 0);
	c->tokens_out = read_count(output);
	c->tokens_reasoning = read_count(json_get(details, "thinking_tokens"));
}

bool anthropic_stream_finish(struct anthropic_stream *s, bool streamed)
{
	struct call *c = s->c;
	struct draft d;
	bool ended = streamed && (s->done || c->error.type.p);

	if (streamed && !ended)
		read_incomplete(c, "stream ended early");
	if (s->seen) {
		draft_init(&d, c, ROLE_ASSISTANT);
		anthropic_content(&d, whole_content(s));
		call_set_answer(c, &d, s->stop_reason);
		c->refusal = json_is(s->stop_reason, "refusal");
	}
	read_usage(c, merged_usage(s));
	read_meta(c, "stop_details", s->stop_details);
	read_meta(c, "container", s->container);
	read_meta(c, "invocation_metrics", s->metrics);
	return ended;
}

void anthropic_answer(const struct exchange *ex, struct call *c)
{
	struct anthropic_stream *s = anthropic_stream_new(c);

	for (size_t i = 0; i < ex->n_frames; i++) {
		struct span event = read_frame(&ex->frames[i], c);
		if (event.p && anthropic_stream_event(s, event) && !c->first_token_ns)
			c->first_token_ns = ex->frames[i].ts_ns;
	}
	if (!ex->n_frames) {
		struct span body = read_response(ex, c);
		if (json_type_of(body) == JSON_OBJECT && ex->status < 400)
			anthropic_stream_message(s, body);
	}
	if (anthropic_stream_finish(s, ex->n_frames > 0))
		read_stream_ended(ex, c);
}
