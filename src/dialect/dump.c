#include "dialect/dump.h"

#include "base/json.h"

static void put_raw(struct buf *b, const char *name, struct span raw)
{
	json_put_member(b, name, raw);
}

static void put_request(struct buf *b, const struct tool_request *r)
{
	json_put_comma(b);
	buf_add_char(b, '{');
	json_put_member_text(b, "id", r->id);
	json_put_member_text(b, "name", r->name);
	put_raw(b, "arguments", r->arguments);
	if (r->server_side)
		json_put_member_bool(b, "server_side", true);
	put_raw(b, "result", r->result);
	if (r->failed)
		json_put_member_bool(b, "failed", true);
	buf_add_char(b, '}');
}

static void put_message(struct buf *b, const struct message *m)
{
	json_put_comma(b);
	buf_add_char(b, '{');
	put_raw(b, "message", m->json);
	json_put_member_text(b, "text", m->text);
	json_put_key(b, "hash");
	buf_printf(b, "\"%016llx\"", (unsigned long long)m->hash);
	if (m->has_user_content)
		json_put_member_bool(b, "user_content", true);
	put_raw(b, "parts", m->parts);
	if (m->n_requests) {
		json_put_key(b, "requests");
		buf_add_char(b, '[');
		for (size_t i = 0; i < m->n_requests; i++)
			put_request(b, &m->requests[i]);
		buf_add_char(b, ']');
	}
	if (m->n_results) {
		json_put_key(b, "results");
		buf_add_char(b, '[');
		for (size_t i = 0; i < m->n_results; i++) {
			json_put_comma(b);
			buf_add_char(b, '{');
			json_put_member_text(b, "id", m->results[i].id);
			json_put_member_text(b, "name", m->results[i].name);
			put_raw(b, "result", m->results[i].result);
			if (m->results[i].is_error)
				json_put_member_bool(b, "is_error", true);
			buf_add_char(b, '}');
		}
		buf_add_char(b, ']');
	}
	buf_add_char(b, '}');
}

static void put_count(struct buf *b, const char *name, int64_t n)
{
	if (n >= 0)
		json_put_member_i64(b, name, n);
}

static void put_answer(struct buf *b, const struct call *c)
{
	if (c->answer.json.p) {
		json_put_key(b, "answer");
		put_message(b, &c->answer);
	}
	put_raw(b, "output", c->output);
	json_put_member_text(b, "finish_reason", c->finish_reason);
	if (c->refusal)
		json_put_member_bool(b, "refusal", true);
	put_raw(b, "usage", c->usage);
	put_count(b, "tokens_in", c->tokens_in);
	put_count(b, "tokens_out", c->tokens_out);
	put_count(b, "tokens_total", c->tokens_total);
	put_count(b, "tokens_cached", c->tokens_cached);
	put_count(b, "tokens_cache_write", c->tokens_cache_write);
	put_count(b, "tokens_reasoning", c->tokens_reasoning);
	if (c->cost >= 0)
		json_put_member_double(b, "cost", c->cost);
}

static void put_ending(struct buf *b, const struct call *c)
{
	json_put_member_i64(b, "began_ns", (int64_t)c->began_ns);
	if (c->first_token_ns)
		json_put_member_i64(b, "first_token_ns", (int64_t)c->first_token_ns);
	json_put_member_i64(b, "ended_ns", (int64_t)c->ended_ns);
	if (c->error.type.p) {
		json_put_key(b, "error");
		buf_add_char(b, '{');
		json_put_member_text(b, "type", c->error.type);
		json_put_member_text(b, "message", c->error.message);
		json_put_member_i64(b, "status", c->error.status);
		buf_add_char(b, '}');
	}
	if (c->incomplete) {
		json_put_member_bool(b, "incomplete", true);
		json_put_member_i64(b, "missing_bytes", (int64_t)c->missing_bytes);
		json_put_member_text(b, "reason", span_of(c->reason));
	}
	if (c->replaced_utf8)
		json_put_member_bool(b, "replaced_utf8", true);
	put_raw(b, "metadata", c->metadata);
	if (c->tool.name.p) {
		json_put_key(b, "tool");
		put_request(b, &c->tool);
	}
	put_raw(b, "query", c->query);
	put_raw(b, "results", c->results);
}

int call_dump(const struct call *c, struct buf *b)
{
	static const char *const kinds[] = { "llm",	  "embedding",	 "tool",
					     "retrieval", "memory_read", "memory_write",
					     "interrupt", "count" };

	buf_add_char(b, '{');
	json_put_member_text(b, "kind", span_of(kinds[c->kind]));
	json_put_member_text(b, "dialect", span_of(c->dialect));
	json_put_member_text(b, "provider", c->provider);
	json_put_member_text(b, "model_requested", c->model_requested);
	json_put_member_text(b, "model", c->model);
	json_put_member_text(b, "response_id", c->response_id);
	json_put_member_text(b, "request_id", c->request_id);
	json_put_member_text(b, "session_id", c->session_id);
	json_put_member_text(b, "agent_id", c->agent_id);
	json_put_member_text(b, "parent_agent_id", c->parent_agent_id);
	json_put_member_text(b, "previous_id", c->previous_id);
	if (c->input_is_delta)
		json_put_member_bool(b, "input_is_delta", true);
	json_put_member_bool(b, "stream", c->stream);
	json_put_key(b, "messages");
	buf_add_char(b, '[');
	for (size_t i = 0; i < c->n_messages; i++)
		put_message(b, &c->messages[i]);
	buf_add_text(b, "]");
	if (c->n_tools_offered) {
		json_put_key(b, "tools_offered");
		buf_add_char(b, '[');
		for (size_t i = 0; i < c->n_tools_offered; i++) {
			json_put_comma(b);
			json_put_text(b, c->tools_offered[i], NULL);
		}
		buf_add_char(b, ']');
	}
	put_answer(b, c);
	put_ending(b, c);
	return buf_add_char(b, '}');
}
