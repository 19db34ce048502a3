/* Anthropic messages: its own API, gateways and local servers; Vertex puts the model into the path. */
#include "dialect/anthropic.h"
#include "dialect/dialects.h"

static bool is_count(const struct exchange *ex)
{
	return span_ends(exchange_path(ex), SPAN("/messages/count_tokens")) ||
	       span_ends(exchange_path(ex), SPAN("/count-tokens:rawPredict"));
}

static int match(const struct exchange *ex)
{
	struct span path = exchange_path(ex), peek;

	if (!ex->method.len) {
		peek = read_peek(ex);
		return span_find(peek, SPAN("\"message_start\"")).p ||
				       (read_has(peek, "stop_reason") && read_has(peek, "content"))
			       ? 50
			       : 0;
	}
	if (!span_is(ex->method, "POST"))
		return 0;
	if (is_count(ex))
		return 100;
	if (span_ends(path, SPAN("/v1/messages")))
		return 100;
	if (span_find(path, SPAN("/publishers/anthropic/models/")).p &&
	    (span_ends(path, SPAN(":rawPredict")) || span_ends(path, SPAN(":streamRawPredict"))))
		return 100;
	if (span_ends(path, SPAN("/messages")) &&
	    (http_field(&ex->request, "anthropic-version").p ||
	     read_has(ex->request.body, "max_tokens")))
		return 70;
	return 0;
}

/* system: text or text blocks, one message before all others */
static void read_system(struct call *c, struct span system)
{
	struct message *m = system.p ? call_add_message(c) : NULL;
	struct draft d;

	if (!m)
		return;
	draft_init(&d, c, ROLE_SYSTEM);
	anthropic_content(&d, system);
	draft_finish(&d, m);
}

static void read_message(struct call *c, struct span raw)
{
	struct message *m = call_add_message(c);
	struct span role, content;
	struct draft d;

	if (!m)
		return;
	PICK(raw, { "role", &role }, { "content", &content });
	draft_init(&d, c,
		   json_is(role, "assistant") ? ROLE_ASSISTANT
		   : json_is(role, "system")  ? ROLE_SYSTEM
					      : ROLE_USER);
	anthropic_content(&d, content);
	draft_finish(&d, m);
}

static void read_tools(struct call *c, struct span tools)
{
	struct json_iter it = json_iter(tools);
	struct span tool, name, type;

	while (!it.object && json_next(&it, NULL, &tool)) {
		PICK(tool, { "name", &name }, { "type", &type });
		call_add_tool(c, read_text(c, name.p ? name : type));
	}
}

/* Vertex: .../publishers/anthropic/models/{model}:streamRawPredict */
static struct span path_model(const struct exchange *ex)
{
	struct span rest = span_find(exchange_path(ex), SPAN("/publishers/anthropic/models/")),
		    name;

	if (!rest.p)
		return SPAN_NONE;
	rest = span_at(rest.p + 29, rest.len - 29);
	return span_split(&rest, ':', &name) && !span_is(name, "count-tokens") ? name : SPAN_NONE;
}

void anthropic_request(struct call *c, struct span body)
{
	static const char *const params[] = { "max_tokens",
					      "temperature",
					      "top_p",
					      "top_k",
					      "stop_sequences",
					      "thinking",
					      "output_config",
					      "tool_choice",
					      "metadata",
					      "service_tier",
					      "container",
					      "context_management",
					      "anthropic_version",
					      "anthropic_beta",
					      NULL };
	struct span model, messages, system, tools, stream, one;

	PICK(body, { "model", &model }, { "messages", &messages }, { "system", &system },
	     { "tools", &tools }, { "stream", &stream });
	if (model.p)
		c->model_requested = read_text(c, model);
	c->stream |= json_true(stream);
	read_system(c, system);
	struct json_iter it = json_iter(messages);
	while (!it.object && json_next(&it, NULL, &one))
		read_message(c, one);
	read_tools(c, tools);
	read_params(c, body, params);
}

static void read_call(const struct exchange *ex, struct call *c)
{
	struct span body = read_request(ex, c);

	c->model_requested = path_model(ex);
	c->stream = ex->n_frames > 0;
	anthropic_request(c, body);
	if (is_count(ex)) {
		c->kind = CALL_COUNT;
		read_count_into(json_get(read_response(ex, c), "input_tokens"), &c->tokens_in);
		return;
	}
	anthropic_answer(ex, c);
}

const struct dialect dialect_anthropic_messages = { "anthropic.messages", match, read_call,
						    "anthropic" };
