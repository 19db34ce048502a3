/* OpenAI responses: OpenAI and Azure, Codex's own path, and local servers that learned it. */
#include "dialect/dialects.h"
#include "dialect/responses.h"

static bool is_count(struct span path)
{
	return span_ends(path, SPAN("/responses/input_tokens"));
}

static bool is_compaction(struct span path)
{
	return span_ends(path, SPAN("/responses/compact"));
}

static int match(const struct exchange *ex)
{
	struct span path = exchange_path(ex), body = ex->request.body, peek;

	if (!ex->method.len) {
		peek = read_peek(ex);
		return span_find(peek, SPAN("\"response.created\"")).p ||
				       span_find(peek, SPAN("\"object\":\"response\"")).p ||
				       span_find(peek, SPAN("\"object\": \"response\"")).p
			       ? 50
			       : 0;
	}
	if (!span_is(ex->method, "POST"))
		return 0;
	if (is_count(path) || is_compaction(path))
		return 100;
	if (!span_ends(path, SPAN("/responses")))
		return 0;
	if (read_has(body, "input") || read_has(body, "previous_response_id") ||
	    read_has(body, "prompt"))
		return 100;
	return read_has(body, "model") || !body.len || ex->request.undecoded ? 60 : 0;
}

static void read_call(const struct exchange *ex, struct call *c)
{
	struct responses_stream *s = responses_stream_new(c);
	struct span path = exchange_path(ex), body;

	c->stream = ex->n_frames > 0;
	body = read_request(ex, c);
	responses_request(c, body);
	if (is_count(path)) {
		c->kind = CALL_COUNT;
		read_count_into(json_get(read_response(ex, c), "input_tokens"), &c->tokens_in);
		return;
	}
	if (json_type_of(json_get(body, "generate")) ==
	    JSON_FALSE) /* a socket is being warmed up: nothing is inferred */
		c->kind = CALL_COUNT;
	if (is_compaction(path))
		read_meta(c, "compaction", SPAN("true"));
	for (size_t i = 0; i < ex->n_frames; i++) {
		struct span event = read_frame(&ex->frames[i], c);
		if (event.p && responses_stream_event(s, event) && !c->first_token_ns)
			c->first_token_ns = ex->frames[i].ts_ns;
	}
	if (!ex->n_frames && ex->status < 400) {
		body = read_response(ex, c);
		if (json_type_of(body) == JSON_OBJECT)
			responses_stream_object(s, body, true);
	}
	if (responses_stream_finish(s, ex->n_frames > 0))
		read_stream_ended(ex, c);
}

const struct dialect dialect_openai_responses = { "openai.responses", match, read_call, "openai" };
