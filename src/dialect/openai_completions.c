/* The older completions: a prompt instead of messages, `text` instead of a message. */
#include "dialect/dialects.h"
#include "dialect/openai.h"

static int match(const struct exchange *ex)
{
	struct span path = exchange_path(ex);

	if (!span_is(ex->method, "POST") || !span_ends(path, SPAN("/completions")) ||
	    span_ends(path, SPAN("/chat/completions")))
		return 0;
	return read_has(ex->request.body, "prompt") ? 80 : 0;
}

static void add_prompt(struct call *c, struct span prompt)
{
	struct message *m = call_add_message(c);
	struct draft d;

	if (!m)
		return;
	draft_init(&d, c, ROLE_USER);
	if (json_type_of(prompt) == JSON_STRING)
		draft_text(&d, prompt);
	else
		draft_other(&d, prompt);
	draft_finish(&d, m);
}

static void read_call(const struct exchange *ex, struct call *c)
{
	struct span body = read_request(ex, c), model, prompt, stream, suffix, one;

	PICK(body, { "model", &model }, { "prompt", &prompt }, { "stream", &stream },
	     { "suffix", &suffix });
	c->model_requested = read_text(c, model);
	c->stream = json_true(stream) || ex->n_frames > 0;
	struct json_iter it = json_iter(prompt);
	if (json_type_of(prompt) == JSON_ARRAY && json_type_of(json_at(prompt, 0)) != JSON_NUMBER)
		while (json_next(&it, NULL, &one))
			add_prompt(c, one);
	else if (prompt.p)
		add_prompt(c, prompt);
	read_meta(c, "suffix", suffix);
	read_params(c, body, openai_params);
	openai_chat_answer(ex, c);
}

const struct dialect dialect_openai_completions = { "openai.completions", match, read_call,
						    "openai" };
