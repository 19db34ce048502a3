/* OpenAI chat completions, and the many servers that speak it. */
#include "dialect/dialects.h"
#include "dialect/openai.h"

static int match(const struct exchange *ex)
{
	struct span path = exchange_path(ex), peek;

	if (span_ends(path, SPAN("/chat/completions")) && read_posted(ex))
		return 100;
	/* Mistral's agents and unknown prefixes: the body decides. */
	if (ex->method.len && span_ends(path, SPAN("/completions")) &&
	    read_has(ex->request.body, "messages"))
		return 60;
	if (ex->method.len)
		return 0;
	peek = read_peek(ex);
	return span_find(peek, SPAN("\"chat.completion")).p && read_has(peek, "choices") ? 50 : 0;
}

/* assistant: tool_calls and the older function_call */
static void add_request(struct draft *d, struct span raw)
{
	struct call *c = d->call;
	struct span id, function, custom, name, arguments, input;
	struct tool_request *r = draft_request(d);

	if (!r)
		return;
	PICK(raw, { "id", &id }, { "function", &function }, { "custom", &custom });
	PICK(custom.p	  ? custom
	     : function.p ? function
			  : raw,
	     { "name", &name }, { "arguments", &arguments }, { "input", &input });
	r->id = read_text(c, id);
	r->name = read_text(c, name);
	r->arguments = custom.p ? input : tool_arguments(c, arguments);
}

static enum role role_of(struct span raw)
{
	if (json_is(raw, "assistant"))
		return ROLE_ASSISTANT;
	if (json_is(raw, "tool") || json_is(raw, "function"))
		return ROLE_TOOL;
	return json_is(raw, "system") || json_is(raw, "developer") ? ROLE_SYSTEM : ROLE_USER;
}

static void read_message(struct call *c, struct span raw)
{
	struct span role, content, refusal, reasoning, reasoning2, calls, call, id, name, one;
	struct message *m = call_add_message(c);
	struct draft d;

	if (!m)
		return;
	PICK(raw, { "role", &role }, { "content", &content }, { "refusal", &refusal },
	     { "reasoning_content", &reasoning }, { "reasoning", &reasoning2 },
	     { "tool_calls", &calls }, { "function_call", &call }, { "tool_call_id", &id },
	     { "name", &name });
	draft_init(&d, c, role_of(role));
	if (d.role == ROLE_TOOL) {
		struct tool_result *r = draft_result(&d);
		if (r) {
			r->id = read_text(c, id);
			r->name = read_text(c, name);
			r->result = openai_result(c, content);
		}
		draft_finish(&d, m);
		return;
	}
	draft_reasoning(&d, reasoning.p ? reasoning : reasoning2);
	openai_content(&d, content);
	draft_text(&d, refusal);
	struct json_iter it = json_iter(calls);
	while (!it.object && json_next(&it, NULL, &one))
		add_request(&d, one);
	if (call.p)
		add_request(&d, call);
	draft_finish(&d, m);
}

/* Azure names the model in the path: /openai/deployments/{deployment}/chat/completions */
static struct span deployment(const struct exchange *ex)
{
	struct span rest = span_find(exchange_path(ex), SPAN("/deployments/")), name;

	if (!rest.p)
		return SPAN_NONE;
	rest = span_at(rest.p + 13, rest.len - 13);
	return span_split(&rest, '/', &name) ? name : SPAN_NONE;
}

static void read_call(const struct exchange *ex, struct call *c)
{
	struct span body = read_request(ex, c), model, messages, tools, functions, stream, one,
		    thread;

	PICK(body, { "model", &model }, { "messages", &messages }, { "tools", &tools },
	     { "functions", &functions }, { "stream", &stream }, { "session_id", &thread });
	c->model_requested = model.p ? read_text(c, model) : deployment(ex);
	c->stream = json_true(stream) || ex->n_frames > 0;
	if (!c->session_id.p)
		c->session_id = read_text(c, thread);
	struct json_iter it = json_iter(messages);
	while (!it.object && json_next(&it, NULL, &one))
		read_message(c, one);
	openai_tools(c, tools);
	openai_tools(c, functions);
	read_params(c, body, openai_params);
	openai_chat_answer(ex, c);
}

const struct dialect dialect_openai_chat = { "openai.chat", match, read_call, "openai" };
