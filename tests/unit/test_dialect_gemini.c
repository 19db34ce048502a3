/* gemini: parts, streams of partial parts, Code Assist's wrapper, counts and embeddings. */
#include "test_dialect.h"

#define PATH "/v1beta/models/gemini-x:streamGenerateContent?alt=sse"
#define ASK "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}"
#define USAGE                                                                   \
	"\"usageMetadata\":{\"promptTokenCount\":7,\"candidatesTokenCount\":3," \
	"\"thoughtsTokenCount\":4,\"totalTokenCount\":14,\"cachedContentTokenCount\":2}"

static const struct {
	const char *whole, *events;
} pairs[] = {
	{ "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"think\","
	  "\"thought\":true},{\"text\":\"hello\"},{\"functionCall\":{\"name\":\"ls\",\"args\":{"
	  "\"n\":1e-7}}}]},\"finishReason\":\"STOP\",\"index\":0}]," USAGE
	  ",\"modelVersion\":\"gemini-x-1\",\"responseId\":\"r1\"}",
	  "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"thi\",\"thought\":true}]}}],"
	  "\"modelVersion\":\"gemini-x-1\",\"responseId\":\"r1\",\"usageMetadata\":{"
	  "\"promptTokenCount\":7}}\n"
	  "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"nk\",\"thought\":true},{\"text\":"
	  "\"hel\"}]}}]}\n"
	  "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"}]}}]}\n"
	  "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"ls\",\"args\":{"
	  "\"n\":1e-7}}},{\"text\":\"\",\"thoughtSignature\":\"x\"}]},\"finishReason\":\"STOP\"}]"
	  "," USAGE "}" },
	{ "{\"candidates\":[{\"content\":{\"parts\":[{\"executableCode\":{\"language\":\"PYTHON\","
	  "\"code\":\"1+1\"}},{\"codeExecutionResult\":{\"outcome\":\"OUTCOME_OK\",\"output\":"
	  "\"2\"}},{\"text\":\"2\"}]},\"finishReason\":\"STOP\"}]}",
	  "{\"candidates\":[{\"content\":{\"parts\":[{\"executableCode\":{\"language\":\"PYTHON\","
	  "\"code\":\"1+1\"}}]}}]}\n"
	  "{\"candidates\":[{\"content\":{\"parts\":[{\"codeExecutionResult\":{\"outcome\":"
	  "\"OUTCOME_OK\",\"output\":\"2\"}},{\"text\":\"2\"}]},\"finishReason\":\"STOP\"}]}" },
};

START_TEST(streamed_is_as_whole)
{
	char wrapped[4096], array[4096];
	struct fixture *w = read_whole("/v1beta/models/gemini-x:generateContent", ASK,
				       pairs[_i].whole),
		       *s = read_events(PATH, ASK, pairs[_i].events);

	ck_assert_str_eq(w->call.dialect, "gemini");
	assert_same_call(&s->call, &w->call);
	ck_assert(s->call.stream && !w->call.stream && s->call.first_token_ns);
	assert_sound(&s->call);
	fixture_free(s);
	/* the same in one array, and wrapped by Code Assist */
	snprintf(array, sizeof(array), "[%s]", pairs[_i].whole);
	s = read_whole("/v1beta/models/gemini-x:streamGenerateContent", ASK, array);
	assert_same_call(&s->call, &w->call);
	fixture_free(s);
	snprintf(wrapped, sizeof(wrapped), "{\"response\":%s}", pairs[_i].whole);
	s = read_events(
		"/v1internal:streamGenerateContent?alt=sse",
		"{\"model\":\"gemini-x\",\"user_prompt_id\":\"p\",\"request\":{\"session_id\":"
		"\"sess\",\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}}",
		wrapped);
	assert_same_call(&s->call, &w->call);
	assert_span(s->call.session_id, "sess");
	assert_span(s->call.messages[0].text, "hi");
	fixture_free(s);
	fixture_free(w);
}
END_TEST

START_TEST(reads_answer_and_usage)
{
	struct fixture *f = read_events(PATH, ASK, pairs[0].events);
	struct call *c = &f->call;

	assert_span(c->provider, "google");
	assert_span(c->model_requested, "gemini-x");
	assert_span(c->model, "gemini-x-1");
	assert_span(c->answer.text, "hello");
	assert_span(c->answer.requests[0].name, "ls");
	assert_span(c->answer.requests[0].arguments, "{\"n\":1e-7}");
	ck_assert(!c->answer.requests[0].id.p);
	ck_assert_int_eq(c->tokens_in, 7);
	ck_assert_int_eq(c->tokens_out, 7);
	ck_assert_int_eq(c->tokens_reasoning, 4);
	ck_assert_int_eq(c->tokens_total, 14);
	ck_assert_int_eq(c->tokens_cached, 2);
	fixture_free(f);
	f = read_events(PATH, ASK, pairs[1].events);
	ck_assert_uint_eq(f->call.answer.n_requests, 1);
	ck_assert(f->call.answer.requests[0].server_side && !f->call.answer.requests[0].failed);
	assert_span(f->call.answer.requests[0].result,
		    "{\"outcome\":\"OUTCOME_OK\",\"output\":\"2\"}");
	fixture_free(f);
}
END_TEST

START_TEST(reads_history)
{
	struct fixture *a = read_events(PATH, ASK, pairs[0].events);
	struct fixture *f = read_whole(
		PATH,
		"{\"systemInstruction\":{\"parts\":[{\"text\":\"be "
		"brief\"}]},\"tools\":[{\"functionDeclarations\":[{\"name\":\"ls\"}]},{"
		"\"googleSearch\":{}}],\"contents\":["
		"{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]},{\"role\":\"model\",\"parts\":[{"
		"\"text\":\"hello\"},{\"functionCall\":{\"name\":\"ls\",\"args\":{\"n\": 1e-7}}}]},"
		"{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"ls\",\"response\":"
		"{\"error\":\"no\"}}}]}]}",
		"{\"candidates\":[]}");
	struct message *m = f->call.messages;

	ck_assert_uint_eq(f->call.n_messages, 4);
	ck_assert_int_eq(m[0].role, ROLE_SYSTEM);
	ck_assert_uint_eq(m[1].hash, a->call.messages[0].hash);
	ck_assert_uint_eq(m[2].hash, a->call.answer.hash);
	ck_assert(m[3].results[0].is_error && !m[3].has_user_content);
	assert_span(m[3].results[0].name, "ls");
	assert_span(f->call.tools_offered[1], "googleSearch");
	fixture_free(a);
	fixture_free(f);
}
END_TEST

START_TEST(blocks_errors_counts_embeddings)
{
	struct fixture *f =
		read_whole(PATH, ASK, "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}");
	ck_assert(f->call.refusal && !f->call.incomplete);
	assert_span(f->call.finish_reason, "SAFETY");
	fixture_free(f);
	f = fixture_new(PATH, ASK);
	f->ex.status = 429;
	f->ex.response.body = SPAN("[{\"error\":{\"code\":429,\"message\":\"quota\",\"status\":"
				   "\"RESOURCE_EXHAUSTED\"}}]");
	fixture_read(f);
	assert_span(f->call.error.type, "RESOURCE_EXHAUSTED");
	assert_span(f->call.error.message, "quota");
	fixture_free(f);
	f = read_whole("/v1beta/models/g:countTokens", ASK, "{\"totalTokens\":31}");
	ck_assert_int_eq(f->call.kind, CALL_COUNT);
	ck_assert_int_eq(f->call.tokens_in, 31);
	fixture_free(f);
	f = read_whole("/v1beta/models/e:batchEmbedContents",
		       "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},{\"content\":{"
		       "\"parts\":[{\"text\":\"b\"}]}}]}",
		       "{\"embeddings\":[{\"values\":[1,2,3]},{\"values\":[1,2,3]}]}");
	ck_assert_int_eq(f->call.kind, CALL_EMBEDDING);
	assert_span(f->call.output, "{\"embeddings\":2,\"dimensions\":3}");
	assert_span(f->call.messages[1].text, "b");
	fixture_free(f);
	f = read_events(PATH, ASK,
			"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hal\"}]}}]}");
	ck_assert(f->call.incomplete);
	fixture_free(f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dialect_gemini");
	TCase *t = tcase_create("gemini");

	tcase_add_loop_test(t, streamed_is_as_whole, 0, 2);
	tcase_add_test(t, reads_answer_and_usage);
	tcase_add_test(t, reads_history);
	tcase_add_test(t, blocks_errors_counts_embeddings);
	suite_add_tcase(s, t);
	return run_suite(s);
}
