/* MCP over HTTP and on pipes: pairing, tools, resources, sampling, elicitation, failures. */
#include "test_dialect.h"

#include "dialect/mcp.h"

#define CALL                                                         \
	"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/"          \
	"call\",\"params\":{\"name\":\"add\",\"arguments\":{\"a\": " \
	"9223372036854775807},\"_meta\":{\"traceparent\":\"00-1\"}}}"
#define ANSWER                                                                                \
	"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[{\"type\":\"text\",\"text\":" \
	"\"sum\"}],\"structuredContent\":{\"n\":1},\"isError\":false}}"

START_TEST(a_tool_over_http)
{
	struct fixture *w = read_whole("/mcp", CALL, ANSWER);
	struct fixture *s = read_events("/mcp", CALL,
					"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
					"progress\",\"params\":{}}\n" ANSWER);
	struct call *const calls[] = { &w->call, &s->call };

	for (int i = 0; i < 2; i++) {
		ck_assert_str_eq(calls[i]->dialect, "mcp");
		ck_assert_int_eq(calls[i]->kind, CALL_TOOL);
		assert_span(calls[i]->tool.name, "add");
		assert_span(calls[i]->tool.arguments, "{\"a\": 9223372036854775807}");
		assert_span(calls[i]->tool.result, "\"sum\"");
		ck_assert(!calls[i]->tool.failed && !calls[i]->incomplete);
		assert_span(json_path(calls[i]->metadata, "structured_content.n"), "1");
		assert_span(json_path(calls[i]->metadata, "mcp_meta.traceparent"), "\"00-1\"");
		assert_sound(calls[i]);
	}
	fixture_free(w);
	fixture_free(s);
}
END_TEST

START_TEST(failures_and_others_over_http)
{
	struct fixture *f = read_whole("/mcp", CALL,
				       "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[{"
				       "\"type\":\"text\",\"text\":\"bad\"}],\"isError\":true}}");
	ck_assert(f->call.tool.failed && !f->call.error.type.p);
	fixture_free(f);
	f = read_whole("/mcp", CALL,
		       "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32602,\"message\":\"no "
		       "such tool\"}}");
	assert_span(f->call.error.type, "-32602");
	assert_span(f->call.error.message, "no such tool");
	fixture_free(f);
	f = fixture_new("/messages?sessionId=1", CALL);
	f->ex.status = 202;
	fixture_read(f);
	ck_assert(f->known && f->call.incomplete && !f->call.tool.result.p);
	fixture_free(f);
	f = read_whole("/x",
		       "{\"jsonrpc\":\"2.0\",\"id\":\"r\",\"method\":\"resources/"
		       "read\",\"params\":{\"uri\":\"file:///a\"}}",
		       "{\"jsonrpc\":\"2.0\",\"id\":\"r\",\"result\":{\"contents\":[{\"uri\":"
		       "\"file:///a\",\"mimeType\":\"text/plain\",\"text\":\"A\"}]}}");
	ck_assert_int_eq(f->call.kind, CALL_RETRIEVAL);
	assert_span(f->call.query, "\"file:///a\"");
	assert_span(f->call.results, "[{\"content\":\"A\",\"metadata\":{\"id\":\"file:///"
				     "a\",\"mime_type\":\"text/plain\"}}]");
	fixture_free(f);
	f = read_whole(
		"/x", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"add\"}]}}");
	ck_assert_int_eq(f->call.kind, CALL_COUNT);
	assert_span(f->call.tools_offered[0], "add");
	fixture_free(f);
	f = fixture_new("/x", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\"}");
	fixture_read(f);
	ck_assert(!f->known); /* JSON-RPC, but not MCP */
	fixture_free(f);
}
END_TEST

struct seen {
	int n;
	char log[2048];
};

static void on_call(void *ctx, const struct exchange *ex, const struct call *c)
{
	static const char *const kinds[] = {
		"llm", "emb", "tool", "ret", "mr", "mw", "int", "count"
	};
	struct seen *s = ctx;
	struct span what = c->kind == CALL_TOOL ? c->tool.name : c->query;
	struct span got = c->kind == CALL_TOOL	? c->tool.result
			  : c->kind == CALL_LLM ? c->output
						: c->results;
	size_t len = strlen(s->log);

	assert_sound(c);
	snprintf(s->log + len, sizeof(s->log) - len, "%s %s %.*s=%.*s %llu-%llu%s%s;",
		 ex->client ? "out" : "in", kinds[c->kind], SPAN_FMT(what), SPAN_FMT(got),
		 (unsigned long long)c->began_ns, (unsigned long long)c->ended_ns,
		 c->incomplete ? " " : "", c->incomplete ? c->reason : "");
	s->n++;
}

static bool feed(struct mcp_session *s, enum dir dir, uint64_t ts, const char *text)
{
	struct frame f = {
		.kind = FRAME_JSON_LINE, .dir = dir, .ts_ns = ts, .data = span_of(text)
	};

	return mcp_feed(s, &f);
}

START_TEST(pairs_on_a_pipe)
{
	struct conn_info conn = { .source = SOURCE_PIPE };
	struct seen seen = { 0 };
	struct mcp_session *s = mcp_new(&conn, on_call, &seen);

	ck_assert(feed(s, DIR_OUT, 10,
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
		       "call\",\"params\":{\"name\":\"a\"}}"));
	ck_assert(feed(s, DIR_OUT, 11,
		       "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"tools/"
		       "call\",\"params\":{\"name\":\"b\"}}"));
	/* the server asks with the same id while the tool runs */
	ck_assert(feed(s, DIR_IN, 12,
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"elicitation/"
		       "create\",\"params\":{\"message\":\"sure?\"}}"));
	ck_assert(feed(s, DIR_OUT, 15,
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"action\":\"accept\"}}"));
	ck_assert(feed(s, DIR_IN, 20,
		       "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"content\":[{\"type\":"
		       "\"text\",\"text\":\"B\"}]}}"));
	ck_assert(feed(s, DIR_IN, 21,
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\","
		       "\"text\":\"A\"}]}}"));
	ck_assert(feed(s, DIR_IN, 22,
		       "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}")); /* to nobody's question */
	ck_assert(!feed(s, DIR_IN, 23, "{\"log\":\"line\"}"));
	ck_assert(!feed(s, DIR_IN, 23, "plain text"));
	ck_assert(feed(s, DIR_IN, 30,
		       "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"sampling/"
		       "createMessage\",\"params\":{\"messages\":[{\"role\":\"user\",\"content\":{"
		       "\"type\":\"text\",\"text\":\"q\"}}]}}"));
	ck_assert(feed(
		s, DIR_OUT, 31,
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"role\":\"assistant\",\"content\":{"
		"\"type\":\"text\",\"text\":\"r\"},\"model\":\"m\",\"stopReason\":\"endTurn\"}}"));
	ck_assert(feed(s, DIR_OUT, 40,
		       "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/"
		       "call\",\"params\":{\"name\":\"c\"}}"));
	ck_assert(feed(s, DIR_OUT, 41,
		       "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
		       "cancelled\",\"params\":{\"requestId\":3}}"));
	ck_assert(feed(s, DIR_OUT, 42,
		       "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"tools/"
		       "call\",\"params\":{\"name\":\"d\"}}"));
	ck_assert_uint_gt(mcp_held(s), 0);
	mcp_finish(s, 50, "process ended");
	ck_assert_uint_eq(mcp_held(s), 0);
	ck_assert_str_eq(seen.log, "in int \"sure?\"={\"action\":\"accept\"} 12-15;out tool "
				   "b=\"B\" 11-20;out tool a=\"A\" 10-21;in llm =\"r\" 30-31;"
				   "out tool c= 40-41 cancelled;out tool d= 42-50 process ended;");
	mcp_free(s);
}
END_TEST

START_TEST(waiting_requests_have_a_maximum)
{
	struct conn_info conn = { 0 };
	struct seen seen = { 0 };
	struct mcp_session *s = mcp_new(&conn, on_call, &seen);
	char text[128];

	for (int i = 0; i < 1030; i++) {
		snprintf(text, sizeof(text),
			 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/"
			 "call\",\"params\":{\"name\":\"a\"}}",
			 i);
		feed(s, DIR_OUT, 1, text);
	}
	ck_assert_int_eq(seen.n, 6);
	mcp_free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dialect_mcp");
	TCase *t = tcase_create("mcp");

	tcase_add_test(t, a_tool_over_http);
	tcase_add_test(t, failures_and_others_over_http);
	tcase_add_test(t, pairs_on_a_pipe);
	tcase_add_test(t, waiting_requests_have_a_maximum);
	suite_add_tcase(s, t);
	return run_suite(s);
}
