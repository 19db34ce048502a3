/* Sums over the steps of a run: metadata.totals. */
#include "trace/assemble_int.h"

static void add(uint64_t *sum, int64_t value)
{
	if (value > 0)
		*sum += (uint64_t)value;
}

void totals_call(struct run *r, const struct exchange *ex, const struct call *c)
{
	struct totals *t = &r->totals;

	t->llm_calls++;
	t->embeddings += c->kind == CALL_EMBEDDING;
	t->errors += c->error.type.p || c->error.message.p || c->error.status;
	t->without_usage += c->tokens_in < 0 && c->tokens_out < 0;
	add(&t->tokens_in, c->tokens_in);
	add(&t->tokens_out, c->tokens_out);
	add(&t->tokens_cached, c->tokens_cached);
	add(&t->tokens_cache_write, c->tokens_cache_write);
	add(&t->tokens_reasoning, c->tokens_reasoning);
	if (c->cost >= 0) {
		t->cost += c->cost;
		t->with_cost++;
	}
	t->incomplete += c->incomplete;
	t->missing_bytes += c->missing_bytes;
	t->truncated += ex->request.truncated + ex->response.truncated;
}

void totals_write(const struct run *r, struct buf *b)
{
	const struct totals *t = &r->totals;
	const struct { const char *name; uint64_t value; bool always; } rows[] = {
		{ "llm_calls", t->llm_calls, true },
		{ "tool_calls", t->tool_calls, true },
		{ "user_inputs", t->user_inputs, false },
		{ "final_outputs", t->final_outputs, false },
		{ "embeddings", t->embeddings, false },
		{ "errors", t->errors, true },
		{ "retries", t->retries, false },
		{ "tokens_in", t->tokens_in, true },
		{ "tokens_out", t->tokens_out, true },
		{ "tokens_cached", t->tokens_cached, false },
		{ "tokens_cache_write", t->tokens_cache_write, false },
		{ "tokens_reasoning", t->tokens_reasoning, false },
		{ "llm_calls_without_usage", t->without_usage, false },
	};

	buf_add_char(b, '{');
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].always || rows[i].value)
			json_put_member_i64(b, rows[i].name, (int64_t)rows[i].value);
	if (t->with_cost) {
		json_put_member_double(b, "cost", t->cost);
		if (t->with_cost < t->llm_calls)
			json_put_member_i64(b, "llm_calls_without_cost", (int64_t)(t->llm_calls - t->with_cost));
	}
	buf_add_char(b, '}');
}
