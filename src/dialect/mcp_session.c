#include "dialect/mcp.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "dialect/mcp_call.h"

#include <stdlib.h>

struct waiting {
	struct waiting *prev, *next;
	struct span key;  /* direction and raw id; in the same block */
	struct span text; /* the request */
	uint64_t ts_ns;
	enum dir dir;
};

struct mcp_session {
	const struct conn_info *conn;
	mcp_on_call on_call;
	void *ctx;
	struct names names;
	struct waiting *oldest, *newest;
	size_t held;
	uint64_t n_calls;
	char *server; /* its name, as initialize said; raw JSON */
};

struct mcp_session *mcp_new(const struct conn_info *conn, mcp_on_call on_call, void *ctx)
{
	struct mcp_session *s = mem_alloc(sizeof(*s));

	s->conn = conn;
	s->on_call = on_call;
	s->ctx = ctx;
	names_init(&s->names);
	return s;
}

static struct span key_of(char *to, size_t cap, enum dir dir, struct span id)
{
	if (!id.p || id.len + 1 > cap)
		return SPAN_NONE;
	to[0] = dir == DIR_IN ? 'i' : 'o';
	memcpy(to + 1, id.p, id.len);
	return span_at(to, id.len + 1);
}

static void forget(struct mcp_session *s, struct waiting *w)
{
	*(w->prev ? &w->prev->next : &s->oldest) = w->next;
	*(w->next ? &w->next->prev : &s->newest) = w->prev;
	if (names_get(&s->names, w->key) == w)
		names_del(&s->names, w->key);
	s->held -= w->text.len;
	free(w);
}

static void learn_server(struct mcp_session *s, struct span request, struct span answer,
			 struct call *c)
{
	struct span name = json_path(answer, "result.serverInfo.name");

	if (!s->server && json_is(json_get(request, "method"), "initialize") &&
	    json_type_of(name) == JSON_STRING && name.len < KIB)
		s->server = mem_text(arena_copy(c->arena, name).p);
	if (s->server)
		read_meta(c, "mcp_server", span_of(s->server));
}

static void give(struct mcp_session *s, const struct waiting *w, struct span answer, uint64_t ts_ns,
		 const char *why)
{
	struct exchange ex = { .conn = s->conn,
			       .client = w->dir == DIR_OUT,
			       .stream_id = s->n_calls++,
			       .method = SPAN(""),
			       .target = SPAN(""),
			       .version = "",
			       .cut = why };
	struct call c = { .arena = &ex.arena,
			  .dialect = "mcp",
			  .cost = -1,
			  .tokens_in = TOKENS_UNKNOWN,
			  .tokens_out = TOKENS_UNKNOWN,
			  .tokens_total = TOKENS_UNKNOWN,
			  .tokens_cached = TOKENS_UNKNOWN,
			  .tokens_cache_write = TOKENS_UNKNOWN,
			  .tokens_reasoning = TOKENS_UNKNOWN };
	struct span value;

	arena_init(&ex.arena);
	ex.request = (struct http_message){ .body = w->text,
					    .wire_len = w->text.len,
					    .began_ns = w->ts_ns,
					    .head_ns = w->ts_ns,
					    .ended_ns = w->ts_ns,
					    .complete = true };
	if (answer.p)
		ex.response = (struct http_message){ .body = answer,
						     .wire_len = answer.len,
						     .began_ns = ts_ns,
						     .head_ns = ts_ns,
						     .ended_ns = ts_ns,
						     .complete = true };
	c.began_ns = w->ts_ns;
	c.ended_ns = ts_ns;
	if (why)
		read_incomplete(&c, why);
	value = read_json(&c, w->text);
	answer = read_json(&c, answer);
	mcp_read(&c, value, answer);
	learn_server(s, value, answer, &c);
	s->on_call(s->ctx, &ex, &c);
	arena_fini(&ex.arena);
}

static void remember(struct mcp_session *s, const struct frame *f, struct span text, struct span id)
{
	struct waiting *w = mem_alloc(sizeof(*w) + id.len + 1 + text.len), *old;
	char *p = (char *)(w + 1);

	w->key = key_of(p, id.len + 1, f->dir, id);
	w->text = span_at(memcpy(p + id.len + 1, text.p, text.len), text.len);
	w->ts_ns = f->ts_ns;
	w->dir = f->dir;
	old = names_get(&s->names, w->key);
	if (old) { /* an id used again: its first answer never came */
		give(s, old, SPAN_NONE, f->ts_ns, "no answer");
		forget(s, old);
	}
	names_set(&s->names, w->key, w);
	w->prev = s->newest;
	*(s->newest ? &s->newest->next : &s->oldest) = w;
	s->newest = w;
	s->held += text.len;
	while (s->names.n > LIMIT_MCP_WAITING ||
	       (s->held > LIMIT_MCP_HELD && s->oldest != s->newest)) {
		old = s->oldest;
		give(s, old, SPAN_NONE, f->ts_ns, "too many requests wait");
		forget(s, old);
	}
}

static void answered(struct mcp_session *s, enum dir asked, struct span id, struct span text,
		     uint64_t ts_ns, const char *why)
{
	char key[512];
	struct span k = key_of(key, sizeof(key), asked, id);
	struct waiting *w = k.p ? names_get(&s->names, k) : NULL;

	if (!w)
		return;
	give(s, w, text, ts_ns, why);
	forget(s, w);
}

static bool feed_one(struct mcp_session *s, const struct frame *f, struct span text)
{
	struct span version, id, method, params, result, error;

	PICK(text, { "jsonrpc", &version }, { "id", &id }, { "method", &method },
	     { "params", &params }, { "result", &result }, { "error", &error });
	if (!json_is(version, "2.0"))
		return false;
	if (method.p) {
		if (id.p && id.len < 500 && mcp_is_request(text, NULL))
			remember(s, f, text, id);
		else if (json_is(method, "notifications/cancelled"))
			answered(s, f->dir, json_get(params, "requestId"), SPAN_NONE, f->ts_ns,
				 "cancelled");
	} else if (id.p) {
		answered(s, f->dir == DIR_IN ? DIR_OUT : DIR_IN, id, text, f->ts_ns, NULL);
	}
	return true;
}

bool mcp_feed(struct mcp_session *s, const struct frame *f)
{
	struct span text, one;
	bool any = false;

	if (json_value(f->data, &text, NULL))
		return false;
	struct json_iter it = json_iter(text);
	if (it.object)
		return feed_one(s, f, text);
	while (json_next(&it, NULL, &one))
		any |= json_type_of(one) == JSON_OBJECT && feed_one(s, f, one);
	return any;
}

void mcp_finish(struct mcp_session *s, uint64_t ts_ns, const char *why)
{
	while (s->oldest) {
		struct waiting *w = s->oldest;
		give(s, w, SPAN_NONE, ts_ns, why);
		forget(s, w);
	}
}

void mcp_free(struct mcp_session *s)
{
	if (!s)
		return;
	while (s->oldest)
		forget(s, s->oldest);
	names_fini(&s->names);
	free(s->server);
	free(s);
}

size_t mcp_held(const struct mcp_session *s)
{
	return s->held;
}
