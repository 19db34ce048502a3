/* anthropic.messages: blocks, streamed assembly, usage with the cache, server tools, errors and counting. */
#include "test_dialect.h"

#define PATH "/v1/messages?beta=true"
#define ASK                                                                                 \
	"{\"model\":\"claude-x\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":" \
	"\"user\",\"content\":\"hi\"}]}"

static const struct {
	const char *whole, *events;
} pairs[] = {
	{ "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x-1\","
	  "\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},{\"type\":"
	  "\"text\",\"text\":\"hello\"},"
	  "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{\"n\": "
	  "9223372036854775807,\"s\":\"\\u0000\"}},{\"type\":\"tool_use\",\"id\":\"toolu_2\","
	  "\"name\":\"noargs\",\"input\":{}}],\"stop_reason\":\"tool_use\",\"stop_sequence\":null,"
	  "\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":10,\"cache_read_input_"
	  "tokens\":100,\"output_tokens\":42}}",
	  "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":"
	  "\"assistant\",\"model\":\"claude-x-1\",\"content\":[],\"stop_reason\":null,\"usage\":{"
	  "\"input_tokens\":3,\"cache_creation_input_tokens\":10,\"cache_read_input_tokens\":100,"
	  "\"output_tokens\":1}}}\n"
	  "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\","
	  "\"thinking\":\"\",\"signature\":\"\"}}\n"
	  "{\"type\": \"ping\"}\n"
	  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
	  "\"thinking\":\"h\"}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
	  "\"thinking\":\"m\"}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\","
	  "\"signature\":\"s\"}}\n"
	  "{\"type\":\"content_block_stop\",\"index\":0}\n"
	  "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\","
	  "\"text\":\"\"}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\","
	  "\"text\":\"hel\"}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\","
	  "\"text\":\"lo\"}}\n"
	  "{\"type\":\"content_block_stop\",\"index\":1}\n"
	  "{\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\","
	  "\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{}}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\","
	  "\"partial_json\":\"\"}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\","
	  "\"partial_json\":\"{\\\"n\\\": 92233720\"}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\","
	  "\"partial_json\":\"36854775807,\\\"s\\\":\\\"\\\\u0000\\\"}\"}}\n"
	  "{\"type\":\"content_block_stop\",\"index\":2}\n"
	  "{\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"tool_use\","
	  "\"id\":\"toolu_2\",\"name\":\"noargs\",\"input\":{}}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\","
	  "\"partial_json\":\"\"}}\n"
	  "{\"type\":\"content_block_stop\",\"index\":3}\n"
	  "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":"
	  "null},\"usage\":{\"output_tokens\":42}}\n"
	  "{\"type\":\"message_stop\"}" },
	{ "{\"id\":\"msg_2\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\","
	  "\"content\":[{\"type\":\"server_tool_use\",\"id\":\"srv_1\",\"name\":\"web_search\","
	  "\"input\":{\"query\":\"q\"}},"
	  "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"srv_1\",\"content\":[{\"type\":"
	  "\"web_search_result\",\"url\":\"u\"}]},{\"type\":\"redacted_thinking\",\"data\":\"xx\"},"
	  "{\"type\":\"text\",\"text\":\"found\"}],"
	  "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"output_"
	  "tokens_details\":{\"thinking_tokens\":2}}}",
	  "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_2\",\"model\":\"m\",\"content\":[]"
	  ",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n"
	  "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"server_tool_"
	  "use\",\"id\":\"srv_1\",\"name\":\"web_search\",\"input\":{}}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","
	  "\"partial_json\":\"{\\\"query\\\":\\\"q\\\"}\"}}\n"
	  "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"web_search_"
	  "tool_result\",\"tool_use_id\":\"srv_1\",\"content\":[{\"type\":\"web_search_result\","
	  "\"url\":\"u\"}]}}\n"
	  "{\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"redacted_"
	  "thinking\",\"data\":\"xx\"}}\n"
	  "{\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"text\","
	  "\"text\":\"\"}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"text_delta\","
	  "\"text\":\"found\"}}\n"
	  "{\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"citations_delta\","
	  "\"citation\":{}}}\n"
	  "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_"
	  "tokens\":5,\"output_tokens\":7,\"output_tokens_details\":{\"thinking_tokens\":2}}}\n"
	  "{\"type\":\"message_stop\"}" },
};

START_TEST(streamed_is_as_whole)
{
	struct fixture *w = read_whole(PATH, ASK, pairs[_i].whole),
		       *s = read_events(PATH, ASK, pairs[_i].events);

	assert_same_call(&s->call, &w->call);
	assert_same(json_get(s->call.usage, "output_tokens"),
		    json_get(w->call.usage, "output_tokens"), "usage");
	ck_assert(!s->call.incomplete && s->call.first_token_ns >= 3001);
	assert_sound(&s->call);
	assert_sound(&w->call);
	fixture_free(w);
	fixture_free(s);
}
END_TEST

START_TEST(reads_blocks_and_usage)
{
	struct fixture *f = read_events(PATH, ASK, pairs[0].events);
	struct call *c = &f->call;

	ck_assert_str_eq(c->dialect, "anthropic.messages");
	assert_span(c->provider, "anthropic");
	assert_span(c->model, "claude-x-1");
	assert_span(c->model_requested, "claude-x");
	ck_assert_int_eq(c->tokens_in, 113);
	ck_assert_int_eq(c->tokens_out, 42);
	ck_assert_int_eq(c->tokens_total, 155);
	ck_assert_int_eq(c->tokens_cached, 100);
	ck_assert_int_eq(c->tokens_cache_write, 10);
	assert_span(c->answer.text, "hello");
	ck_assert_uint_eq(c->answer.n_requests, 2);
	assert_span(c->answer.requests[0].arguments,
		    "{\"n\": 9223372036854775807,\"s\":\"\\u0000\"}");
	assert_span(c->answer.requests[1].arguments, "{}");
	assert_span(json_path(c->output, "content[0]"), "{\"type\":\"reasoning\",\"text\":\"hm\"}");
	assert_span(json_path(c->output, "finish_reason"), "\"tool_use\"");
	assert_span(json_get(c->usage, "output_tokens"), "42");
	assert_span(json_get(c->usage, "input_tokens"), "3");
	fixture_free(f);

	f = read_events(PATH, ASK, pairs[1].events);
	c = &f->call;
	ck_assert(c->answer.requests[0].server_side && !c->answer.requests[0].failed);
	assert_span(c->answer.requests[0].arguments, "{\"query\":\"q\"}");
	assert_span(c->answer.requests[0].result,
		    "[{\"type\":\"web_search_result\",\"url\":\"u\"}]");
	ck_assert_int_eq(c->tokens_in, 5);
	ck_assert_int_eq(c->tokens_reasoning, 2);
	fixture_free(f);
}
END_TEST

START_TEST(reads_the_request)
{
	struct fixture *f = read_whole(
		PATH,
		"{\"model\":\"claude-x\",\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":"
		"\"You "
		"are\",\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":"
		"\"brief\"}],"
		"\"tools\":[{\"name\":\"bash\",\"input_schema\":{}},{\"type\":\"web_search_"
		"20250305\",\"name\":\"web_search\"}],\"messages\":[{\"role\":\"user\",\"content\":"
		"\"hi\"},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"},{"
		"\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{\"n\":"
		"9223372036854775807,\"s\":\"\\u0000\"}},{\"type\":\"tool_use\",\"id\":\"toolu_2\","
		"\"name\":\"noargs\",\"input\":{}}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_"
		"1\",\"content\":\"out\",\"is_error\":true},{\"type\":\"tool_result\",\"tool_use_"
		"id\":\"toolu_2\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
		"\"image\",\"source\":{\"type\":\"base64\"}}]}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"x\","
		"\"content\":\"o\"},{\"type\":\"text\",\"text\":\"go "
		"on\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}",
		pairs[0].whole);
	struct fixture *answer = read_events(PATH, ASK, pairs[0].events);
	struct message *m = f->call.messages;

	ck_assert_uint_eq(f->call.n_messages, 5);
	assert_span(m[0].json, "{\"role\":\"system\",\"content\":\"You are\\nbrief\"}");
	ck_assert(m[1].has_user_content);
	ck_assert_uint_eq(m[2].hash, answer->call.answer.hash);
	ck_assert(!m[3].has_user_content);
	ck_assert_uint_eq(m[3].n_results, 2);
	ck_assert(m[3].results[0].is_error && !m[3].results[1].is_error);
	assert_span(m[3].results[0].result, "\"out\"");
	assert_span(m[3].results[1].result, "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
					    "\"image\",\"source\":{\"type\":\"base64\"}}]");
	ck_assert(m[4].has_user_content);
	assert_span(m[4].text, "go on");
	ck_assert_uint_eq(f->call.n_tools_offered, 2);
	assert_span(f->call.tools_offered[1], "web_search");
	assert_sound(&f->call);
	fixture_free(f);
	fixture_free(answer);
}
END_TEST

START_TEST(errors_cuts_and_counts)
{
	struct fixture *f = fixture_new(PATH, ASK);
	f->ex.status = 529;
	f->ex.response.body = SPAN("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
				   "\"message\":\"Overloaded\"},\"request_id\":\"r\"}");
	fixture_read(f);
	assert_span(f->call.error.type, "overloaded_error");
	assert_span(f->call.error.message, "Overloaded");
	ck_assert_int_eq(f->call.error.status, 529);
	ck_assert(!f->call.answer.json.p);
	fixture_free(f);

	f = read_events(PATH, ASK,
			"{\"type\":\"message_start\",\"message\":{\"id\":\"msg_3\",\"model\":\"m\","
			"\"content\":[],\"usage\":{\"input_tokens\":2,\"output_tokens\":1}}}\n"
			"{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
			"\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n"
			"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_"
			"json_delta\",\"partial_json\":\"{\\\"a\\\": tr\"}}\n"
			"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
			"\"later\"}}");
	assert_span(f->call.error.type, "overloaded_error");
	assert_span(f->call.answer.requests[0].arguments, "\"{\\\"a\\\": tr\"");
	assert_span(f->call.response_id, "msg_3");
	assert_sound(&f->call);
	fixture_free(f);

	f = read_events(
		PATH, ASK,
		"{\"type\":\"message_start\",\"message\":{\"id\":\"msg_3\",\"content\":[]}}");
	ck_assert(f->call.incomplete && f->call.tokens_in == TOKENS_UNKNOWN);
	assert_span(f->call.model, "claude-x");
	fixture_free(f);

	f = read_whole("/v1/messages/count_tokens", ASK, "{\"input_tokens\":77}");
	ck_assert_int_eq(f->call.kind, CALL_COUNT);
	ck_assert_int_eq(f->call.tokens_in, 77);
	fixture_free(f);

	f = read_whole(
		"/v1/projects/p/locations/r/publishers/anthropic/models/claude-v@1:rawPredict",
		"{\"anthropic_version\":\"v\",\"messages\":[]}",
		"{\"id\":\"msg_4\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}],\"stop_"
		"reason\":\"refusal\"}");
	assert_span(f->call.model, "claude-v@1");
	ck_assert(f->call.refusal);
	assert_span(f->call.output, "\"x\"");
	fixture_free(f);
}
END_TEST

START_TEST(sessions_and_agents_are_read)
{
	struct fixture *f = fixture_new(PATH, ASK);
	fixture_field(&f->ex.request, "x-claude-code-session-id", "s-1");
	fixture_field(&f->ex.request, "X-Claude-Code-Agent-Id", "a-1");
	fixture_field(&f->ex.request, "x-claude-code-parent-agent-id", "a-0");
	fixture_field(&f->ex.response, "request-id", "req_9");
	f->ex.response.body = span_of(pairs[0].whole);
	fixture_read(f);
	assert_span(f->call.session_id, "s-1");
	assert_span(f->call.agent_id, "a-1");
	assert_span(f->call.parent_agent_id, "a-0");
	assert_span(f->call.request_id, "req_9");
	fixture_free(f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dialect_anthropic");
	TCase *t = tcase_create("messages");

	tcase_add_loop_test(t, streamed_is_as_whole, 0, sizeof(pairs) / sizeof(*pairs));
	tcase_add_test(t, reads_blocks_and_usage);
	tcase_add_test(t, reads_the_request);
	tcase_add_test(t, errors_cuts_and_counts);
	tcase_add_test(t, sessions_and_agents_are_read);
	suite_add_tcase(s, t);
	return run_suite(s);
}
