#include "dialect/embedding.h"

static void add_input(struct call *c, struct span one)
{
	struct message *m = call_add_message(c);
	struct draft d;

	if (!m)
		return;
	draft_init(&d, c, ROLE_USER);
	if (json_type_of(one) == JSON_STRING)
		draft_text(&d, one);
	else
		draft_other(&d, one);
	draft_finish(&d, m);
}

void embedding_input(struct call *c, struct span input)
{
	struct json_iter it = json_iter(input);
	struct span one;

	c->kind = CALL_EMBEDDING;
	if (json_type_of(input) == JSON_STRING || json_type_of(json_at(input, 0)) == JSON_NUMBER) {
		add_input(c, input); /* one text, or the tokens of one */
		return;
	}
	while (!it.object && json_next(&it, NULL, &one))
		add_input(c, one);
}

size_t embedding_dimensions(struct span vector)
{
	size_t len;

	if (json_type_of(vector) == JSON_ARRAY)
		return json_count(vector);
	if (json_type_of(vector) != JSON_STRING)
		return 0;
	/* escapes do not occur in base64 but for "\/", which encoders may write */
	for (len = vector.len - 2; len && vector.p[len] == '='; len--)
		;
	for (size_t i = 1, n = len; i <= n; i++)
		len -= vector.p[i] == '\\';
	return len * 3 / 4 / sizeof(float);
}

void embedding_output(struct call *c, size_t n, size_t dimensions)
{
	if (dimensions)
		c->output = arena_printf(c->arena, "{\"embeddings\":%zu,\"dimensions\":%zu}", n,
					 dimensions);
	else
		c->output = arena_printf(c->arena, "{\"embeddings\":%zu}", n);
}
