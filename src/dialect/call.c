#include "dialect/call.h"

#include "dialect/provider.h"
#include "dialect/read.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The last byte of the answer, or of what was seen at all. */
static uint64_t last_seen(const struct exchange *ex)
{
	uint64_t t = ex->response.ended_ns;

	if (t && ex->response.complete)
		return t;
	t = later(t, later(ex->response.began_ns, ex->response.head_ns));
	if (ex->n_frames)
		t = later(t, ex->frames[ex->n_frames - 1].ts_ns);
	return later(t,
		     later(ex->request.began_ns, later(ex->request.head_ns, ex->request.ended_ns)));
}

static struct span first_field(const struct http_message *m, const char *const *names)
{
	struct span value = SPAN_NONE;

	for (; *names && !value.len; names++)
		value = http_field(m, *names);
	return value.len ? value : SPAN_NONE;
}

static void read_headers(const struct exchange *ex, struct call *c)
{
	static const char *const request_ids[] = { "x-request-id",
						   "request-id",
						   "x-amzn-requestid",
						   "apim-request-id",
						   "x-goog-request-id",
						   "x-generation-id",
						   NULL };
	static const char *const sessions[] = {
		"x-claude-code-session-id", "session-id",     "session_id", "x-session-id",
		"x-qwen-code-session-id",   "mcp-session-id", NULL
	};
	static const char *const kept[] = { "x-stainless-lang",
					    "x-stainless-package-version",
					    "x-stainless-runtime",
					    "x-stainless-runtime-version",
					    "x-stainless-retry-count",
					    "x-goog-api-client",
					    "anthropic-version",
					    "anthropic-beta",
					    "traceparent",
					    "originator",
					    "thread-id",
					    "user-agent",
					    NULL };
	struct buf b;

	c->request_id = first_field(&ex->response, request_ids);
	c->session_id = first_field(&ex->request, sessions);
	c->agent_id =
		first_field(&ex->request, (const char *const[]){ "x-claude-code-agent-id", NULL });
	c->parent_agent_id = first_field(
		&ex->request, (const char *const[]){ "x-claude-code-parent-agent-id", NULL });
	buf_init(&b, 4u << 20); /* heads are limited far below */
	buf_add_char(&b, '{');
	for (const char *const *name = kept; *name; name++) {
		struct span value = http_field(&ex->request, *name);
		if (value.len)
			json_put_member_text(&b, *name, value);
	}
	buf_add_char(&b, '}');
	if (b.len > 2)
		read_meta(c, "headers", buf_span(&b));
	buf_fini(&b);
}

static void read_holes(const struct exchange *ex, struct call *c)
{
	c->missing_bytes = ex->request.missing + ex->response.missing;
	if (ex->cut)
		read_incomplete(c, ex->cut);
	if (c->missing_bytes)
		read_incomplete(c, "gap");
	if (ex->request.truncated || ex->response.truncated)
		read_incomplete(c, "body too long");
	if (ex->request.undecoded)
		read_incomplete(c, ex->request.undecoded);
	if (ex->response.undecoded)
		read_incomplete(c, ex->response.undecoded);
}

/* A refused request: the provider's own words when the body has them. */
static void read_refused(const struct exchange *ex, struct call *c)
{
	struct span body = SPAN_NONE, error;

	if (ex->status < 400)
		return;
	c->error.status = ex->status;
	if (ex->response.body.len)
		body = read_response(ex, c);
	else if (ex->n_frames)
		body = read_frame(&ex->frames[0], c);
	if (json_type_of(body) == JSON_ARRAY) /* Google wraps errors of array streams */
		body = json_at(body, 0);
	error = json_get(body, "error");
	/* {"error":"text"} and {"error":{...}} speak for themselves; else the body is the error ({"message":...}) */
	if (json_type_of(error) == JSON_OBJECT || json_type_of(error) == JSON_STRING)
		read_error(c, error);
	else if (json_type_of(body) == JSON_OBJECT)
		read_error(c, body);
	c->error.status = ex->status;
	if (!c->error.type.len || span_is(c->error.type, "error"))
		c->error.type = arena_printf(c->arena, "http_%d", ex->status);
}

bool call_from_exchange(struct exchange *ex, struct call *out)
{
	const struct dialect *best = NULL;
	int most = 0;

	for (const struct dialect *const *d = dialects; *d; d++) {
		int sure = (*d)->match(ex);
		if (sure > most) {
			most = sure;
			best = *d;
		}
	}
	if (!best)
		return false;
	*out = (struct call){ .arena = &ex->arena, .dialect = best->name, .cost = -1 };
	int64_t *const counts[] = { &out->tokens_in,	      &out->tokens_out,
				    &out->tokens_total,	      &out->tokens_cached,
				    &out->tokens_cache_write, &out->tokens_reasoning };
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		*counts[i] = TOKENS_UNKNOWN;
	out->began_ns = ex->request.began_ns ? ex->request.began_ns : ex->response.began_ns;
	out->ended_ns = last_seen(ex);
	read_holes(ex, out);
	read_headers(ex, out);
	out->provider = provider_of(ex);
	best->read(ex, out);
	read_refused(ex, out);
	if (!out->provider.p && best->provider)
		out->provider = span_of(best->provider);
	if (!out->model.len)
		out->model = out->model_requested;
	if (out->tokens_total < 0 && out->tokens_in >= 0 && out->tokens_out >= 0)
		out->tokens_total = out->tokens_in + out->tokens_out;
	return true;
}
