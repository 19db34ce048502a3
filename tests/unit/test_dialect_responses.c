/* openai.responses: items both ways, the terminal event, what a cut stream still tells, lineage. */
#include "test_dialect.h"

#include "dialect/socket.h"

#define PATH "/v1/responses"
#define ASK "{\"model\":\"gpt-r\",\"stream\":true,\"input\":\"hi\"}"

#define OUTPUT                                                                                    \
	"[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\","       \
	"\"text\":\"think\"}],\"encrypted_content\":\"zz\"},"                                     \
	"{\"type\":\"message\",\"id\":\"m_1\",\"role\":\"assistant\",\"status\":\"completed\","   \
	"\"content\":[{\"type\":\"output_text\",\"text\":\"hello\",\"annotations\":[]}]},"        \
	"{\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"call_1\",\"name\":\"ls\","     \
	"\"arguments\":\"{\\\"n\\\":1e-7}\",\"status\":\"completed\"},"                           \
	"{\"type\":\"custom_tool_call\",\"id\":\"ct_1\",\"call_id\":\"call_2\",\"name\":\"apply_" \
	"patch\",\"input\":\"*** Begin\"}]"
#define WHOLE                                                                                      \
	"{\"id\":\"resp_1\",\"object\":\"response\",\"model\":\"gpt-r-1\",\"status\":"             \
	"\"completed\",\"error\":null,\"incomplete_details\":null,\"output\":" OUTPUT              \
	",\"usage\":{\"input_tokens\":20,\"input_tokens_details\":{\"cached_tokens\":16},"         \
	"\"output_tokens\":9,\"output_tokens_details\":{\"reasoning_tokens\":4},\"total_tokens\":" \
	"29}}"
#define CREATED                                                                                 \
	"{\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"model\":\"gpt-r-1\"," \
	"\"status\":\"in_progress\",\"output\":[]}}\n"
#define DELTAS                                                                                     \
	"{\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":"          \
	"\"reasoning\",\"id\":\"rs_1\",\"summary\":[]}}\n"                                         \
	"{\"type\":\"response.reasoning_summary_text.delta\",\"output_index\":0,\"summary_"        \
	"index\":0,\"delta\":\"thi\"}\n"                                                           \
	"{\"type\":\"response.reasoning_summary_text.delta\",\"output_index\":0,\"summary_"        \
	"index\":0,\"delta\":\"nk\"}\n"                                                            \
	"{\"type\":\"response.output_item.added\",\"output_index\":1,\"item\":{\"type\":"          \
	"\"message\",\"id\":\"m_1\",\"role\":\"assistant\",\"content\":[]}}\n"                     \
	"{\"type\":\"response.output_text.delta\",\"output_index\":1,\"content_index\":0,"         \
	"\"delta\":\"hel\"}\n"                                                                     \
	"{\"type\":\"response.output_text.delta\",\"output_index\":1,\"content_index\":0,"         \
	"\"delta\":\"lo\"}\n"                                                                      \
	"{\"type\":\"response.output_text.done\",\"output_index\":1,\"content_index\":0,\"text\":" \
	"\"hello\"}\n"                                                                             \
	"{\"type\":\"response.output_item.added\",\"output_index\":3,\"item\":{\"type\":\"custom_" \
	"tool_call\",\"call_id\":\"call_2\",\"name\":\"apply_patch\",\"input\":\"\"}}\n"           \
	"{\"type\":\"response.output_item.added\",\"output_index\":2,\"item\":{\"type\":"          \
	"\"function_call\",\"call_id\":\"call_1\",\"name\":\"ls\",\"arguments\":\"\"}}\n"          \
	"{\"type\":\"response.custom_tool_call_input.delta\",\"output_index\":3,\"delta\":\"*** "  \
	"\"}\n"                                                                                    \
	"{\"type\":\"response.function_call_arguments.delta\",\"output_index\":2,\"delta\":\"{"    \
	"\\\"n\\\":1\"}\n"                                                                         \
	"{\"type\":\"response.function_call_arguments.delta\",\"output_index\":2,\"delta\":\"e-7}" \
	"\"}\n"                                                                                    \
	"{\"type\":\"response.custom_tool_call_input.delta\",\"output_index\":3,\"delta\":"        \
	"\"Begin\"}\n"

static const char *const streams[] = {
	CREATED DELTAS "{\"type\":\"response.completed\",\"response\":" WHOLE "}",
	/* a terminal event without the items */
	CREATED DELTAS
	"{\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"model\":\"gpt-r-1\","
	"\"status\":\"completed\",\"output\":[],"
	"\"usage\":{\"input_tokens\":20,\"input_tokens_details\":{\"cached_tokens\":16},\"output_"
	"tokens\":9,\"output_tokens_details\":{\"reasoning_tokens\":4},\"total_tokens\":29}}}",
};

START_TEST(streamed_is_as_whole)
{
	struct fixture *w = read_whole(PATH, ASK, WHOLE), *s = read_events(PATH, ASK, streams[_i]);

	assert_same_call(&s->call, &w->call);
	ck_assert(!s->call.incomplete);
	ck_assert_uint_eq(s->call.first_token_ns, 3001);
	assert_sound(&s->call);
	fixture_free(w);
	fixture_free(s);
}
END_TEST

START_TEST(reads_the_answer)
{
	struct fixture *f = read_whole(PATH, ASK, WHOLE);
	struct call *c = &f->call;

	ck_assert_str_eq(c->dialect, "openai.responses");
	assert_span(c->model, "gpt-r-1");
	assert_span(c->answer.text, "hello");
	assert_span(c->finish_reason, "completed");
	ck_assert_uint_eq(c->answer.n_requests, 2);
	assert_span(c->answer.requests[0].id, "call_1");
	assert_span(c->answer.requests[0].arguments, "{\"n\":1e-7}");
	assert_span(c->answer.requests[1].arguments, "\"*** Begin\"");
	assert_span(json_path(c->output, "content[0]"),
		    "{\"type\":\"reasoning\",\"text\":\"think\"}");
	ck_assert_int_eq(c->tokens_in, 20);
	ck_assert_int_eq(c->tokens_cached, 16);
	ck_assert_int_eq(c->tokens_reasoning, 4);
	ck_assert(!c->input_is_delta && !c->previous_id.p);
	assert_span(c->messages[0].json, "{\"role\":\"user\",\"content\":\"hi\"}");
	fixture_free(f);
}
END_TEST

START_TEST(a_cut_stream_tells_what_it_can)
{
	struct fixture *w = read_whole(PATH, ASK, WHOLE), *f = fixture_new(PATH, ASK);

	fixture_events(f, CREATED DELTAS);
	f->ex.cut = "connection closed";
	fixture_read(f);
	ck_assert(f->call.incomplete);
	assert_same(f->call.answer.json, w->call.answer.json, "answer");
	ck_assert_int_eq(f->call.tokens_in, TOKENS_UNKNOWN);
	assert_span(f->call.response_id, "resp_1");
	fixture_free(f);

	f = read_events(
		PATH, ASK,
		CREATED
		"{\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":"
		"\"function_call\",\"call_id\":\"call_1\",\"name\":\"ls\",\"arguments\":\"\"}}\n"
		"{\"type\":\"response.function_call_arguments.delta\",\"output_index\":0,\"delta\":"
		"\"{\\\"n\\\":\"}\n");
	assert_span(f->call.answer.requests[0].arguments, "\"{\\\"n\\\":\"");
	ck_assert(f->call.incomplete);
	fixture_free(f);
	fixture_free(w);
}
END_TEST

START_TEST(history_has_the_hash_of_the_answer)
{
	struct fixture *w = read_whole(PATH, ASK, WHOLE);
	struct fixture *f = read_whole(
		PATH,
		"{\"model\":\"m\",\"instructions\":\"be "
		"brief\",\"tools\":[{\"type\":\"function\",\"name\":\"ls\"},{\"type\":\"web_"
		"search\"}],\"input\":["
		"{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"hi\"}]},"
		"{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"zz\"},"
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_"
		"text\",\"text\":\"hello\"}]},"
		"{\"type\":\"function_call\",\"call_id\":\"call_1\",\"name\":\"ls\",\"arguments\":"
		"\"{\\\"n\\\": 1e-7}\"},"
		"{\"type\":\"custom_tool_call\",\"call_id\":\"call_2\",\"name\":\"apply_patch\","
		"\"input\":\"*** Begin\"},"
		"{\"type\":\"function_call_output\",\"call_id\":\"call_1\",\"output\":\"files\"},"
		"{\"type\":\"custom_tool_call_output\",\"call_id\":\"call_2\",\"output\":[{"
		"\"type\":\"input_text\",\"text\":\"done\"}]}]}",
		WHOLE);
	struct message *m = f->call.messages;

	ck_assert_uint_eq(f->call.n_messages, 5);
	assert_span(m[0].json, "{\"role\":\"system\",\"content\":\"be brief\"}");
	ck_assert_uint_eq(m[1].hash, w->call.messages[0].hash);
	ck_assert_uint_eq(m[2].hash, w->call.answer.hash);
	ck_assert_int_eq(m[3].role, ROLE_TOOL);
	assert_span(m[3].results[0].id, "call_1");
	assert_span(m[3].results[0].result, "\"files\"");
	assert_span(m[4].results[0].result, "\"done\"");
	assert_span(f->call.tools_offered[0], "ls");
	assert_span(f->call.tools_offered[1], "web_search");
	assert_sound(&f->call);
	fixture_free(f);
	fixture_free(w);
}
END_TEST

START_TEST(the_provider_runs_tools_itself)
{
	struct fixture *f = read_whole(
		PATH, "{\"model\":\"m\",\"input\":\"q\",\"previous_response_id\":\"resp_0\"}",
		"{\"id\":\"resp_2\",\"object\":\"response\",\"status\":\"completed\",\"output\":["
		"{\"type\":\"web_search_call\",\"id\":\"ws\",\"status\":\"completed\",\"action\":{"
		"\"type\":\"search\",\"query\":\"q\",\"sources\":[{\"url\":\"u\"}]}},"
		"{\"type\":\"file_search_call\",\"id\":\"fs\",\"queries\":[\"a\"],\"results\":[{"
		"\"file_id\":\"f\",\"score\":0.5}]},"
		"{\"type\":\"code_interpreter_call\",\"id\":\"ci\",\"code\":\"1+1\",\"container_"
		"id\":\"c\",\"outputs\":[{\"type\":\"logs\",\"logs\":\"2\"}]},"
		"{\"type\":\"mcp_call\",\"id\":\"mcp\",\"server_label\":\"s\",\"name\":\"t\","
		"\"arguments\":\"{}\",\"output\":null,\"error\":\"boom\"},"
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\","
		"\"refusal\":\"no\"}]}]}");
	struct tool_request *r = f->call.answer.requests;

	ck_assert_uint_eq(f->call.answer.n_requests, 4);
	for (int i = 0; i < 4; i++)
		ck_assert(r[i].server_side);
	assert_span(r[0].name, "web_search");
	assert_span(r[0].result, "[{\"url\":\"u\"}]");
	assert_span(r[1].arguments, "{\"queries\":[\"a\"]}");
	assert_span(r[1].result, "[{\"file_id\":\"f\",\"score\":0.5}]");
	assert_span(r[2].arguments, "{\"code\":\"1+1\",\"container_id\":\"c\"}");
	ck_assert(r[3].failed && !r[2].failed);
	assert_span(r[3].result, "\"boom\"");
	ck_assert(f->call.refusal && f->call.input_is_delta);
	assert_span(f->call.previous_id, "resp_0");
	assert_sound(&f->call);
	fixture_free(f);
}
END_TEST

START_TEST(failures_and_limits)
{
	struct fixture *f =
		read_events(PATH, ASK,
			    CREATED "{\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\","
				    "\"status\":\"failed\",\"error\":{\"code\":\"server_error\","
				    "\"message\":\"sorry\"},\"output\":[]}}");
	assert_span(f->call.error.type, "server_error");
	assert_span(f->call.error.message, "sorry");
	ck_assert(!f->call.answer.json.p && !f->call.incomplete);
	fixture_free(f);
	f = read_events(PATH, ASK,
			"{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow\","
			"\"param\":null}");
	assert_span(f->call.error.type, "rate_limit_exceeded");
	fixture_free(f);
	f = read_whole(PATH, ASK,
		       "{\"id\":\"r\",\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
		       "\"max_output_tokens\"},\"output\":[{\"type\":\"message\",\"content\":[{"
		       "\"type\":\"output_text\",\"text\":\"ha\"}]}]}");
	assert_span(f->call.finish_reason, "max_output_tokens");
	assert_span(f->call.output, "\"ha\"");
	ck_assert(!f->call.incomplete);
	fixture_free(f);
	f = read_whole("/v1/responses/input_tokens", ASK,
		       "{\"object\":\"response.input_tokens\",\"input_tokens\":5}");
	ck_assert_int_eq(f->call.kind, CALL_COUNT);
	ck_assert_int_eq(f->call.tokens_in, 5);
	fixture_free(f);
	f = fixture_new("/survey/responses", "{\"answers\":[1,2]}");
	fixture_read(f);
	ck_assert(!f->known);
	fixture_free(f);
}
END_TEST

static void on_socket_call(void *ctx, const struct exchange *ex, const struct call *c)
{
	char *log = ctx;
	size_t len = strlen(log);

	assert_sound(c);
	ck_assert_str_eq(c->dialect, "openai.responses");
	snprintf(log + len, 1024 - len, "%.*s %.*s=%.*s %d %llu-%llu-%llu %s%.*s;",
		 SPAN_FMT(c->provider), SPAN_FMT(c->messages[0].text), SPAN_FMT(c->answer.text),
		 ex->status, (unsigned long long)c->began_ns, (unsigned long long)c->first_token_ns,
		 (unsigned long long)c->ended_ns, c->incomplete ? c->reason : "",
		 SPAN_FMT(c->error.message));
}

START_TEST(a_socket_carries_many_calls)
{
	struct conn_info conn = { 0 };
	struct exchange up = { .client = true,
			       .target = SPAN("/v1/responses"),
			       .authority = SPAN("api.openai.com"),
			       .status = 101,
			       .version = "1.1" };
	static const struct {
		enum dir dir;
		const char *text;
	} frames[] = {
		{ DIR_OUT, "{\"type\":\"response.create\",\"model\":\"m\",\"input\":\"one\"}" },
		{ DIR_OUT, "{\"type\":\"response.create\",\"model\":\"m\",\"input\":\"two\","
			   "\"stream_id\":\"b\"}" },
		{ DIR_IN, "{\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_"
			  "index\":0,\"delta\":\"2\",\"stream_id\":\"b\"}" },
		{ DIR_IN, "{\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_"
			  "index\":0,\"delta\":\"1\"}" },
		{ DIR_IN, "not json" },
		{ DIR_IN, "{\"type\":\"response.completed\",\"stream_id\":\"b\",\"response\":{"
			  "\"id\":\"r2\",\"status\":\"completed\",\"output\":[]}}" },
		{ DIR_IN, "{\"type\":\"error\",\"status\":400,\"error\":{\"code\":\"previous_"
			  "response_not_found\",\"message\":\"gone\"}}" },
		{ DIR_OUT, "{\"type\":\"response.create\",\"model\":\"m\",\"input\":\"three\"}" },
	};
	char log[1024] = "";
	struct socket_session *s = socket_new(&conn, &up, on_socket_call, log);

	for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
		struct frame f = { .kind = FRAME_TEXT,
				   .dir = frames[i].dir,
				   .ts_ns = 10 + i,
				   .data = span_of(frames[i].text) };
		socket_feed(s, &f);
	}
	ck_assert_uint_gt(socket_held(s), 0);
	socket_finish(s, 50, "connection closed");
	ck_assert_str_eq(log, "openai two=2 101 11-12-15 ;openai one=1 101 10-13-16 gone;openai "
			      "three= 101 17-0-50 connection closed;");
	socket_free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dialect_responses");
	TCase *t = tcase_create("responses");

	tcase_add_loop_test(t, streamed_is_as_whole, 0, 2);
	tcase_add_test(t, reads_the_answer);
	tcase_add_test(t, a_cut_stream_tells_what_it_can);
	tcase_add_test(t, history_has_the_hash_of_the_answer);
	tcase_add_test(t, the_provider_runs_tools_itself);
	tcase_add_test(t, failures_and_limits);
	tcase_add_test(t, a_socket_carries_many_calls);
	suite_add_tcase(s, t);
	return run_suite(s);
}
