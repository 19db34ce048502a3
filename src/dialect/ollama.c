/* Ollama's own API: JSON lines unless "stream" is false. */
#include "dialect/dialects.h"
#include "dialect/embedding.h"

enum op { OP_NONE, OP_CHAT, OP_GENERATE, OP_EMBED };

static enum op op_of(struct span path)
{
	static const struct {
		const char *path;
		enum op op;
	} ops[] = { { "/api/chat", OP_CHAT },
		    { "/api/generate", OP_GENERATE },
		    { "/api/embed", OP_EMBED },
		    { "/api/embeddings", OP_EMBED } };

	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (span_ends(path, span_of(ops[i].path)))
			return ops[i].op;
	return OP_NONE;
}

static int match(const struct exchange *ex)
{
	enum op op = op_of(exchange_path(ex));

	/* such paths are everybody's: the body must have a model too */
	if (!span_is(ex->method, "POST") || !op || !read_has(ex->request.body, "model"))
		return 0;
	if (op == OP_CHAT)
		return read_has(ex->request.body, "messages") ? 90 : 30;
	return read_has(ex->request.body, op == OP_EMBED ? "input" : "prompt") ||
			       read_has(ex->request.body, "prompt")
		       ? 80
		       : 30;
}

static void add_images(struct draft *d, struct span images)
{
	struct json_iter it = json_iter(images);
	struct span one;

	while (!it.object && json_next(&it, NULL, &one))
		draft_media(d, "image",
			    arena_printf(d->call->arena, "{\"data\":%.*s}", SPAN_FMT(one)));
}

static void read_message(struct call *c, struct span raw)
{
	struct span role, content, thinking, images, calls, tool, id;
	struct message *m = call_add_message(c);
	struct draft d;

	if (!m)
		return;
	PICK(raw, { "role", &role }, { "content", &content }, { "thinking", &thinking },
	     { "images", &images }, { "tool_calls", &calls }, { "tool_name", &tool },
	     { "tool_call_id", &id });
	draft_init(&d, c,
		   json_is(role, "assistant") ? ROLE_ASSISTANT
		   : json_is(role, "system")  ? ROLE_SYSTEM
		   : json_is(role, "tool")    ? ROLE_TOOL
					      : ROLE_USER);
	if (d.role == ROLE_TOOL) {
		struct tool_result *r = draft_result(&d);
		if (r) {
			r->id = read_text(c, id);
			r->name = read_text(c, tool);
			r->result = content;
		}
	} else {
		draft_reasoning(&d, thinking);
		draft_text(&d, content);
		add_images(&d, images);
		draft_function_calls(&d, calls);
	}
	draft_finish(&d, m);
}

static void read_prompt(struct call *c, struct span system, struct span prompt, struct span images)
{
	struct message *m;
	struct draft d;

	if (system.len > 2 && (m = call_add_message(c)) != NULL) {
		draft_init(&d, c, ROLE_SYSTEM);
		draft_text(&d, system);
		draft_finish(&d, m);
	}
	m = call_add_message(c);
	draft_init(&d, c, ROLE_USER);
	draft_text(&d, prompt);
	add_images(&d, images);
	if (m)
		draft_finish(&d, m);
}

struct answer {
	struct call *c;
	struct draft d;
	struct joined text, thinking;
	struct span calls[64]; /* each line's list; models ask for few tools */
	size_t n_calls;
	struct span reason, last, remote;
	bool seen, done, begun;
};

static void read_line(struct answer *a, struct span raw)
{
	struct call *c = a->c;
	struct span model, message, response, thinking, calls, done, reason, error, content, remote,
		inner, inner_calls;

	PICK(raw, { "model", &model }, { "message", &message }, { "response", &response },
	     { "thinking", &thinking }, { "tool_calls", &calls }, { "done", &done },
	     { "done_reason", &reason }, { "error", &error }, { "remote_host", &remote });
	if (error.p) {
		read_error(c, error);
		return;
	}
	PICK(message, { "content", &content }, { "thinking", &inner },
	     { "tool_calls", &inner_calls });
	a->seen = true;
	if (model.p)
		c->model = read_text(c, model);
	joined_add(c, &a->text, message.p ? content : response);
	joined_add(c, &a->thinking, message.p ? inner : thinking);
	calls = message.p ? inner_calls : calls;
	if (json_count(calls)) {
		if (a->n_calls < sizeof(a->calls) / sizeof(*a->calls))
			a->calls[a->n_calls++] = calls;
		else
			read_incomplete(c, "too many tool calls");
	}
	a->begun |= content.len > 2 || response.len > 2 || inner.len > 2 || thinking.len > 2 ||
		    calls.len > 2;
	if (remote.p)
		a->remote = remote;
	if (json_true(done)) {
		a->done = true;
		a->reason = reason;
		a->last = raw;
	}
}

/* Counts and durations (ns) of the last line, as the provider's usage object. */
static void read_usage(struct call *c, struct span last)
{
	static const char *const names[] = { "prompt_eval_count",    "eval_count",
					     "total_duration",	     "load_duration",
					     "prompt_eval_duration", "eval_duration" };
	struct buf b;

	buf_init(&b, last.len + 256);
	buf_add_char(&b, '{');
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		json_put_member(&b, names[i], json_get(last, names[i]));
	buf_add_char(&b, '}');
	if (b.len > 2)
		c->usage = arena_copy(c->arena, buf_span(&b));
	buf_fini(&b);
	c->tokens_in = read_count(json_get(last, "prompt_eval_count"));
	c->tokens_out = read_count(json_get(last, "eval_count"));
}

static void read_answer(const struct exchange *ex, struct call *c)
{
	struct answer a = { .c = c };

	for (size_t i = 0; i < ex->n_frames; i++) {
		struct span raw = read_frame(&ex->frames[i], c);
		if (raw.p)
			read_line(&a, raw);
		if (a.begun && !c->first_token_ns)
			c->first_token_ns = ex->frames[i].ts_ns;
	}
	if (!ex->n_frames && ex->status < 400) {
		struct span body = read_response(ex, c);
		if (json_type_of(body) == JSON_OBJECT)
			read_line(&a, body);
	}
	if (a.seen && !a.done && !c->error.type.p)
		read_incomplete(c, "stream ended early");
	if (a.seen) {
		draft_init(&a.d, c, ROLE_ASSISTANT);
		draft_reasoning(&a.d, joined_raw(&a.thinking));
		draft_text(&a.d, joined_raw(&a.text));
		for (size_t i = 0; i < a.n_calls; i++)
			draft_function_calls(&a.d, a.calls[i]);
		call_set_answer(c, &a.d, a.reason);
	}
	if (a.last.p)
		read_usage(c, a.last);
	read_meta(c, "remote_host", a.remote);
}

static void read_embeddings(const struct exchange *ex, struct call *c, struct span input)
{
	struct span embedding, embeddings, model, count;

	embedding_input(c, input);
	if (ex->status >= 400)
		return;
	PICK(read_response(ex, c), { "embedding", &embedding }, { "embeddings", &embeddings },
	     { "model", &model }, { "prompt_eval_count", &count });
	c->model = read_text(c, model);
	c->tokens_in = read_count(count);
	if (embeddings.p)
		embedding_output(c, json_count(embeddings),
				 embedding_dimensions(json_at(embeddings, 0)));
	else if (embedding.p)
		embedding_output(c, 1, embedding_dimensions(embedding));
}

static void read_call(const struct exchange *ex, struct call *c)
{
	static const char *const params[] = { "options",  "format", "keep_alive", "think",
					      "raw",	  "suffix", "template",	  "dimensions",
					      "truncate", NULL };
	struct span body = read_request(ex, c), model, messages, tools, stream, prompt, system,
		    images, input, one;
	enum op op = op_of(exchange_path(ex));

	PICK(body, { "model", &model }, { "messages", &messages }, { "tools", &tools },
	     { "stream", &stream }, { "prompt", &prompt }, { "system", &system },
	     { "images", &images }, { "input", &input });
	c->model_requested = read_text(c, model);
	read_params(c, body, params);
	if (op == OP_EMBED) {
		read_embeddings(ex, c, input.p ? input : prompt);
		return;
	}
	c->stream = stream.p ? json_true(stream) : true;
	struct json_iter it = json_iter(messages);
	while (!it.object && json_next(&it, NULL, &one))
		read_message(c, one);
	if (op == OP_GENERATE)
		read_prompt(c, system, prompt, images);
	it = json_iter(tools);
	while (!it.object && json_next(&it, NULL, &one))
		call_add_tool(c, read_text(c, json_path(one, "function.name")));
	read_answer(ex, c);
}

const struct dialect dialect_ollama = { "ollama", match, read_call, "ollama" };
