#include "dialect/responses.h"

enum kind { ITEM_MESSAGE, ITEM_CALL, ITEM_SERVER, ITEM_OUTPUT, ITEM_REASONING };

/* What each item is, where its arguments and its result are, and what the tool is called when the item does not say. */
static const struct row {
	const char *type;
	enum kind kind;
	const char *name;
	const char *arguments; /* member; NULL: the members of `wrap` as an object */
	const char *result;
	const char *wrap[4];
} rows[] = {
	{ "message", ITEM_MESSAGE },
	{ "reasoning", ITEM_REASONING },
	{ "function_call", ITEM_CALL, NULL, "arguments" },
	{ "custom_tool_call", ITEM_CALL, NULL, "input" },
	{ "local_shell_call", ITEM_CALL, "local_shell", "action" },
	{ "shell_call", ITEM_CALL, "shell", "action" },
	{ "apply_patch_call", ITEM_CALL, "apply_patch", "operation" },
	{ "computer_call",
	  ITEM_CALL,
	  "computer",
	  NULL,
	  NULL,
	  { "action", "actions", "pending_safety_checks" } },
	{ "web_search_call", ITEM_SERVER, "web_search", "action", "results" },
	{ "file_search_call", ITEM_SERVER, "file_search", NULL, "results", { "queries" } },
	{ "code_interpreter_call",
	  ITEM_SERVER,
	  "code_interpreter",
	  NULL,
	  "outputs",
	  { "code", "container_id" } },
	{ "image_generation_call",
	  ITEM_SERVER,
	  "image_generation",
	  NULL,
	  "result",
	  { "revised_prompt", "size", "quality" } },
	{ "mcp_call", ITEM_SERVER, NULL, "arguments", "output" },
	{ "tool_search_call", ITEM_SERVER, "tool_search", "arguments", NULL },
	{ "function_call_output", ITEM_OUTPUT, NULL, NULL, "output" },
	{ "custom_tool_call_output", ITEM_OUTPUT, NULL, NULL, "output" },
	{ "local_shell_call_output", ITEM_OUTPUT, "local_shell", NULL, "output" },
	{ "shell_call_output", ITEM_OUTPUT, "shell", NULL, "output" },
	{ "apply_patch_call_output", ITEM_OUTPUT, "apply_patch", NULL, "output" },
	{ "computer_call_output", ITEM_OUTPUT, "computer", NULL, "output" },
};

static const struct row *row_of(struct span type)
{
	if (!type.p)
		return &rows[0]; /* "easy" messages leave it out */
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (json_is(type, rows[i].type))
			return &rows[i];
	return NULL;
}

enum role responses_role(struct span item)
{
	struct span type, role;
	const struct row *row;

	PICK(item, { "type", &type }, { "role", &role });
	row = row_of(type);
	if (row && row->kind == ITEM_OUTPUT)
		return ROLE_TOOL;
	if (row && row->kind != ITEM_MESSAGE)
		return ROLE_ASSISTANT;
	if (json_is(role, "assistant"))
		return ROLE_ASSISTANT;
	if (json_is(role, "system") || json_is(role, "developer"))
		return ROLE_SYSTEM;
	if (row || role.p)
		return ROLE_USER;
	return json_is(type, "mcp_approval_response") || json_is(type, "item_reference")
		       ? ROLE_USER
		       : ROLE_ASSISTANT;
}

static struct span wrapped(struct call *c, struct span item, const char *const *names)
{
	struct buf b;

	buf_init(&b, item.len + 64);
	buf_add_char(&b, '{');
	for (int i = 0; i < 4 && names[i]; i++) {
		struct span value = json_get(item, names[i]);
		if (json_type_of(value) != JSON_NULL &&
		    json_count(value) + (json_type_of(value) == JSON_STRING))
			json_put_member(&b, names[i], value);
	}
	buf_add_char(&b, '}');
	struct span out = arena_copy(c->arena, buf_span(&b));
	buf_fini(&b);
	return out;
}

static void add_call(struct draft *d, const struct row *row, struct span item)
{
	struct call *c = d->call;
	struct span id, call_id, name, error, status, arguments;
	struct tool_request *r = draft_request(d);

	if (!r)
		return;
	PICK(item, { "id", &id }, { "call_id", &call_id }, { "name", &name }, { "error", &error },
	     { "status", &status });
	r->id = read_text(c, call_id.p ? call_id : id);
	r->name = row->name ? span_of(row->name) : read_text(c, name);
	r->server_side = row->kind == ITEM_SERVER;
	arguments = row->arguments ? json_get(item, row->arguments) : wrapped(c, item, row->wrap);
	/* custom tools take text, whatever it looks like */
	r->arguments = row->arguments && !strcmp(row->arguments, "input") && arguments.p
			       ? arguments
			       : tool_arguments(c, arguments);
	if (!r->server_side)
		return;
	r->failed = error.p || json_is(status, "failed");
	r->result = row->result ? json_get(item, row->result) : SPAN_NONE;
	if (!r->result.p && !strcmp(row->type, "web_search_call"))
		r->result = json_path(item, "action.sources");
	if (json_type_of(r->result) == JSON_NULL)
		r->result = SPAN_NONE;
	if (!r->result.p && error.p)
		r->result = error;
}

static void add_output(struct draft *d, const struct row *row, struct span item)
{
	struct span call_id, id, name, output, status;
	struct tool_result *r = draft_result(d);

	if (!r)
		return;
	PICK(item, { "call_id", &call_id }, { "id", &id }, { "name", &name }, { "output", &output },
	     { "status", &status });
	r->id = read_text(d->call, call_id.p ? call_id : id);
	r->name = row->name ? span_of(row->name) : read_text(d->call, name);
	/* shell outputs are lists of {stdout, stderr, outcome}: kept whole */
	r->result = row->name && json_type_of(output) == JSON_ARRAY
			    ? output
			    : openai_result(d->call, output);
	r->is_error = json_is(status, "failed");
}

static void add_reasoning(struct draft *d, struct span item)
{
	struct span content, summary, one;

	PICK(item, { "content", &content }, { "summary", &summary });
	struct json_iter it = json_iter(json_count(content) ? content : summary);
	while (!it.object && json_next(&it, NULL, &one))
		draft_reasoning(d, json_get(one, "text"));
}

void responses_item(struct draft *d, struct span item)
{
	const struct row *row = row_of(json_get(item, "type"));

	if (json_type_of(item) != JSON_OBJECT || !row) {
		draft_other(d, item);
		return;
	}
	switch (row->kind) {
	case ITEM_MESSAGE:
		openai_content(d, json_get(item, "content"));
		break;
	case ITEM_CALL:
	case ITEM_SERVER:
		add_call(d, row, item);
		break;
	case ITEM_OUTPUT:
		add_output(d, row, item);
		break;
	case ITEM_REASONING:
		add_reasoning(d, item);
		break;
	}
}

static void finish_message(struct call *c, struct draft *d)
{
	struct message *m = call_add_message(c);

	if (m)
		draft_finish(d, m);
}

/* An answer is one message, though it comes back as several items. */
static void read_items(struct call *c, struct span input)
{
	struct json_iter it = json_iter(input);
	struct span item;
	struct draft d;
	bool open = false;

	while (!it.object && json_next(&it, NULL, &item)) {
		enum role role = responses_role(item);
		if (open && role != ROLE_ASSISTANT) {
			finish_message(c, &d);
			open = false;
		}
		if (!open)
			draft_init(&d, c, role);
		responses_item(&d, item);
		if (json_is(json_get(item, "type"), "item_reference"))
			c->input_is_delta = true;
		open = role == ROLE_ASSISTANT;
		if (!open)
			finish_message(c, &d);
	}
	if (open)
		finish_message(c, &d);
}

static void read_one(struct call *c, enum role role, struct span text)
{
	struct draft d;

	if (json_type_of(text) != JSON_STRING && json_type_of(text) != JSON_ARRAY)
		return;
	draft_init(&d, c, role);
	openai_content(&d, text);
	finish_message(c, &d);
}

void responses_request(struct call *c, struct span body)
{
	struct span model, input, instructions, tools, stream, previous, conversation;

	PICK(body, { "model", &model }, { "input", &input }, { "instructions", &instructions },
	     { "tools", &tools }, { "stream", &stream }, { "previous_response_id", &previous },
	     { "conversation", &conversation });
	c->model_requested = read_text(c, model);
	c->stream |= json_true(stream);
	if (json_type_of(conversation) == JSON_OBJECT)
		conversation = json_get(conversation, "id");
	if (!previous.p)
		previous = conversation;
	if (previous.p) {
		c->input_is_delta = true;
		c->previous_id = read_text(c, previous);
	}
	if (json_type_of(instructions) == JSON_STRING && instructions.len > 2)
		read_one(c, ROLE_SYSTEM, instructions);
	if (json_type_of(input) == JSON_STRING)
		read_one(c, ROLE_USER, input);
	else
		read_items(c, input);
	openai_tools(c, tools);
	read_params(c, body, openai_params);
}
