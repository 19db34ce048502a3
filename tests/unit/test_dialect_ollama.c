/* ollama's own API: JSON lines, tools, thinking, generate, embed, errors inside a stream. */
#include "test_dialect.h"

#define ASK                                                                                    \
	"{\"model\":\"qwen\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"images\":[" \
	"\"aGk=\"]}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"ls\"}}]}"
#define ASK_WHOLE                                                                            \
	"{\"model\":\"qwen\",\"stream\":false,\"messages\":[{\"role\":\"user\",\"content\":" \
	"\"hi\"}]}"
#define DONE                                                                                  \
	"\"done\":true,\"done_reason\":\"stop\",\"total_duration\":5000000000,\"prompt_eval_" \
	"count\":11,\"eval_count\":4}"

START_TEST(streamed_is_as_whole)
{
	struct fixture *w =
		read_whole("/api/chat", ASK_WHOLE,
			   "{\"model\":\"qwen\",\"message\":{\"role\":\"assistant\",\"thinking\":"
			   "\"hm\",\"content\":\"hello\",\"tool_calls\":[{\"function\":{\"name\":"
			   "\"ls\",\"arguments\":{\"n\":9223372036854775807}}}]}," DONE);
	struct fixture *s = read_events(
		"/api/chat", ASK,
		"{\"model\":\"qwen\",\"message\":{\"role\":\"assistant\",\"content\":\"\","
		"\"thinking\":\"hm\"},\"done\":false}\n"
		"{\"model\":\"qwen\",\"message\":{\"role\":\"assistant\",\"content\":\"hel\"},"
		"\"done\":false}\n"
		"{\"model\":\"qwen\",\"message\":{\"role\":\"assistant\",\"content\":\"lo\",\"tool_"
		"calls\":[{\"function\":{\"name\":\"ls\",\"arguments\":{\"n\":9223372036854775807}}"
		"}]},\"done\":false}\n"
		"{\"model\":\"qwen\",\"message\":{\"role\":\"assistant\",\"content\":\"\"}," DONE);

	ck_assert_str_eq(s->call.dialect, "ollama");
	assert_same_call(&s->call, &w->call);
	assert_span(s->call.answer.text, "hello");
	assert_span(s->call.answer.requests[0].arguments, "{\"n\":9223372036854775807}");
	ck_assert(s->call.stream && !w->call.stream);
	ck_assert_int_eq(s->call.tokens_in, 11);
	ck_assert_int_eq(s->call.tokens_out, 4);
	assert_span(json_get(s->call.usage, "total_duration"), "5000000000");
	ck_assert_uint_eq(s->call.first_token_ns, 3000);
	assert_span(json_path(s->call.messages[0].parts, "[1].data"), "\"aGk=\"");
	assert_span(s->call.tools_offered[0], "ls");
	assert_sound(&s->call);
	fixture_free(w);
	fixture_free(s);
}
END_TEST

START_TEST(generate_embed_and_errors)
{
	struct fixture *f = read_events("/api/generate",
					"{\"model\":\"q\",\"system\":\"brief\",\"prompt\":\"say\"}",
					"{\"model\":\"q\",\"response\":\"he\",\"done\":false}\n{"
					"\"model\":\"q\",\"response\":\"y\"," DONE);
	assert_span(f->call.output, "\"hey\"");
	assert_span(f->call.messages[0].text, "brief");
	assert_span(f->call.messages[1].text, "say");
	fixture_free(f);
	f = read_whole("/api/embed", "{\"model\":\"e\",\"input\":[\"a\",\"b\"]}",
		       "{\"model\":\"e\",\"embeddings\":[[0.1,0.2,0.3],[0.1,0.2,0.3]],\"prompt_"
		       "eval_count\":2}");
	ck_assert_int_eq(f->call.kind, CALL_EMBEDDING);
	assert_span(f->call.output, "{\"embeddings\":2,\"dimensions\":3}");
	ck_assert_int_eq(f->call.tokens_in, 2);
	fixture_free(f);
	f = read_events("/api/chat", ASK,
			"{\"model\":\"q\",\"message\":{\"content\":\"a\"},\"done\":false}\n{"
			"\"error\":\"out of memory\"}");
	assert_span(f->call.error.message, "out of memory");
	assert_span(f->call.output, "\"a\"");
	fixture_free(f);
	f = fixture_new("/api/chat", ASK);
	f->ex.status = 404;
	f->ex.response.body = SPAN("{\"error\":\"model 'qwen' not found\"}");
	fixture_read(f);
	assert_span(f->call.error.type, "http_404");
	assert_span(f->call.error.message, "model 'qwen' not found");
	fixture_free(f);
	f = fixture_new("/api/chat", "{\"room\":1}");
	fixture_read(f);
	ck_assert(!f->known); /* somebody else's chat */
	fixture_free(f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dialect_ollama");
	TCase *t = tcase_create("ollama");

	tcase_add_test(t, streamed_is_as_whole);
	tcase_add_test(t, generate_embed_and_errors);
	suite_add_tcase(s, t);
	return run_suite(s);
}
