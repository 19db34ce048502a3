/* Gemini generateContent: AI Studio, Vertex, and Code Assist, which wraps request and response. */
#include "dialect/dialects.h"
#include "dialect/embedding.h"

#include "base/limits.h"

enum op { OP_NONE, OP_GENERATE, OP_COUNT, OP_EMBED };

/* What follows the last colon of the path: /v1beta/models/{model}:{op} */
static enum op op_of(struct span path, struct span *model)
{
	static const struct {
		const char *verb;
		enum op op;
	} verbs[] = {
		{ ":generateContent", OP_GENERATE }, { ":streamGenerateContent", OP_GENERATE },
		{ ":countTokens", OP_COUNT },	     { ":embedContent", OP_EMBED },
		{ ":batchEmbedContents", OP_EMBED },
	};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		struct span verb = span_of(verbs[i].verb), rest;
		if (!span_ends(path, verb))
			continue;
		rest = span_find(path, SPAN("/models/"));
		*model = rest.p ? span_at(rest.p + 8, rest.len - 8 - verb.len) : SPAN_NONE;
		return verbs[i].op;
	}
	return OP_NONE;
}

static int match(const struct exchange *ex)
{
	struct span model, path = exchange_path(ex), peek;

	if (!ex->method.len) {
		peek = read_peek(ex);
		return span_find(peek, SPAN("\"candidates\"")).p &&
				       span_find(peek, SPAN("\"usageMetadata\"")).p
			       ? 40
			       : 0;
	}
	if (!span_is(ex->method, "POST") || !op_of(path, &model))
		return 0;
	return model.p || span_find(path, SPAN("/v1internal")).p ? 100 : 50;
}

/* camelCase on the wire, but Google's parsers also take snake_case. */
static struct span either(struct span a, struct span b)
{
	return a.p ? a : b;
}

struct text_run {
	struct joined text;
	bool thought;
};

/* Streams cut texts anywhere: pieces of one kind that follow each other are one. */
static void end_run(struct draft *d, struct text_run *run)
{
	struct span raw = joined_raw(&run->text);

	if (run->thought)
		draft_reasoning(d, raw);
	else
		draft_text(d, raw);
	run->text = (struct joined){ 0 };
}

static void add_call(struct draft *d, struct span raw, bool server)
{
	struct span id, name, args, type;
	struct tool_request *r = draft_request(d);

	if (!r)
		return;
	PICK(raw, { "id", &id }, { "name", &name }, { "args", &args }, { "toolType", &type });
	r->id = read_text(d->call, id);
	r->name = read_text(d->call, either(name, type));
	r->arguments = args.p ? args : SPAN("{}");
	r->server_side = server;
}

static void add_response(struct draft *d, struct span raw)
{
	struct span id, name, response;
	struct tool_result *r = draft_result(d);

	if (!r)
		return;
	PICK(raw, { "id", &id }, { "name", &name }, { "response", &response });
	r->id = read_text(d->call, id);
	r->name = read_text(d->call, name);
	r->result = response;
	/* by convention {"error": ...}; SDKs wrap plain values as {"output"|"result": ...} */
	r->is_error = json_count(response) == 1 && json_get(response, "error").p;
}

/* Code that the provider runs: a request, and its output behind it. */
static void add_code(struct draft *d, struct span code)
{
	struct tool_request *r = draft_request(d);

	if (!r)
		return;
	r->id = json_get_text(d->call->arena, code, "id");
	r->name = SPAN("code_execution");
	r->arguments = code;
	r->server_side = true;
}

static void add_outcome(struct draft *d, struct span outcome, struct span whole)
{
	struct tool_request *r = d->n_requests ? &d->requests[d->n_requests - 1] : NULL;

	if (!r || !r->server_side || r->result.p) {
		draft_other(d, whole);
		return;
	}
	r->result = outcome;
	r->failed = json_get(outcome, "outcome").p &&
		    !json_is(json_get(outcome, "outcome"), "OUTCOME_OK");
}

static void add_part(struct draft *d, struct span part, struct text_run *run)
{
	struct span text, thought, call, call2, response, response2, code, code2, outcome, outcome2,
		data, data2, file, file2, tool, tool_response;

	PICK(part, { "text", &text }, { "thought", &thought }, { "functionCall", &call },
	     { "function_call", &call2 }, { "functionResponse", &response },
	     { "function_response", &response2 }, { "executableCode", &code },
	     { "executable_code", &code2 }, { "codeExecutionResult", &outcome },
	     { "code_execution_result", &outcome2 }, { "inlineData", &data },
	     { "inline_data", &data2 }, { "fileData", &file }, { "file_data", &file2 },
	     { "toolCall", &tool }, { "toolResponse", &tool_response });
	if (text.p) {
		if (run->text.p && run->thought != json_true(thought))
			end_run(d, run);
		run->thought = json_true(thought);
		joined_add(d->call, &run->text, text);
		return;
	}
	end_run(d, run);
	if (either(call, call2).p)
		add_call(d, either(call, call2), false);
	else if (tool.p)
		add_call(d, tool, true);
	else if (either(response, response2).p)
		add_response(d, either(response, response2));
	else if (either(code, code2).p)
		add_code(d, either(code, code2));
	else if (either(outcome, outcome2).p || tool_response.p)
		add_outcome(d, tool_response.p ? tool_response : either(outcome, outcome2), part);
	else if (either(data, data2).p)
		draft_media(
			d,
			span_starts(json_get_text(d->call->arena, either(data, data2), "mimeType"),
				    SPAN("audio/"))
				? "audio"
				: "image",
			part);
	else if (either(file, file2).p)
		draft_media(d, "file", part);
	else if (json_count(part) > 1 || !json_get(part, "thoughtSignature").p)
		draft_other(d, part);
}

static void add_parts(struct draft *d, struct span parts, struct text_run *run)
{
	struct json_iter it = json_iter(parts);
	struct span part;

	while (!it.object && json_next(&it, NULL, &part))
		add_part(d, part, run);
}

static void read_content(struct call *c, struct span content, bool system)
{
	struct message *m = call_add_message(c);
	struct text_run run = { 0 };
	struct span role, parts, text;
	struct draft d;

	if (!m)
		return;
	PICK(content, { "role", &role }, { "parts", &parts }, { "text", &text });
	draft_init(&d, c,
		   system		       ? ROLE_SYSTEM
		   : json_is(role, "model")    ? ROLE_ASSISTANT
		   : json_is(role, "function") ? ROLE_TOOL
					       : ROLE_USER);
	if (json_type_of(content) == JSON_STRING)
		draft_text(&d, content);
	else if (json_type_of(parts) == JSON_OBJECT)
		add_part(&d, parts, &run);
	else
		add_parts(&d, parts, &run);
	end_run(&d, &run);
	draft_finish(&d, m);
}

/* functionDeclarations by name, built-in tools by their member. */
static void read_tools(struct call *c, struct span tools)
{
	struct json_iter it = json_iter(tools), members, functions;
	struct span tool, key, value, one;

	while (!it.object && json_next(&it, NULL, &tool)) {
		members = json_iter(tool);
		while (members.object && json_next(&members, &key, &value)) {
			if (!json_is(key, "functionDeclarations") &&
			    !json_is(key, "function_declarations")) {
				call_add_tool(c, read_text(c, key));
				continue;
			}
			functions = json_iter(value);
			while (!functions.object && json_next(&functions, NULL, &one))
				call_add_tool(c, json_get_text(c->arena, one, "name"));
		}
	}
}

static void read_request_body(struct call *c, struct span body)
{
	static const char *const params[] = { "generationConfig",
					      "generation_config",
					      "toolConfig",
					      "safetySettings",
					      "cachedContent",
					      "labels",
					      NULL };
	struct span contents, system, system2, tools, session, one;

	PICK(body, { "contents", &contents }, { "systemInstruction", &system },
	     { "system_instruction", &system2 }, { "tools", &tools }, { "session_id", &session });
	if (session.p)
		c->session_id = read_text(c, session);
	if (either(system, system2).p)
		read_content(c, either(system, system2), true);
	if (json_type_of(contents) == JSON_OBJECT)
		read_content(c, contents, false);
	struct json_iter it = json_iter(contents);
	while (!it.object && json_next(&it, NULL, &one))
		read_content(c, one, false);
	read_tools(c, tools);
	read_params(c, body, params);
}

struct answer {
	struct call *c;
	struct draft d;
	struct text_run run;
	struct span usage, finish, block, grounding, message;
	bool seen, begun;
};

/* One response object; a stream sends many, each with more parts. */
static void read_object(struct answer *a, struct span raw)
{
	struct call *c = a->c;
	struct span inner, candidates, usage, version, id, feedback, error, trace, content, finish,
		grounding, index, message, one;
	int64_t n;

	PICK(raw, { "response", &inner }, { "traceId", &trace }, { "error", &error });
	if (error.p) {
		read_error(c, error);
		return;
	}
	if (trace.p)
		c->response_id = read_text(c, trace);
	PICK(inner.p ? inner : raw, { "candidates", &candidates }, { "usageMetadata", &usage },
	     { "modelVersion", &version }, { "responseId", &id }, { "promptFeedback", &feedback });
	a->seen |= candidates.p || feedback.p;
	if (usage.p)
		a->usage = usage;
	if (version.p)
		c->model = read_text(c, version);
	if (id.p)
		c->response_id = read_text(c, id);
	if (json_get(feedback, "blockReason").p)
		a->block = feedback;
	struct json_iter it = json_iter(candidates);
	while (!it.object && json_next(&it, NULL, &one)) {
		PICK(one, { "content", &content }, { "finishReason", &finish },
		     { "groundingMetadata", &grounding }, { "index", &index },
		     { "finishMessage", &message });
		if (json_i64(index, &n) && n > 0) {
			read_incomplete(c, "more than one candidate");
			continue;
		}
		size_t before = a->d.n_parts + a->run.text.len;
		add_parts(&a->d, json_get(content, "parts"), &a->run);
		a->begun |= a->d.n_parts + a->run.text.len > before;
		a->finish = either(finish, a->finish);
		a->grounding = either(grounding, a->grounding);
		a->message = either(message, a->message);
	}
}

/* Thoughts are not part of candidatesTokenCount; output here includes them. */
static void read_usage(struct call *c, struct span usage)
{
	struct span prompt, out, total, cached, thoughts, tools;
	int64_t n;

	if (json_type_of(usage) != JSON_OBJECT)
		return;
	PICK(usage, { "promptTokenCount", &prompt }, { "candidatesTokenCount", &out },
	     { "totalTokenCount", &total }, { "cachedContentTokenCount", &cached },
	     { "thoughtsTokenCount", &thoughts }, { "toolUsePromptTokenCount", &tools });
	c->usage = usage;
	c->tokens_in = read_count(prompt);
	n = read_count(tools);
	if (c->tokens_in >= 0 && n > 0)
		c->tokens_in += n;
	c->tokens_out = read_count(out);
	c->tokens_total = read_count(total);
	c->tokens_cached = read_count(cached);
	c->tokens_reasoning = read_count(thoughts);
	if (c->tokens_reasoning > 0)
		c->tokens_out = (c->tokens_out > 0 ? c->tokens_out : 0) + c->tokens_reasoning;
}

static void read_answer(const struct exchange *ex, struct call *c)
{
	struct answer a = { .c = c };
	struct span one;

	draft_init(&a.d, c, ROLE_ASSISTANT);
	for (size_t i = 0; i < ex->n_frames; i++) {
		struct span raw = read_frame(&ex->frames[i], c);
		if (raw.p)
			read_object(&a, raw);
		if (a.begun && !c->first_token_ns)
			c->first_token_ns = ex->frames[i].ts_ns;
	}
	if (!ex->n_frames && ex->status < 400) {
		struct span body = read_response(ex, c);
		struct json_iter it = json_iter(body);
		if (it.object)
			read_object(&a, body);
		while (!it.object &&
		       json_next(&it, NULL, &one)) /* a stream without alt=sse is one array */
			read_object(&a, one);
	}
	end_run(&a.d, &a.run);
	if (c->stream && a.seen && !a.finish.p && !a.block.p && !c->error.type.p)
		read_incomplete(c, "stream ended early");
	if (a.seen)
		call_set_answer(c, &a.d, a.finish.p ? a.finish : json_get(a.block, "blockReason"));
	c->refusal = a.block.p != NULL;
	read_usage(c, a.usage);
	read_meta(c, "prompt_feedback", a.block);
	read_meta(c, "grounding", a.grounding);
	read_meta(c, "finish_message", a.message);
}

static void read_embeddings(const struct exchange *ex, struct call *c, struct span body)
{
	struct span requests, content, embedding, embeddings, one;
	struct json_iter it;

	PICK(body, { "requests", &requests }, { "content", &content });
	c->kind = CALL_EMBEDDING;
	if (content.p)
		read_content(c, content, false);
	it = json_iter(requests);
	while (!it.object && json_next(&it, NULL, &one))
		read_content(c, json_get(one, "content"), false);
	if (ex->status >= 400)
		return;
	PICK(read_response(ex, c), { "embedding", &embedding }, { "embeddings", &embeddings });
	if (embedding.p)
		embedding_output(c, 1, embedding_dimensions(json_get(embedding, "values")));
	else if (embeddings.p)
		embedding_output(c, json_count(embeddings),
				 embedding_dimensions(json_get(json_at(embeddings, 0), "values")));
}

static void read_call(const struct exchange *ex, struct call *c)
{
	struct span path = exchange_path(ex), model = SPAN_NONE, body = read_request(ex, c), inner,
		    named, prompt_id, text;
	enum op op = op_of(path, &model);

	PICK(body, { "request", &inner }, { "model", &named }, { "user_prompt_id", &prompt_id });
	c->model_requested = model.len ? model : read_text(c, named);
	if (op == OP_GENERATE || op == OP_NONE)
		c->stream = span_ends(path, SPAN(":streamGenerateContent")) || ex->n_frames > 0;
	if (op == OP_EMBED) {
		read_embeddings(ex, c, body);
		return;
	}
	read_request_body(c, inner.p ? inner : body);
	read_meta(c, "user_prompt_id", prompt_id);
	if (op == OP_COUNT) {
		c->kind = CALL_COUNT;
		text = read_response(ex, c);
		read_count_into(json_get(text, "totalTokens"), &c->tokens_in);
		return;
	}
	read_answer(ex, c);
}

const struct dialect dialect_gemini = { "gemini", match, read_call, "google" };
