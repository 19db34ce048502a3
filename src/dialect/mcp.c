/* MCP over HTTP: one POST, answered by JSON or by an event stream. */
#include "dialect/dialects.h"
#include "dialect/mcp_call.h"

static int match(const struct exchange *ex)
{
	struct span body = span_trim(ex->request.body), value, rest, method;

	if (!span_is(ex->method, "POST") || !body.len || !span_find(body, SPAN("\"jsonrpc\"")).p)
		return 0;
	if (json_value(body, &value, &rest))
		return 0;
	if (json_type_of(value) == JSON_ARRAY) /* batches: 2025-03-26 only */
		value = json_at(value, 0);
	return mcp_is_request(value, &method) ? 90 : 0;
}

/* The request of a batch that matters most: the first that asks a tool. */
static struct span choose(struct span body)
{
	struct json_iter it = json_iter(body);
	struct span one, first = SPAN_NONE;

	if (it.object)
		return body;
	while (json_next(&it, NULL, &one)) {
		if (!first.p)
			first = one;
		if (json_is(json_get(one, "method"), "tools/call"))
			return one;
	}
	return first;
}

static bool answers(struct span message, struct span id)
{
	struct span have, result, error;

	PICK(message, { "id", &have }, { "result", &result }, { "error", &error });
	return (result.p || error.p) && span_eq(have, id);
}

static struct span find_answer(struct span body, struct span id)
{
	struct json_iter it = json_iter(body);
	struct span one;

	if (it.object)
		return answers(body, id) ? body : SPAN_NONE;
	while (json_next(&it, NULL, &one))
		if (answers(one, id))
			return one;
	return SPAN_NONE;
}

static void read_call(const struct exchange *ex, struct call *c)
{
	struct span request = choose(read_request(ex, c)), id = json_get(request, "id"),
		    answer = SPAN_NONE, session;

	c->stream = ex->n_frames > 0;
	if (!ex->n_frames)
		answer = find_answer(read_response(ex, c), id);
	for (size_t i = 0; i < ex->n_frames && !answer.p; i++)
		answer = find_answer(read_frame(&ex->frames[i], c), id);
	/* the transport of 2024-11-05 answers 202 here and sends the answer on another connection */
	if (!answer.p && id.p && ex->status >= 200 && ex->status < 300)
		read_incomplete(c, "answer not on this connection");
	session = http_field(&ex->request, "mcp-session-id");
	if (session.p)
		c->session_id = session;
	mcp_read(c, request, answer);
}

const struct dialect dialect_mcp = { "mcp", match, read_call, NULL };
