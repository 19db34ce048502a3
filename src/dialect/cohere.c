/* Cohere v2: chat, embed, rerank. */
#include "dialect/dialects.h"
#include "dialect/embedding.h"
#include "dialect/openai.h"

#include "base/limits.h"

enum op { OP_NONE, OP_CHAT, OP_EMBED, OP_RERANK };

static enum op op_of(struct span path)
{
	if (span_ends(path, SPAN("/v2/chat")))
		return OP_CHAT;
	if (span_ends(path, SPAN("/v2/embed")))
		return OP_EMBED;
	return span_ends(path, SPAN("/v2/rerank")) ? OP_RERANK : OP_NONE;
}

static int match(const struct exchange *ex)
{
	static const char *const wanted[] = { NULL, "messages", "input_type", "documents" };
	enum op op = op_of(exchange_path(ex));

	if (!span_is(ex->method, "POST") || !op)
		return 0;
	return read_has(ex->request.body, wanted[op]) ? 90
	       : read_has(ex->request.body, "model")  ? 40
						      : 0;
}

/* {"type":"document","document":{"id","data"}} of tool results stays whole; text and thinking are as elsewhere. */
static void add_content(struct draft *d, struct span content)
{
	openai_content(d, content);
}

static enum role role_of(struct span role)
{
	if (json_is(role, "assistant"))
		return ROLE_ASSISTANT;
	if (json_is(role, "system") || json_is(role, "developer"))
		return ROLE_SYSTEM;
	return json_is(role, "tool") ? ROLE_TOOL : ROLE_USER;
}

static void read_message(struct call *c, struct span raw)
{
	struct span role, content, calls, plan, id;
	struct message *m = call_add_message(c);
	struct draft d;

	if (!m)
		return;
	PICK(raw, { "role", &role }, { "content", &content }, { "tool_calls", &calls },
	     { "tool_plan", &plan }, { "tool_call_id", &id });
	draft_init(&d, c, role_of(role));
	if (d.role == ROLE_TOOL) {
		struct tool_result *r = draft_result(&d);
		if (r) {
			r->id = read_text(c, id);
			r->result = openai_result(c, content);
		}
	} else {
		draft_reasoning(&d, plan);
		add_content(&d, content);
		draft_function_calls(&d, calls);
	}
	draft_finish(&d, m);
}

/* Counts come as floats. What was consumed, not what was billed, is comparable with other providers. */
static void read_usage(struct call *c, struct span usage)
{
	struct span tokens, billed;

	if (json_type_of(usage) != JSON_OBJECT)
		return;
	PICK(usage, { "tokens", &tokens }, { "billed_units", &billed });
	c->usage = usage;
	if (!tokens.p)
		tokens = billed;
	c->tokens_in = read_count(json_get(tokens, "input_tokens"));
	c->tokens_out = read_count(json_get(tokens, "output_tokens"));
	c->tokens_cached = read_count(json_get(usage, "cached_tokens"));
}

struct tool {
	int64_t index;
	struct span id, name;
	struct joined arguments;
};

struct answer {
	struct call *c;
	struct joined text, thinking, plan;
	struct tool *tools;
	size_t n_tools;
	struct span finish, usage;
	bool seen, begun, done;
};

/* "tool_calls" is an object in events, a list in messages. */
static void tool_event(struct answer *a, struct span index, struct span call)
{
	struct span id, function, name, arguments;
	struct tool *t = NULL;
	int64_t n = 0;

	json_i64(index, &n);
	for (size_t i = a->n_tools; i-- > 0 && !t;)
		if (a->tools[i].index == n)
			t = &a->tools[i];
	if (!t && a->n_tools < LIMIT_STREAM_TOOLS) {
		t = arena_push(a->c->arena, &a->tools, &a->n_tools, sizeof(*t));
		t->index = n;
	}
	if (!t)
		return;
	PICK(call, { "id", &id }, { "function", &function });
	PICK(function, { "name", &name }, { "arguments", &arguments });
	if (id.p)
		t->id = read_text(a->c, id);
	if (name.p)
		t->name = read_text(a->c, name);
	joined_add(a->c, &t->arguments, arguments);
	a->begun = true;
}

static void read_event(struct answer *a, struct span raw)
{
	struct call *c = a->c;
	struct span type, id, index, delta, message, content, calls, plan, finish, usage, error,
		text, thinking;

	PICK(raw, { "type", &type }, { "id", &id }, { "index", &index }, { "delta", &delta });
	PICK(delta, { "message", &message }, { "finish_reason", &finish }, { "usage", &usage },
	     { "error", &error });
	PICK(message, { "content", &content }, { "tool_calls", &calls }, { "tool_plan", &plan });
	a->seen = true;
	if (id.p)
		c->response_id = read_text(c, id);
	if (json_type_of(content) == JSON_OBJECT) {
		PICK(content, { "text", &text }, { "thinking", &thinking });
		joined_add(c, &a->text, text);
		joined_add(c, &a->thinking, thinking);
		a->begun |= text.len > 2 || thinking.len > 2;
	}
	joined_add(c, &a->plan, plan);
	a->begun |= plan.len > 2;
	if (json_type_of(calls) == JSON_OBJECT)
		tool_event(a, index, calls);
	if (json_is(type, "message-end")) {
		a->done = true;
		a->finish = finish;
		a->usage = usage;
		if (error.p)
			read_error(c, error);
	}
}

static void finish_stream(struct answer *a)
{
	struct call *c = a->c;
	struct draft d;

	if (!a->done && !c->error.type.p)
		read_incomplete(c, "stream ended early");
	draft_init(&d, c, ROLE_ASSISTANT);
	draft_reasoning(&d, joined_raw(&a->plan));
	draft_reasoning(&d, joined_raw(&a->thinking));
	draft_text(&d, joined_raw(&a->text));
	for (size_t i = 0; i < a->n_tools; i++) {
		struct tool_request *r = draft_request(&d);
		if (!r)
			break;
		r->id = a->tools[i].id;
		r->name = a->tools[i].name;
		r->arguments = tool_arguments(c, joined_raw(&a->tools[i].arguments));
	}
	if (a->seen)
		call_set_answer(c, &d, a->finish);
	read_usage(c, a->usage);
}

static void read_whole(struct call *c, struct span body)
{
	struct span id, finish, message, usage, content, calls, plan;
	struct draft d;

	PICK(body, { "id", &id }, { "finish_reason", &finish }, { "message", &message },
	     { "usage", &usage });
	PICK(message, { "content", &content }, { "tool_calls", &calls }, { "tool_plan", &plan });
	c->response_id = read_text(c, id);
	draft_init(&d, c, ROLE_ASSISTANT);
	draft_reasoning(&d, plan);
	add_content(&d, content);
	draft_function_calls(&d, calls);
	if (message.p)
		call_set_answer(c, &d, finish);
	read_usage(c, usage);
	read_meta(c, "citations", json_get(message, "citations"));
}

static void read_chat(const struct exchange *ex, struct call *c)
{
	struct answer a = { .c = c };

	for (size_t i = 0; i < ex->n_frames; i++) {
		struct span raw = read_frame(&ex->frames[i], c);
		if (raw.p)
			read_event(&a, raw);
		if (a.begun && !c->first_token_ns)
			c->first_token_ns = ex->frames[i].ts_ns;
	}
	if (ex->n_frames)
		finish_stream(&a);
	else if (ex->status < 400)
		read_whole(c, read_response(ex, c));
}

/* embeddings: {"float": [[...]], "int8": [[...]]}; all kinds have one vector an input. */
static void read_embed(const struct exchange *ex, struct call *c, struct span body)
{
	struct span texts, images, inputs, embeddings, meta, key, value;

	PICK(body, { "texts", &texts }, { "images", &images }, { "inputs", &inputs });
	embedding_input(c, texts.p ? texts : inputs.p ? inputs : images);
	if (ex->status >= 400)
		return;
	PICK(read_response(ex, c), { "embeddings", &embeddings }, { "meta", &meta });
	struct json_iter it = json_iter(embeddings);
	if (it.object && json_next(&it, &key, &value))
		embedding_output(c, json_count(value), embedding_dimensions(json_at(value, 0)));
	read_usage(c, meta);
}

/* Texts are only in the request: each result takes its own by index. */
static void read_rerank(const struct exchange *ex, struct call *c, struct span body)
{
	struct span documents, query, results, meta, one, index, score, *texts = NULL, text;
	size_t n_texts = 0;
	struct buf b;
	int64_t n;

	PICK(body, { "documents", &documents }, { "query", &query });
	c->kind = CALL_RETRIEVAL;
	c->query = query;
	if (ex->status >= 400)
		return;
	PICK(read_response(ex, c), { "results", &results }, { "meta", &meta });
	read_meta(c, "usage", meta);
	struct json_iter it = json_iter(documents);
	while (!it.object && n_texts < LIMIT_PARTS && json_next(&it, NULL, &text))
		*(struct span *)arena_push(c->arena, &texts, &n_texts, sizeof(text)) = text;
	if (json_type_of(results) != JSON_ARRAY)
		return;
	buf_init(&b, LIMIT_BODY);
	buf_add_char(&b, '[');
	it = json_iter(results);
	int err = 0;
	while (!err && json_next(&it, NULL, &one)) {
		PICK(one, { "index", &index }, { "relevance_score", &score });
		if (!json_i64(index, &n) || n < 0 || (size_t)n >= n_texts)
			continue;
		json_put_comma(&b);
		buf_add_char(&b, '{');
		json_put_member(&b, "content", texts[n]);
		json_put_member(&b, "score", score);
		err = buf_add_char(&b, '}');
	}
	if (!err && buf_add_char(&b, ']') == 0)
		c->results = arena_copy(c->arena, buf_span(&b));
	buf_fini(&b);
}

static void read_call(const struct exchange *ex, struct call *c)
{
	static const char *const params[] = { "temperature",
					      "max_tokens",
					      "k",
					      "p",
					      "seed",
					      "stop_sequences",
					      "tool_choice",
					      "thinking",
					      "response_format",
					      "safety_mode",
					      "input_type",
					      "embedding_types",
					      "output_dimension",
					      "top_n",
					      "citation_options",
					      NULL };
	struct span body = read_request(ex, c), model, messages, tools, stream, one;
	enum op op = op_of(exchange_path(ex));

	PICK(body, { "model", &model }, { "messages", &messages }, { "tools", &tools },
	     { "stream", &stream });
	c->model_requested = read_text(c, model);
	c->stream = json_true(stream) || ex->n_frames > 0;
	read_params(c, body, params);
	if (op == OP_EMBED) {
		read_embed(ex, c, body);
		return;
	}
	if (op == OP_RERANK) {
		read_rerank(ex, c, body);
		return;
	}
	struct json_iter it = json_iter(messages);
	while (!it.object && json_next(&it, NULL, &one))
		read_message(c, one);
	openai_tools(c, tools);
	read_meta(c, "documents", json_get(body, "documents"));
	read_chat(ex, c);
}

const struct dialect dialect_cohere = { "cohere", match, read_call, "cohere" };
