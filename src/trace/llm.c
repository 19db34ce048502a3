/* The llm_call step: what was asked, what was said, and what is known about the call itself. */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/timefmt.h"

#include <stdio.h>

/* A shared beginning shorter than this is written again: a trace that needs no expansion is easier to read. */
#define BASE_MIN (4 * KIB)

struct span json_string(struct arena *arena, struct span text)
{
	struct buf b;

	if (!text.p)
		return SPAN_NONE;
	buf_init(&b, 4 * LIMIT_BODY);
	json_put_text(&b, text, NULL);
	struct span out = arena_copy(arena, buf_span(&b));
	buf_fini(&b);
	return out;
}

struct span json_whole(struct arena *arena, int64_t value)
{
	return value < 0 ? SPAN_NONE : arena_printf(arena, "%lld", (long long)value);
}

static const char *const source_names[] = {
	[SOURCE_TLS] = "tls", [SOURCE_SOCKET] = "socket", [SOURCE_PIPE] = "pipe", [SOURCE_TTY] = "tty",
};

static struct span base_name(struct span path)
{
	size_t i = path.len;

	while (i && path.p[i - 1] != '/')
		i--;
	return path.len ? span_at(path.p + i, path.len - i) : path;
}

void meta_origin(struct buf *b, struct assembler *a, const struct exchange *ex)
{
	const struct proc *p = proc_find(a, ex->conn->pid, ex->conn->proc_start_ns);

	json_put_member_text(b, "source", span_of(source_names[ex->conn->source]));
	json_put_member_text(b, "provenance", SPAN("observed"));
	json_put_member_i64(b, "pid", ex->conn->pid);
	if (p && p->exe)
		json_put_member_text(b, "process", base_name(span_of(p->exe)));
	else if (p && p->comm[0])
		json_put_member_text(b, "process", span_of(p->comm));
}

/* Values of these are keys. */
static bool is_secret_parameter(struct span name)
{
	static const char *const names[] = { "key", "api_key", "apikey", "api-key", "token", "access_token", "code",
					     "sig", "signature", "password", "secret", "auth", "x-amz-signature",
					     "x-amz-credential", "x-amz-security-token", "x-goog-signature", NULL };
	for (size_t i = 0; names[i]; i++)
		if (span_ieq(name, span_of(names[i])))
			return true;
	return false;
}

static void put_path(struct buf *b, const struct exchange *ex)
{
	struct span path = exchange_path(ex), query = span_find(ex->target, SPAN("?")), item;
	struct buf text;

	if (!path.len)
		return;
	buf_init(&text, 2 * LIMIT_HTTP_HEAD);
	buf_add_span(&text, path);
	if (query.p) {
		char mark = '?';
		query = span_at(query.p + 1, query.len - 1);
		while (span_split(&query, '&', &item)) {
			struct span value = span_find(item, SPAN("="));
			struct span name = value.p ? span_at(item.p, item.len - value.len) : item;
			buf_add_char(&text, mark);
			mark = '&';
			buf_add_span(&text, value.p && is_secret_parameter(name) ? name : item);
			if (value.p && is_secret_parameter(name))
				buf_add_text(&text, "=[REDACTED]");
		}
	}
	json_put_member_text(b, "path", buf_span(&text));
	buf_fini(&text);
}

void meta_http(struct buf *b, const struct exchange *ex, const struct call *c)
{
	if (!ex->method.len && !ex->status && !ex->target.len)
		return;
	json_put_key(b, "http");
	buf_add_char(b, '{');
	if (ex->method.len)
		json_put_member_text(b, "method", ex->method);
	if (ex->authority.len)
		json_put_member_text(b, "host", ex->authority);
	put_path(b, ex);
	if (ex->status)
		json_put_member_i64(b, "status", ex->status);
	if (ex->version)
		json_put_member_text(b, "version", span_of(ex->version));
	if (c->request_id.len)
		json_put_member_text(b, "request_id", c->request_id);
	buf_add_char(b, '}');
}

void meta_outcome(struct buf *b, const struct call *c)
{
	if (c->error.type.p || c->error.message.p || c->error.status) {
		json_put_key(b, "error");
		buf_add_char(b, '{');
		json_put_member_text(b, "type", c->error.type);
		json_put_member_text(b, "message", c->error.message);
		if (c->error.status)
			json_put_member_i64(b, "status", c->error.status);
		buf_add_char(b, '}');
	}
	if (c->incomplete) {
		json_put_member_bool(b, "incomplete", true);
		if (c->missing_bytes)
			json_put_member_i64(b, "missing_bytes", (int64_t)c->missing_bytes);
		json_put_member_text(b, "reason", span_str(c->reason));
	}
}

static void put_tools_offered(struct buf *b, const struct call *c)
{
	if (!c->n_tools_offered)
		return;
	json_put_key(b, "tools_offered");
	buf_add_char(b, '[');
	for (size_t i = 0; i < c->n_tools_offered; i++) {
		json_put_comma(b);
		json_put_text(b, c->tools_offered[i], NULL);
	}
	buf_add_char(b, ']');
}

static void put_known(struct buf *b, const char *name, int64_t value)
{
	if (value >= 0)
		json_put_member_i64(b, name, value);
}

static void put_extra(struct buf *b, struct span object)
{
	struct json_iter it = json_iter(object);
	struct span key, value;

	if (json_type_of(object) != JSON_OBJECT)
		return;
	while (json_next(&it, &key, &value)) {
		json_put_comma(b);
		buf_add_span(b, key);
		buf_add_char(b, ':');
		buf_add_span(b, value);
	}
}

/* How many messages the latest llm_call of the conversation had, byte for byte the same, and their length. */
static size_t base_of(const struct conv *v, const struct call *c, size_t *len)
{
	size_t i = 0;

	*len = 0;
	while (i < v->n && i < c->n_messages &&
	       hash_bytes(c->messages[i].json.p, c->messages[i].json.len, 1) == v->seen[i].exact)
		*len += c->messages[i++].json.len;
	return i;
}

static struct span put_input(struct assembler *a, const struct call *c, size_t from)
{
	struct buf *b = &a->value;

	if (!c->n_messages)
		return SPAN_NONE;
	buf_clear(b);
	buf_add_char(b, '[');
	for (size_t i = from; i < c->n_messages; i++) {
		json_put_comma(b);
		buf_add_span(b, c->messages[i].json.p ? c->messages[i].json : SPAN("null"));
	}
	buf_add_char(b, ']');
	return buf_span(b);
}

static void put_meta(struct buf *b, struct run *r, const struct conv *v, const struct exchange *ex,
		     const struct call *c, size_t base, uint32_t retry_of)
{
	buf_clear(b);
	buf_add_char(b, '{');
	meta_origin(b, r->a, ex);
	meta_http(b, ex, c);
	json_put_member_text(b, "dialect", span_str(c->dialect));
	if (c->kind == CALL_EMBEDDING)
		json_put_member_text(b, "operation", SPAN("embedding"));
	json_put_member_text(b, "finish_reason", c->finish_reason);
	json_put_member_bool(b, "stream", c->stream);
	if (c->first_token_ns > c->began_ns)
		put_known(b, "time_to_first_token_ms", (int64_t)((c->first_token_ns - c->began_ns) / NS_PER_MS));
	json_put_member(b, "usage", c->usage);
	put_known(b, "tokens_cached", c->tokens_cached);
	put_known(b, "tokens_cache_write", c->tokens_cache_write);
	put_known(b, "tokens_reasoning", c->tokens_reasoning);
	put_tools_offered(b, c);
	if (c->model.p && c->model_requested.p && !span_eq(c->model, c->model_requested))
		json_put_member_text(b, "model_requested", c->model_requested);
	json_put_member_text(b, "response_id", c->response_id);
	if (c->previous_id.len)
		json_put_member_text(b, "previous_id", c->previous_id);
	if (c->input_is_delta)
		json_put_member_bool(b, "input_is_delta", true);
	if (c->refusal)
		json_put_member_bool(b, "refusal", true);
	if (v && v->number)
		json_put_member_i64(b, "conversation", v->number);
	if (base) {
		json_put_key(b, "input_base");
		buf_printf(b, "{\"step_id\":\"s%u\",\"messages\":%zu}", v->last_step, base);
	}
	if (retry_of) {
		json_put_key(b, "retry_of");
		buf_printf(b, "\"s%u\"", retry_of);
	}
	meta_outcome(b, c);
	put_extra(b, c->metadata);
	buf_add_char(b, '}');
}

void llm_emit(struct run *r, struct conv *v, const struct exchange *ex, const struct call *c, uint32_t number,
	      uint32_t retry_of)
{
	struct assembler *a = r->a;
	struct step s = run_step(r, STEP_LLM_CALL, number, v ? v->parent_step : 0, c->began_ns);
	struct arena values;
	size_t base = 0, len = 0;

	arena_init(&values);
	if (v && v->last_step && v->whole_input && !c->input_is_delta) {
		base = base_of(v, c, &len);
		if (len < BASE_MIN)
			base = 0;
	}
	put_meta(&a->meta, r, v, ex, c, base, retry_of);
	s.metadata = buf_span(&a->meta);
	struct span model = c->model.p ? c->model : c->model_requested;
	s.values[LLM_MODEL] = json_string(&values, model);
	s.values[LLM_INPUT] = put_input(a, c, base);
	s.values[LLM_OUTPUT] = c->output;
	s.values[LLM_TOKENS_IN] = json_whole(&values, c->tokens_in);
	s.values[LLM_TOKENS_OUT] = json_whole(&values, c->tokens_out);
	s.values[LLM_TOKENS_TOTAL] = json_whole(&values, c->tokens_total);
	if (c->began_ns && c->ended_ns >= c->began_ns)
		s.values[LLM_LATENCY_MS] = json_whole(&values, (int64_t)((c->ended_ns - c->began_ns) / NS_PER_MS));
	if (c->cost >= 0) {
		struct buf cost;
		buf_init(&cost, 64);
		json_put_member_double(&cost, "", c->cost); /* `"":0.5` */
		if (cost.len > 3)
			s.values[LLM_COST] = arena_copy(&values, span_at(cost.p + 3, cost.len - 3));
		buf_fini(&cost);
	}
	s.values[LLM_PROVIDER] = json_string(&values, c->provider);
	run_emit(r, &s, false);
	arena_fini(&values);
	/* One large request must not stay in memory for the rest of a long run. */
	if (a->value.cap > MIB)
		buf_fini(&a->value);
}
