/* Embeddings and the older completions: counts, never vectors. */
#include "test_dialect.h"

START_TEST(embeddings_are_counted)
{
	/* eight bytes = two float32 */
	static const char *const answers[] = {
		"{\"model\":\"e\",\"data\":[{\"index\":0,\"embedding\":[0.1,0.2]},{\"index\":1,"
		"\"embedding\":[0.1,0.2]}],\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}",
		"{\"model\":\"e\",\"data\":[{\"index\":0,\"embedding\":\"AACAPwAAAEA=\"},{"
		"\"index\":1,\"embedding\":\"AACAPwAAAEA=\"}],\"usage\":{\"prompt_tokens\":4,"
		"\"total_tokens\":4}}",
	};
	struct fixture *f = read_whole(
		"/v1/embeddings",
		"{\"model\":\"e\",\"input\":[\"one\",\"two\"],\"encoding_format\":\"float\"}",
		answers[_i]);

	ck_assert_str_eq(f->call.dialect, "openai.embeddings");
	ck_assert_int_eq(f->call.kind, CALL_EMBEDDING);
	assert_span(f->call.output, "{\"embeddings\":2,\"dimensions\":2}");
	ck_assert_uint_eq(f->call.n_messages, 2);
	assert_span(f->call.messages[1].text, "two");
	ck_assert_int_eq(f->call.tokens_in, 4);
	ck_assert_int_eq(f->call.tokens_out, TOKENS_UNKNOWN);
	fixture_free(f);
}
END_TEST

START_TEST(base64_dimensions)
{
	struct fixture *f = read_whole("/v1/embeddings", "{\"model\":\"e\",\"input\":[1,2,3]}",
				       "{\"data\":[{\"embedding\":\"AACAPwAAAEAAAEBA\"}]}");
	assert_span(f->call.output, "{\"embeddings\":1,\"dimensions\":3}");
	ck_assert_uint_eq(f->call.n_messages, 1);
	fixture_free(f);
	f = read_whole("/v1/embeddings", "{\"model\":\"e\",\"input\":\"x\"}",
		       "{\"data\":[{\"embedding\":\"AACAPw==\"}]}");
	assert_span(f->call.output, "{\"embeddings\":1,\"dimensions\":1}");
	fixture_free(f);
}
END_TEST

START_TEST(completions_whole_and_streamed)
{
	struct fixture *w =
		read_whole("/v1/completions", "{\"model\":\"m\",\"prompt\":\"say\"}",
			   "{\"id\":\"cmpl-1\",\"model\":\"m\",\"choices\":[{\"text\":\"hello\","
			   "\"index\":0,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":"
			   "1,\"completion_tokens\":2,\"total_tokens\":3}}");
	struct fixture *s = read_events(
		"/v1/completions", "{\"model\":\"m\",\"prompt\":\"say\",\"stream\":true}",
		"{\"id\":\"cmpl-1\",\"model\":\"m\",\"choices\":[{\"text\":\"hel\",\"index\":0,"
		"\"finish_reason\":null}]}\n{\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"lo\","
		"\"index\":0,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,"
		"\"completion_tokens\":2,\"total_tokens\":3}}\n[DONE]");

	ck_assert_str_eq(w->call.dialect, "openai.completions");
	assert_same_call(&s->call, &w->call);
	assert_span(s->call.output, "\"hello\"");
	assert_span(s->call.messages[0].text, "say");
	fixture_free(w);
	fixture_free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dialect_other");
	TCase *t = tcase_create("other");

	tcase_add_loop_test(t, embeddings_are_counted, 0, 2);
	tcase_add_test(t, base64_dimensions);
	tcase_add_test(t, completions_whole_and_streamed);
	suite_add_tcase(s, t);
	return run_suite(s);
}
