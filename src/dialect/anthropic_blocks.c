#include "dialect/anthropic.h"

/* Result of a client's tool: text, or blocks as contract content. */
static struct span result_content(struct call *c, struct span content)
{
	struct draft d;

	if (json_type_of(content) != JSON_ARRAY)
		return content;
	draft_init(&d, c, ROLE_TOOL);
	anthropic_content(&d, content);
	return draft_content(&d);
}

static void tool_use(struct draft *d, struct span block, bool server)
{
	struct span id, name, input;
	struct tool_request *r = draft_request(d);

	if (!r)
		return;
	PICK(block, { "id", &id }, { "name", &name }, { "input", &input });
	r->id = read_text(d->call, id);
	r->name = read_text(d->call, name);
	r->arguments = input.p ? input : SPAN("{}");
	r->server_side = server;
}

static void client_tool(struct draft *d, struct span block)
{
	tool_use(d, block, false);
}

static void server_tool(struct draft *d, struct span block)
{
	tool_use(d, block, true);
}

static void client_result(struct draft *d, struct span block)
{
	struct span id, content, is_error;
	struct tool_result *r;

	if (d->role ==
	    ROLE_TOOL) { /* results do not nest; hostile ones would cost depth times length */
		draft_other(d, block);
		return;
	}
	r = draft_result(d);
	if (!r)
		return;
	PICK(block, { "tool_use_id", &id }, { "content", &content }, { "is_error", &is_error });
	r->id = read_text(d->call, id);
	r->result = result_content(d->call, content.p ? content : SPAN("\"\""));
	r->is_error = json_true(is_error);
}

/* web_search_tool_result and its kin: the answer carries what the provider's own tool returned. */
static void server_result(struct draft *d, struct span block)
{
	struct span id, content, is_error, type;
	struct tool_request *r;

	PICK(block, { "tool_use_id", &id }, { "content", &content }, { "is_error", &is_error });
	r = draft_find(d, read_text(d->call, id));
	if (!r) {
		draft_other(d, block);
		return;
	}
	type = json_text(d->call->arena, json_get(content, "type"));
	r->result = content;
	r->failed = json_true(is_error) || (type.p && span_ends(type, SPAN("_error")));
}

static void text_block(struct draft *d, struct span block)
{
	draft_text(d, json_get(block, "text"));
}

static void thinking_block(struct draft *d, struct span block)
{
	draft_reasoning(d, json_get(block, "thinking"));
}

static void image_block(struct draft *d, struct span block)
{
	draft_media(d, "image", block);
}

static void file_block(struct draft *d, struct span block)
{
	draft_media(d, "file", block);
}

/* System text inside the conversation. */
static void content_block(struct draft *d, struct span block)
{
	struct span content = json_get(block, "content"), one;
	struct json_iter it = json_iter(content);

	draft_text(d, content);
	while (!it.object && json_next(&it, NULL, &one))
		draft_text(d, json_get(one, "text"));
}

static const struct {
	const char *type;
	void (*add)(struct draft *d, struct span block);
} blocks[] = {
	{ "text", text_block },
	{ "tool_use", client_tool },
	{ "tool_result", client_result },
	{ "thinking", thinking_block },
	{ "image", image_block },
	{ "document", file_block },
	{ "container_upload", file_block },
	{ "server_tool_use", server_tool },
	{ "mcp_tool_use", server_tool },
	{ "mcp_tool_result", server_result },
	{ "mid_conv_system", content_block },
};

static void add_block(struct draft *d, struct span block)
{
	struct span type = json_get(block, "type"), name;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
		if (json_is(type, blocks[i].type)) {
			blocks[i].add(d, block);
			return;
		}
	}
	name = json_text(d->call->arena, type);
	if (name.p && span_ends(name, SPAN("_tool_result")))
		server_result(d, block);
	else
		draft_other(d, block);
}

void anthropic_content(struct draft *d, struct span content)
{
	struct json_iter it = json_iter(content);
	struct span block;

	draft_text(d, content);
	while (!it.object && json_next(&it, NULL, &block)) {
		if (json_type_of(block) == JSON_STRING)
			draft_text(d, block);
		else
			add_block(d, block);
	}
}
