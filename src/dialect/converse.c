#include "dialect/bedrock.h"

#include "base/limits.h"

static void add_blocks(struct draft *d, struct span content);

static void add_use(struct draft *d, struct span raw)
{
	struct span id, name, input, type;
	struct tool_request *r = draft_request(d);

	if (!r)
		return;
	PICK(raw, { "toolUseId", &id }, { "name", &name }, { "input", &input }, { "type", &type });
	r->id = read_text(d->call, id);
	r->name = read_text(d->call, name);
	r->arguments = input.p ? input : SPAN("{}");
	r->server_side = json_is(type, "server_tool_use");
}

static struct span result_content(struct call *c, struct span content)
{
	struct draft d;

	if (json_count(content) == 1 && json_get(json_at(content, 0), "json").p)
		return json_get(json_at(content, 0), "json");
	draft_init(&d, c, ROLE_TOOL);
	add_blocks(&d, content);
	return draft_content(&d);
}

static void add_result(struct draft *d, struct span raw)
{
	struct span id, content, status;
	struct tool_request *asked;

	if (d->role ==
	    ROLE_TOOL) { /* results do not nest; hostile ones would cost depth times length */
		draft_other(d, raw);
		return;
	}
	PICK(raw, { "toolUseId", &id }, { "content", &content }, { "status", &status });
	asked = draft_find(d, read_text(d->call, id));
	if (asked && asked->server_side) {
		asked->result = result_content(d->call, content);
		asked->failed = json_is(status, "error");
		return;
	}
	struct tool_result *r = draft_result(d);
	if (!r)
		return;
	r->id = read_text(d->call, id);
	r->result = result_content(d->call, content);
	r->is_error = json_is(status, "error");
}

static void add_texts(struct draft *d, struct span list)
{
	struct json_iter it = json_iter(list);
	struct span one;

	while (!it.object && json_next(&it, NULL, &one))
		draft_text(d, json_get(one, "text"));
}

static void add_block(struct draft *d, struct span block)
{
	struct span text, use, result, reasoning, image, document, audio, video, cache, citations;

	PICK(block, { "text", &text }, { "toolUse", &use }, { "toolResult", &result },
	     { "reasoningContent", &reasoning }, { "image", &image }, { "document", &document },
	     { "audio", &audio }, { "video", &video }, { "cachePoint", &cache },
	     { "citationsContent", &citations });
	if (text.p)
		draft_text(d, text);
	else if (use.p)
		add_use(d, use);
	else if (result.p)
		add_result(d, result);
	else if (reasoning.p)
		draft_reasoning(d, json_path(reasoning, "reasoningText.text"));
	else if (image.p)
		draft_media(d, "image", image);
	else if (document.p || video.p)
		draft_media(d, "file", document.p ? document : video);
	else if (audio.p)
		draft_media(d, "audio", audio);
	else if (citations.p)
		add_texts(d, json_get(citations, "content"));
	else if (!cache.p)
		draft_other(d, block);
}

static void add_blocks(struct draft *d, struct span content)
{
	struct json_iter it = json_iter(content);
	struct span block;

	while (!it.object && json_next(&it, NULL, &block))
		add_block(d, block);
}

static void read_message(struct call *c, enum role role, struct span content)
{
	struct message *m = call_add_message(c);
	struct draft d;

	if (!m)
		return;
	draft_init(&d, c, role);
	add_blocks(&d, content);
	draft_finish(&d, m);
}

void converse_request(struct call *c, struct span body)
{
	static const char *const params[] = { "inferenceConfig",
					      "additionalModelRequestFields",
					      "guardrailConfig",
					      "requestMetadata",
					      "performanceConfig",
					      "serviceTier",
					      NULL };
	struct span messages, system, tools, one, role, spec;

	PICK(body, { "messages", &messages }, { "system", &system }, { "toolConfig", &tools });
	if (json_count(system))
		read_message(c, ROLE_SYSTEM, system);
	struct json_iter it = json_iter(messages);
	while (!it.object && json_next(&it, NULL, &one)) {
		role = json_get(one, "role");
		read_message(c,
			     json_is(role, "assistant") ? ROLE_ASSISTANT
			     : json_is(role, "system")	? ROLE_SYSTEM
							: ROLE_USER,
			     json_get(one, "content"));
	}
	it = json_iter(json_get(tools, "tools"));
	while (!it.object && json_next(&it, NULL, &one)) {
		spec = json_get(one, "toolSpec");
		call_add_tool(c,
			      json_get_text(c->arena, spec.p ? spec : json_get(one, "systemTool"),
					    "name"));
	}
	read_params(c, body, params);
}

struct block {
	int64_t index;
	struct span start; /* its toolUse */
	struct joined text, reasoning, input;
};

struct converse {
	struct call *c;
	struct block *blocks;
	size_t n_blocks;
	struct span content, stop, usage, metrics;
	bool seen, begun, done;
};

struct converse *converse_new(struct call *c)
{
	struct converse *s = arena_alloc(c->arena, sizeof(*s));

	s->c = c;
	return s;
}

static struct block *find_block(struct converse *s, struct span raw)
{
	int64_t index = 0;

	json_i64(raw, &index);
	for (size_t i = s->n_blocks; i-- > 0;)
		if (s->blocks[i].index == index)
			return &s->blocks[i];
	if (s->n_blocks >= LIMIT_STREAM_TOOLS) {
		read_incomplete(s->c, "too many blocks");
		return NULL;
	}
	struct block *b = arena_push(s->c->arena, &s->blocks, &s->n_blocks, sizeof(*b));
	b->index = index;
	return b;
}

bool converse_event(struct converse *s, struct span type, struct span event)
{
	struct span index, start, delta, stop, usage, metrics, use, text, reasoning;
	struct block *b;

	PICK(event, { "contentBlockIndex", &index }, { "start", &start }, { "delta", &delta },
	     { "stopReason", &stop }, { "usage", &usage }, { "metrics", &metrics });
	s->seen |= event.p != NULL;
	if (span_is(type, "contentBlockStart") || start.p) {
		b = find_block(s, index);
		if (b)
			b->start = json_get(start, "toolUse");
		s->begun = true;
	} else if (span_is(type, "contentBlockDelta") || delta.p) {
		b = find_block(s, index);
		PICK(delta, { "text", &text }, { "toolUse", &use },
		     { "reasoningContent", &reasoning });
		s->begun = true;
		if (b) {
			joined_add(s->c, &b->text, text);
			joined_add(s->c, &b->input, json_get(use, "input"));
			joined_add(s->c, &b->reasoning, json_get(reasoning, "text"));
		}
	}
	if (stop.p) {
		s->stop = stop;
		s->done = true;
	}
	if (usage.p)
		s->usage = usage;
	if (metrics.p)
		s->metrics = metrics;
	return s->begun;
}

void converse_whole(struct converse *s, struct span response)
{
	struct span output;

	PICK(response, { "output", &output }, { "stopReason", &s->stop }, { "usage", &s->usage },
	     { "metrics", &s->metrics });
	s->content = json_path(output, "message.content");
	s->seen = output.p != NULL;
}

static void draft_blocks(struct converse *s, struct draft *d)
{
	for (size_t i = 0; i < s->n_blocks; i++) {
		struct block *b = &s->blocks[i];
		draft_reasoning(d, joined_raw(&b->reasoning));
		draft_text(d, joined_raw(&b->text));
		if (!b->start.p && !b->input.p)
			continue;
		size_t before = d->n_requests;
		add_use(d, b->start);
		if (d->n_requests > before)
			d->requests[before].arguments = tool_arguments(s->c, joined_raw(&b->input));
	}
}

/* Input does not include what was read from or written to the cache: the call's does. */
static void read_usage(struct call *c, struct span usage)
{
	struct span input, output, total, read, write;

	if (json_type_of(usage) != JSON_OBJECT)
		return;
	PICK(usage, { "inputTokens", &input }, { "outputTokens", &output },
	     { "totalTokens", &total }, { "cacheReadInputTokens", &read },
	     { "cacheWriteInputTokens", &write });
	c->usage = usage;
	c->tokens_in = read_count(input);
	c->tokens_out = read_count(output);
	c->tokens_total = read_count(total);
	c->tokens_cached = read_count(read);
	c->tokens_cache_write = read_count(write);
	if (c->tokens_in >= 0)
		c->tokens_in += (c->tokens_cached > 0 ? c->tokens_cached : 0) +
				(c->tokens_cache_write > 0 ? c->tokens_cache_write : 0);
}

void converse_finish(struct converse *s, bool streamed)
{
	struct call *c = s->c;
	struct draft d;

	if (streamed && !s->done && !c->error.type.p)
		read_incomplete(c, "stream ended early");
	if (s->seen) {
		draft_init(&d, c, ROLE_ASSISTANT);
		if (s->n_blocks)
			draft_blocks(s, &d);
		else
			add_blocks(&d, s->content);
		call_set_answer(c, &d, s->stop);
	}
	read_usage(c, s->usage);
	read_meta(c, "metrics", s->metrics);
}
