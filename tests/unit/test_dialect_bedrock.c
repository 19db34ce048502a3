/* bedrock and cohere: converse, invoke with Anthropic's bodies, the binary event stream, cuts; chat, embed, rerank. */
#include "test_dialect.h"

#include "base/buf.h"
#include "dialect/eventstream.h"

#include <errno.h>
#include <zlib.h>

#define ASK                                                                                  \
	"{\"system\":[{\"text\":\"brief\"}],\"messages\":[{\"role\":\"user\",\"content\":[{" \
	"\"text\":\"hi\"}]}],\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"ls\"}}]}}"
#define USAGE                                                                 \
	"\"usage\":{\"inputTokens\":3,\"outputTokens\":4,\"totalTokens\":17," \
	"\"cacheReadInputTokens\":10}"

static void put32(struct buf *b, uint32_t v)
{
	buf_add(b, (char[]){ (char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v }, 4);
}

static void put_header(struct buf *b, const char *name, const char *value)
{
	buf_add_char(b, (char)strlen(name));
	buf_add_text(b, name);
	buf_add_char(b, 7);
	buf_add(b, (char[]){ 0, (char)strlen(value) }, 2);
	buf_add_text(b, value);
}

/* One event of AWS's framing. */
static void put_event(struct buf *b, const char *message_type, const char *type,
		      const char *payload)
{
	struct buf h;
	size_t at = b->len;

	buf_init(&h, 1024);
	put_header(&h, ":message-type", message_type);
	put_header(&h, strcmp(message_type, "event") ? ":exception-type" : ":event-type", type);
	put32(b, (uint32_t)(16 + h.len + strlen(payload)));
	put32(b, (uint32_t)h.len);
	put32(b, (uint32_t)crc32(0, (const Bytef *)b->p + at, 8));
	buf_add_span(b, buf_span(&h));
	buf_add_text(b, payload);
	put32(b, (uint32_t)crc32(0, (const Bytef *)b->p + at, (uInt)(b->len - at)));
	buf_fini(&h);
}

static void put_stream(struct buf *b)
{
	put_event(b, "event", "messageStart", "{\"role\":\"assistant\"}");
	put_event(b, "event", "contentBlockDelta",
		  "{\"contentBlockIndex\":0,\"delta\":{\"reasoningContent\":{\"text\":\"hm\"}}}");
	put_event(b, "event", "contentBlockDelta",
		  "{\"contentBlockIndex\":1,\"delta\":{\"text\":\"hel\"}}");
	put_event(b, "event", "contentBlockDelta",
		  "{\"contentBlockIndex\":1,\"delta\":{\"text\":\"lo\"}}");
	put_event(b, "event", "contentBlockStart",
		  "{\"contentBlockIndex\":2,\"start\":{\"toolUse\":{\"toolUseId\":\"t1\",\"name\":"
		  "\"ls\"}}}");
	put_event(b, "event", "contentBlockDelta",
		  "{\"contentBlockIndex\":2,\"delta\":{\"toolUse\":{\"input\":\"{\\\"n\\\":"
		  "9223372036\"}}}");
	put_event(b, "event", "contentBlockDelta",
		  "{\"contentBlockIndex\":2,\"delta\":{\"toolUse\":{\"input\":\"854775807}\"}}}");
	put_event(b, "event", "messageStop", "{\"stopReason\":\"tool_use\"}");
	put_event(b, "event", "metadata", "{" USAGE ",\"metrics\":{\"latencyMs\":5}}");
}

static struct fixture *read_stream(const char *path, const char *ask, struct buf *b, size_t cut)
{
	struct fixture *f = fixture_new(path, ask);

	fixture_field(&f->ex.response, "content-type", "application/vnd.amazon.eventstream");
	f->ex.response.body = span_at(b->p, b->len - cut);
	fixture_read(f);
	ck_assert(f->known);
	return f;
}

START_TEST(converse_streamed_is_as_whole)
{
	struct fixture *w = read_whole(
		"/model/us.anthropic.claude%3A0/converse", ASK,
		"{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{"
		"\"reasoningContent\":{\"reasoningText\":{\"text\":\"hm\"}}},{\"text\":\"hello\"},{"
		"\"toolUse\":{\"toolUseId\":\"t1\",\"name\":\"ls\",\"input\":{\"n\":"
		"9223372036854775807}}}]}},\"stopReason\":\"tool_use\"," USAGE "}");
	struct fixture *s;
	struct buf b;

	buf_init(&b, 65536);
	put_stream(&b);
	s = read_stream("/model/us.anthropic.claude%3A0/converse-stream", ASK, &b, 0);
	ck_assert_str_eq(s->call.dialect, "bedrock");
	assert_same_call(&s->call, &w->call);
	assert_span(s->call.model, "us.anthropic.claude:0");
	assert_span(s->call.answer.requests[0].arguments, "{\"n\":9223372036854775807}");
	ck_assert_int_eq(s->call.tokens_in, 13);
	ck_assert_int_eq(s->call.tokens_total, 17);
	ck_assert_uint_eq(s->call.n_messages, 2);
	assert_span(s->call.tools_offered[0], "ls");
	assert_sound(&s->call);
	fixture_free(s);
	/* cut within the last event but one: known is what came before */
	s = read_stream("/model/m/converse-stream", ASK, &b, 200);
	ck_assert(s->call.incomplete);
	assert_span(s->call.answer.text, "hello");
	fixture_free(s);
	b.p[b.len / 2] ^= 1;
	s = read_stream("/model/m/converse-stream", ASK, &b, 0);
	ck_assert(s->call.incomplete);
	fixture_free(s);
	fixture_free(w);
	buf_fini(&b);
}
END_TEST

START_TEST(invoke_carries_anthropic)
{
	/* {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hey"}} */
	static const char delta[] = "{\"bytes\":"
				    "\"eyJ0eXBlIjoiY29udGVudF9ibG9ja19kZWx0YSIsImluZGV4IjowLCJkZWx0"
				    "YSI6eyJ0eXBlIjoidGV4dF9kZWx0YSIsInRleHQiOiJoZXkifX0=\"}";
	/* {"type":"message_stop"} */
	static const char stop[] = "{\"bytes\":\"eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=\"}";
	static const char ask[] = "{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":5,"
				  "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
	struct fixture *f;
	struct buf b;

	buf_init(&b, 65536);
	put_event(&b, "event", "chunk", delta);
	put_event(&b, "event", "chunk", stop);
	f = read_stream("/model/anthropic.c/invoke-with-response-stream", ask, &b, 0);
	assert_span(f->call.output, "\"hey\"");
	assert_span(f->call.model, "anthropic.c");
	assert_span(f->call.messages[0].text, "hi");
	ck_assert(!f->call.incomplete);
	fixture_free(f);
	put_event(&b, "exception", "throttlingException", "{\"message\":\"slow\"}");
	f = read_stream("/model/anthropic.c/invoke-with-response-stream", ask, &b, 0);
	assert_span(f->call.error.type, "throttlingException");
	assert_span(f->call.error.message, "slow");
	fixture_free(f);
	buf_fini(&b);
	f = read_whole("/model/meta.llama/invoke", "{\"prompt\":\"say\"}",
		       "{\"generation\":\"hey\",\"stop_reason\":\"stop\"}");
	assert_span(f->call.output, "\"hey\"");
	assert_span(f->call.finish_reason, "stop");
	fixture_free(f);
}
END_TEST

START_TEST(base64_is_decoded)
{
	struct arena a;

	arena_init(&a);
	assert_span(base64_decode(&a, SPAN("aGV5")), "hey");
	assert_span(base64_decode(&a, SPAN("aGU=")), "he");
	ck_assert(!base64_decode(&a, SPAN("a*b")).p);
	arena_fini(&a);
}
END_TEST

START_TEST(cohere_chat_embed_rerank)
{
	struct fixture *w = read_whole(
		"/v2/chat",
		"{\"model\":\"command\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		"{\"id\":\"c1\",\"finish_reason\":\"TOOL_CALL\",\"message\":{\"role\":"
		"\"assistant\",\"tool_plan\":\"I "
		"will\",\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":{"
		"\"name\":\"ls\",\"arguments\":\"{\\\"n\\\":1e-7}\"}}],\"content\":[{\"type\":"
		"\"text\",\"text\":\"ok\"}]},\"usage\":{\"tokens\":{\"input_tokens\":5.0,\"output_"
		"tokens\":6}}}");
	struct fixture *s = read_events(
		"/v2/chat",
		"{\"model\":\"command\",\"stream\":true,\"messages\":[{\"role\":\"user\","
		"\"content\":\"hi\"}]}",
		"{\"id\":\"c1\",\"type\":\"message-start\",\"delta\":{\"message\":{\"role\":"
		"\"assistant\"}}}\n"
		"{\"type\":\"tool-plan-delta\",\"delta\":{\"message\":{\"tool_plan\":\"I "
		"will\"}}}\n"
		"{\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{"
		"\"text\":\"ok\"}}}}\n"
		"{\"type\":\"tool-call-start\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{"
		"\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"ls\",\"arguments\":"
		"\"\"}}}}}\n"
		"{\"type\":\"tool-call-delta\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{"
		"\"function\":{\"arguments\":\"{\\\"n\\\":1e-7}\"}}}}}\n"
		"{\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TOOL_CALL\",\"usage\":{"
		"\"tokens\":{\"input_tokens\":5.0,\"output_tokens\":6}}}}");

	ck_assert_str_eq(s->call.dialect, "cohere");
	assert_same_call(&s->call, &w->call);
	assert_span(s->call.answer.requests[0].arguments, "{\"n\":1e-7}");
	ck_assert_int_eq(s->call.tokens_total, 11);
	fixture_free(w);
	fixture_free(s);
	w = read_whole("/v2/rerank",
		       "{\"model\":\"r\",\"query\":\"q\",\"documents\":[\"a\",\"b\"]}",
		       "{\"results\":[{\"index\":1,\"relevance_score\":0.9},{\"index\":7,"
		       "\"relevance_score\":0.1}]}");
	ck_assert_int_eq(w->call.kind, CALL_RETRIEVAL);
	assert_span(w->call.results, "[{\"content\":\"b\",\"score\":0.9}]");
	fixture_free(w);
	w = read_whole("/v2/embed", "{\"model\":\"e\",\"input_type\":\"x\",\"texts\":[\"a\"]}",
		       "{\"embeddings\":{\"float\":[[1,2]]}}");
	assert_span(w->call.output, "{\"embeddings\":1,\"dimensions\":2}");
	fixture_free(w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dialect_bedrock");
	TCase *t = tcase_create("bedrock");

	tcase_add_test(t, converse_streamed_is_as_whole);
	tcase_add_test(t, invoke_carries_anthropic);
	tcase_add_test(t, base64_is_decoded);
	tcase_add_test(t, cohere_chat_embed_rerank);
	suite_add_tcase(s, t);
	return run_suite(s);
}
