/* What MCP's requests mean; revisions 2024-11-05 to 2026-07-28. */
#include "dialect/mcp_call.h"

/* A text stays a string; one list of content blocks becomes contract content. */
static void add_block(struct draft *d, struct span block)
{
	struct span type, text;

	PICK(block, { "type", &type }, { "text", &text });
	if (json_is(type, "text"))
		draft_text(d, text);
	else if (json_is(type, "image"))
		draft_media(d, "image", block);
	else if (json_is(type, "audio"))
		draft_media(d, "audio", block);
	else if (json_is(type, "resource") || json_is(type, "resource_link"))
		draft_media(d, "file", block);
	else
		draft_other(d, block);
}

static void add_content(struct draft *d, struct span content)
{
	struct json_iter it = json_iter(content);
	struct span block;

	draft_text(d, content);
	if (it.object)
		add_block(d, content);
	while (!it.object && json_next(&it, NULL, &block))
		add_block(d, block);
}

static void read_tool(struct call *c, struct span params, struct span result)
{
	struct span name, arguments, content, structured, is_error, kind, requests;
	struct draft d;

	PICK(params, { "name", &name }, { "arguments", &arguments });
	c->kind = CALL_TOOL;
	c->tool.name = read_text(c, name);
	c->tool.arguments = arguments.p ? arguments : SPAN("{}");
	if (!result.p)
		return;
	PICK(result, { "content", &content }, { "structuredContent", &structured },
	     { "isError", &is_error }, { "resultType", &kind }, { "inputRequests", &requests });
	c->tool.failed = json_true(is_error);
	if (content.p) {
		draft_init(&d, c, ROLE_TOOL);
		add_content(&d, content);
		c->tool.result = draft_content(&d);
	} else {
		c->tool.result = structured.p ? structured : result;
	}
	if (content.p)
		read_meta(c, "structured_content", structured);
	if (json_is(kind,
		    "input_required")) /* asked again with the answers: the user is being asked */
		read_meta(c, "input_required", requests.p ? requests : SPAN("true"));
}

/* resources/read: [{"content":...,"metadata":{"uri":...,"mimeType":...}}] */
static void read_resource(struct call *c, struct span params, struct span result)
{
	struct span uri = json_get(params, "uri"), contents = json_get(result, "contents"), one, id,
		    mime, text, blob;
	struct json_iter it = json_iter(contents);
	struct buf b;

	c->kind = CALL_RETRIEVAL;
	c->query = uri;
	if (json_type_of(contents) != JSON_ARRAY)
		return;
	buf_init(&b, contents.len * 4 + 64 * (json_count(contents) + 1));
	buf_add_char(&b, '[');
	while (json_next(&it, NULL, &one)) {
		PICK(one, { "uri", &id }, { "mimeType", &mime }, { "text", &text },
		     { "blob", &blob });
		json_put_comma(&b);
		buf_add_char(&b, '{');
		json_put_member(&b, "content", text.p ? text : blob.p ? blob : SPAN("\"\""));
		json_put_key(&b, "metadata");
		buf_add_char(&b, '{');
		json_put_member(&b, "id", id);
		json_put_member(&b, "mime_type", mime);
		buf_add_text(&b, "}}");
	}
	if (buf_add_char(&b, ']') == 0)
		c->results = arena_copy(c->arena, buf_span(&b));
	buf_fini(&b);
}

/* The server asks the client's model. */
static void read_sampling(struct call *c, struct span params, struct span result)
{
	struct span messages, system, role, content, model, reason, one;
	struct json_iter it;
	struct draft d;

	c->kind = CALL_LLM;
	PICK(params, { "messages", &messages }, { "systemPrompt", &system });
	if (system.p) {
		struct message *m = call_add_message(c);
		draft_init(&d, c, ROLE_SYSTEM);
		draft_text(&d, system);
		draft_finish(&d, m);
	}
	it = json_iter(messages);
	while (!it.object && json_next(&it, NULL, &one)) {
		struct message *m = call_add_message(c);
		if (!m)
			break;
		PICK(one, { "role", &role }, { "content", &content });
		draft_init(&d, c, json_is(role, "assistant") ? ROLE_ASSISTANT : ROLE_USER);
		add_content(&d, content);
		draft_finish(&d, m);
	}
	if (!result.p)
		return;
	PICK(result, { "content", &content }, { "model", &model }, { "stopReason", &reason });
	c->model = read_text(c, model);
	draft_init(&d, c, ROLE_ASSISTANT);
	add_content(&d, content);
	call_set_answer(c, &d, reason);
}

/* The user is asked: query is the prompt, results the answer as it came. */
static void read_elicitation(struct call *c, struct span params, struct span result)
{
	c->kind = CALL_INTERRUPT;
	c->query = json_get(params, "message");
	c->results = result;
	read_meta(c, "requested_schema", json_get(params, "requestedSchema"));
}

static void read_list(struct call *c, struct span params, struct span result)
{
	struct json_iter it = json_iter(json_get(result, "tools"));
	struct span tool;

	(void)params;
	c->kind = CALL_COUNT;
	while (!it.object && json_next(&it, NULL, &tool))
		call_add_tool(c, json_get_text(c->arena, tool, "name"));
}

static void read_nothing(struct call *c, struct span params, struct span result)
{
	(void)params;
	(void)result;
	c->kind = CALL_COUNT;
}

static const struct {
	const char *method; /* ends in '/': all below it */
	void (*read)(struct call *c, struct span params, struct span result);
} methods[] = {
	{ "tools/call", read_tool },
	{ "tools/list", read_list },
	{ "resources/read", read_resource },
	{ "sampling/createMessage", read_sampling },
	{ "elicitation/create", read_elicitation },
	{ "initialize", read_nothing },
	{ "ping", read_nothing },
	{ "server/discover", read_nothing },
	{ "tools/", read_nothing },
	{ "resources/", read_nothing },
	{ "prompts/", read_nothing },
	{ "completion/", read_nothing },
	{ "sampling/", read_nothing },
	{ "elicitation/", read_nothing },
	{ "roots/", read_nothing },
	{ "logging/", read_nothing },
	{ "subscriptions/", read_nothing },
	{ "notifications/", read_nothing },
};

static size_t method_row(struct span raw)
{
	size_t n = sizeof(methods) / sizeof(*methods);

	for (size_t i = 0; i < n; i++) {
		struct span want = span_of(methods[i].method);
		if (want.p[want.len - 1] == '/') {
			if (raw.len > want.len + 2 && memcmp(raw.p + 1, want.p, want.len) == 0)
				return i;
		} else if (json_is(raw, methods[i].method)) {
			return i;
		}
	}
	return n;
}

bool mcp_is_request(struct span message, struct span *method)
{
	struct span version, name;

	PICK(message, { "jsonrpc", &version }, { "method", &name });
	if (method)
		*method = name;
	return json_is(version, "2.0") && json_type_of(name) == JSON_STRING &&
	       method_row(name) < sizeof(methods) / sizeof(*methods);
}

void mcp_read(struct call *c, struct span request, struct span answer)
{
	struct span id, method, params, result, error, code, message;
	size_t row;

	PICK(request, { "id", &id }, { "method", &method }, { "params", &params });
	PICK(answer, { "result", &result }, { "error", &error });
	row = method_row(method);
	if (row < sizeof(methods) / sizeof(*methods))
		methods[row].read(c, params, result);
	read_meta(c, "mcp_method", method);
	read_meta(c, "jsonrpc_id", id);
	read_meta(c, "mcp_meta", json_get(params, "_meta"));
	if (error.p) {
		PICK(error, { "code", &code }, { "message", &message });
		c->error.type = json_type_of(code) == JSON_NUMBER ? code : SPAN("error");
		c->error.message = read_text(c, message);
		c->tool.failed = c->kind == CALL_TOOL;
		read_meta(c, "error_data", json_get(error, "data"));
	}
}
