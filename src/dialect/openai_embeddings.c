/* OpenAI embeddings; many servers speak it. */
#include "dialect/dialects.h"
#include "dialect/embedding.h"
#include "dialect/openai.h"

static int match(const struct exchange *ex)
{
	if (!span_is(ex->method, "POST") || !span_ends(exchange_path(ex), SPAN("/embeddings")))
		return 0;
	return read_has(ex->request.body, "input") ? 90 : !ex->request.body.len ? 50 : 0;
}

static void read_call(const struct exchange *ex, struct call *c)
{
	struct span model, input, data, usage, id, named;

	c->kind = CALL_EMBEDDING;
	struct span body = read_request(ex, c);
	PICK(body, { "model", &model }, { "input", &input });
	c->model_requested = read_text(c, model);
	embedding_input(c, input);
	read_params(c, body, openai_params);
	if (ex->status >= 400)
		return;
	PICK(read_response(ex, c), { "data", &data }, { "usage", &usage }, { "model", &named },
	     { "id", &id });
	c->model = read_text(c, named);
	c->response_id = read_text(c, id);
	openai_usage(c, usage);
	if (json_type_of(data) == JSON_ARRAY)
		embedding_output(c, json_count(data),
				 embedding_dimensions(json_get(json_at(data, 0), "embedding")));
}

const struct dialect dialect_openai_embeddings = { "openai.embeddings", match, read_call,
						   "openai" };
