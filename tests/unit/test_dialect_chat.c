/* openai.chat: requests, whole and streamed answers, the habits of compatible servers, errors and cuts. */
#include "test_dialect.h"

#define PATH "/v1/chat/completions"
#define ASK "{\"model\":\"gpt-x\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define ASK_STREAM                                                                           \
	"{\"model\":\"gpt-x\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":" \
	"\"hi\"}]}"

START_TEST(reads_a_plain_answer)
{
	struct fixture *f =
		fixture_new(PATH, "{\"model\":\"gpt-x\",\"temperature\":0.5,\"messages\":["
				  "{\"role\":\"developer\",\"content\":\"be "
				  "brief\"},{\"role\":\"user\",\"content\":\"hi \\ud83d\\ude00\"}],"
				  "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"ls\"}"
				  "},{\"type\":\"custom\",\"custom\":{\"name\":\"patch\"}}]}");
	struct call *c = &f->call;

	fixture_field(&f->ex.response, "X-Request-Id", "req_1");
	f->ex.response.body = SPAN("{\"id\":\"chatcmpl-1\",\"model\":\"gpt-x-2026\",\"choices\":[{"
				   "\"index\":0,\"message\":{\"role\":"
				   "\"assistant\",\"content\":\"hello\",\"refusal\":null},\"finish_"
				   "reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,"
				   "\"completion_tokens\":5,\"total_tokens\":17,\"prompt_tokens_"
				   "details\":{\"cached_tokens\":8},"
				   "\"completion_tokens_details\":{\"reasoning_tokens\":3}},"
				   "\"system_fingerprint\":\"fp_1\"}");
	fixture_read(f);
	ck_assert(f->known);
	ck_assert_str_eq(c->dialect, "openai.chat");
	assert_span(c->provider, "openai");
	assert_span(c->model_requested, "gpt-x");
	assert_span(c->model, "gpt-x-2026");
	assert_span(c->response_id, "chatcmpl-1");
	assert_span(c->request_id, "req_1");
	assert_span(c->output, "\"hello\"");
	assert_span(c->answer.json, "{\"role\":\"assistant\",\"content\":\"hello\"}");
	assert_span(c->finish_reason, "stop");
	ck_assert_uint_eq(c->n_messages, 2);
	assert_span(c->messages[0].json, "{\"role\":\"system\",\"content\":\"be brief\"}");
	assert_span(c->messages[1].text, "hi \xf0\x9f\x98\x80");
	ck_assert(c->messages[1].has_user_content && !c->messages[0].has_user_content);
	ck_assert_uint_eq(c->n_tools_offered, 2);
	assert_span(c->tools_offered[1], "patch");
	ck_assert_int_eq(c->tokens_in, 12);
	ck_assert_int_eq(c->tokens_out, 5);
	ck_assert_int_eq(c->tokens_total, 17);
	ck_assert_int_eq(c->tokens_cached, 8);
	ck_assert_int_eq(c->tokens_reasoning, 3);
	ck_assert_int_eq(c->tokens_cache_write, TOKENS_UNKNOWN);
	ck_assert(c->cost < 0 && !c->stream && !c->incomplete && !c->error.type.p);
	ck_assert_uint_eq(c->began_ns, 1000);
	ck_assert_uint_eq(c->ended_ns, 9000);
	ck_assert_uint_eq(c->first_token_ns, 0);
	assert_span(json_path(c->metadata, "params.temperature"), "0.5");
	assert_span(json_path(c->metadata, "system_fingerprint"), "\"fp_1\"");
	assert_sound(c);
	fixture_free(f);
}
END_TEST

/* The same answer whole and in pieces. */
static const struct {
	const char *name, *whole, *events;
} pairs[] = {
	{ "text",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	  "\"assistant\",\"content\":\"a\\u00e9b\\\"c\\n\"},"
	  "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,"
	  "\"total_tokens\":3}}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
	  "\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n"
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
	  "\"a\\u00e9\"}}]}\n"
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
	  "\"b\\\"c\\n\"}}],\"obfuscation\":\"xx\"}\n"
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
	  "\"stop\"}]}\n"
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,"
	  "\"completion_tokens\":2,\"total_tokens\":3}}\n[DONE]" },
	{ "parallel tools",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	  "\"assistant\",\"content\":null,\"tool_calls\":["
	  "{\"id\":\"call_a\",\"type\":\"function\",\"function\":{\"name\":\"ls\",\"arguments\":\"{"
	  "\\\"p\\\": 9223372036854775807}\"}},"
	  "{\"id\":\"call_b\",\"type\":\"custom\",\"custom\":{\"name\":\"patch\",\"input\":\"{}\"}}"
	  "]},\"finish_reason\":\"tool_calls\"}]}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
	  "\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"call_a\",\"type\":"
	  "\"function\",\"function\":{\"name\":\"ls\",\"arguments\":\"\"}}]}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"call_b\","
	  "\"type\":\"custom\",\"custom\":{\"name\":\"patch\",\"input\":\"{\"}}]}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
	  "\"arguments\":\"{\\\"p\\\": 92233\"}}]}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
	  "\"arguments\":\"72036854775807}\"}},{\"index\":1,\"custom\":{\"input\":\"}\"}}]}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n[DONE]" },
	{ "reasoning then text, split surrogate",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	  "\"assistant\",\"reasoning_content\":\"let "
	  "me\",\"content\":\"\\ud83d\\ude00\"},\"finish_reason\":\"stop\"}]}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_"
	  "content\":\"let \"}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"me\",\"content\":null}}]}"
	  "\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ud83d\"}}]}\n{\"choices\":[{"
	  "\"index\":0,\"delta\":{\"content\":\"\\ude00\"}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}" },
	{ "mistral: arrays, thinking, arguments as an object, no index",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	  "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\","
	  "\"text\":\"hmm\"}]},{\"type\":\"text\",\"text\":\"yes\"}],"
	  "\"tool_calls\":[{\"id\":\"t1\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1e-7,"
	  "\"a\":2}}},{\"id\":\"t2\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
	  "\"finish_reason\":\"tool_calls\"}]}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
	  "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\","
	  "\"text\":\"hm\"}]}]}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":["
	  "{\"type\":\"text\",\"text\":\"m\"}]},{\"type\":\"text\",\"text\":\"y\"}]}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"es\"}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"t1\",\"function\":{"
	  "\"name\":\"f\",\"arguments\":{\"a\":1e-7,\"a\":2}}},{\"id\":\"t2\",\"function\":{"
	  "\"name\":\"g\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}" },
	{ "whole calls that all have index 0",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"tool_calls\":[{"
	  "\"id\":\"x\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"y\","
	  "\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}]},\"finish_reason\":\"stop\"}]}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{"
	  "\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"y\","
	  "\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}]},\"finish_reason\":\"stop\"}]}" },
	{ "legacy function_call",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	  "\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\",\"arguments\":\"not "
	  "json\"}},\"finish_reason\":\"function_call\"}]}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"function_call\":{"
	  "\"name\":\"f\",\"arguments\":\"not\"}}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"function_call\":{\"arguments\":\" "
	  "json\"}},\"finish_reason\":\"function_call\"}]}" },
	{ "refusal",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	  "\"assistant\",\"content\":null,\"refusal\":\"I will "
	  "not\"},\"finish_reason\":\"stop\"}]}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"I "
	  "will\"}}]}\n{\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\" "
	  "not\"},\"finish_reason\":\"stop\"}]}" },
	{ "groq: usage beside, executed tools",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	  "\"assistant\",\"content\":\"ok\",\"reasoning\":\"r\",\"executed_tools\":[{\"index\":0,"
	  "\"type\":\"search\",\"arguments\":\"{\\\"q\\\":1}\",\"output\":\"found\"}]},\"finish_"
	  "reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":6,\"total_"
	  "tokens\":10}}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"r\","
	  "\"executed_tools\":[{\"index\":0,\"type\":\"search\",\"arguments\":\"{\\\"q\\\":1}\"}]}}"
	  "]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ok\",\"executed_tools\":[{\"index\":"
	  "0,\"type\":\"search\",\"output\":\"found\"}]}}]}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{"
	  "\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":6,\"total_tokens\":10}}}\n[DONE]" },
	{ "two choices, interleaved; usage on every chunk",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"content\":"
	  "\"aa\"},\"finish_reason\":\"stop\"},{\"index\":1,\"message\":{\"content\":\"bb\"},"
	  "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":4,"
	  "\"total_tokens\":5}}",
	  "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}}]"
	  ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":"
	  "1,\"completion_tokens\":2,\"total_tokens\":3}}\n"
	  "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"}]}"
	  "\n"
	  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],"
	  "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":4,\"total_tokens\":5}}\n[DONE]" },
};

START_TEST(streamed_is_as_whole)
{
	struct fixture *w = read_whole(PATH, ASK, pairs[_i].whole),
		       *s = read_events(PATH, ASK_STREAM, pairs[_i].events);

	assert_same_call(&s->call, &w->call);
	ck_assert(s->call.answer.json.p && s->call.output.p);
	ck_assert(s->call.stream && !w->call.stream);
	ck_assert_uint_ge(s->call.first_token_ns, 3000);
	ck_assert(!s->call.incomplete);
	assert_sound(&s->call);
	assert_sound(&w->call);
	fixture_free(w);
	fixture_free(s);
}
END_TEST

START_TEST(contents_are_right)
{
	struct fixture *f = read_events(PATH, ASK_STREAM, pairs[1].events);
	assert_span(f->call.answer.requests[0].arguments, "{\"p\": 9223372036854775807}");
	assert_span(f->call.answer.requests[1].arguments, "\"{}\"");
	assert_span(f->call.output,
		    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"call_"
		    "a\",\"name\":\"ls\",\"arguments\":"
		    "{\"p\": "
		    "9223372036854775807}},{\"type\":\"tool_call\",\"id\":\"call_b\",\"name\":"
		    "\"patch\",\"arguments\":\"{}\"}],\"finish_reason\":\"tool_calls\"}");
	fixture_free(f);
	f = read_events(PATH, ASK_STREAM, pairs[3].events);
	assert_span(f->call.answer.requests[0].arguments, "{\"a\":1e-7,\"a\":2}");
	assert_span(f->call.answer.text, "yes");
	assert_span(json_path(f->call.output, "content[0].text"), "\"hmm\"");
	fixture_free(f);
	f = read_events(PATH, ASK_STREAM, pairs[4].events);
	ck_assert_uint_eq(f->call.answer.n_requests, 2);
	fixture_free(f);
	f = read_events(PATH, ASK_STREAM, pairs[5].events);
	assert_span(f->call.answer.requests[0].arguments, "\"not json\"");
	ck_assert(!f->call.answer.requests[0].id.p);
	fixture_free(f);
	f = read_events(PATH, ASK_STREAM, pairs[6].events);
	ck_assert(f->call.refusal);
	assert_span(f->call.output, "\"I will not\"");
	fixture_free(f);
	f = read_events(PATH, ASK_STREAM, pairs[7].events);
	ck_assert(f->call.answer.requests[0].server_side);
	assert_span(f->call.answer.requests[0].result, "\"found\"");
	ck_assert_int_eq(f->call.tokens_total, 10);
	fixture_free(f);
	f = read_events(PATH, ASK_STREAM, pairs[8].events);
	assert_span(f->call.answer.text, "aa");
	assert_span(json_path(f->call.metadata, "other_choices[0].content"), "\"bb\"");
	ck_assert_int_eq(f->call.tokens_out, 4);
	fixture_free(f);
}
END_TEST

START_TEST(history_has_the_hash_of_the_answer)
{
	struct fixture *a = read_events(PATH, ASK_STREAM, pairs[1].events);
	struct fixture *b = read_whole(
		PATH,
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
		"\"text\":\"hi\",\"cache_control\":{\"type\":\"ephemeral\"}}]},"
		"{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call_a\","
		"\"type\":\"function\",\"function\":{\"name\":\"ls\",\"arguments\":\"{\\\"p\\\":"
		"9223372036854775807}\"}},"
		"{\"id\":\"call_b\",\"type\":\"custom\",\"custom\":{\"name\":\"patch\",\"input\":"
		"\"{}\"}}]},"
		"{\"role\":\"tool\",\"tool_call_id\":\"call_a\",\"content\":\"a\\u0000b\"},"
		"{\"role\":\"tool\",\"tool_call_id\":\"call_b\",\"content\":[{\"type\":\"text\","
		"\"text\":\"x\"},{\"type\":\"text\",\"text\":\"y\"}]}]}",
		"{}");
	struct message *m = b->call.messages;

	ck_assert_uint_eq(b->call.n_messages, 4);
	ck_assert_uint_eq(m[0].hash, a->call.messages[0].hash);
	ck_assert_uint_eq(m[1].hash, a->call.answer.hash);
	ck_assert_uint_ne(m[0].hash, m[1].hash);
	ck_assert_uint_ne(m[2].hash, m[3].hash);
	ck_assert_int_eq(m[2].role, ROLE_TOOL);
	assert_span(m[2].results[0].id, "call_a");
	assert_span(m[2].results[0].result, "\"a\\u0000b\"");
	assert_span(m[3].results[0].result, "\"x\\ny\"");
	assert_span(m[2].json, "{\"role\":\"tool\",\"content\":[{\"type\":\"tool_result\",\"id\":"
			       "\"call_a\",\"content\":\"a\\u0000b\"}]}");
	ck_assert(!b->call.answer.json.p && !b->call.output.p);
	fixture_free(a);
	fixture_free(b);
}
END_TEST

START_TEST(images_and_unknown_parts_are_kept)
{
	struct fixture *f = read_whole(PATH,
				       "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
				       "\"text\",\"text\":\"see\"},"
				       "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:x\"}}"
				       ",{\"type\":\"odd\",\"n\":1E400}]}]}",
				       "{}");
	assert_span(f->call.messages[0].parts,
		    "[{\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image\",\"image_url\":{"
		    "\"url\":\"data:x\"}},"
		    "{\"type\":\"other\",\"value\":{\"type\":\"odd\",\"n\":1E400}}]");
	assert_span(f->call.messages[0].text, "see");
	ck_assert(!f->call.model.p);
	fixture_free(f);
}
END_TEST

START_TEST(errors_are_calls)
{
	struct fixture *f = fixture_new(PATH, ASK);
	f->ex.status = 429;
	f->ex.response.body = SPAN("{\"error\":{\"message\":\"slow "
				   "down\",\"type\":\"rate_limit_exceeded\",\"code\":null}}");
	fixture_read(f);
	assert_span(f->call.error.type, "rate_limit_exceeded");
	assert_span(f->call.error.message, "slow down");
	ck_assert_int_eq(f->call.error.status, 429);
	ck_assert(!f->call.output.p && !f->call.answer.json.p);
	fixture_free(f);

	f = fixture_new(PATH, ASK);
	f->ex.status = 502;
	f->ex.response.body = SPAN("<html>bad gateway");
	fixture_read(f);
	assert_span(f->call.error.type, "http_502");
	fixture_free(f);

	f = read_events(
		PATH, ASK_STREAM,
		"{\"id\":\"g\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"par\"}}]}\n"
		"{\"id\":\"g\",\"error\":{\"code\":502,\"message\":\"upstream "
		"died\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":"
		"\"error\"}]}");
	assert_span(f->call.error.message, "upstream died");
	ck_assert_int_eq(f->call.error.status, 502);
	assert_span(f->call.output, "\"par\"");
	fixture_free(f);
}
END_TEST

START_TEST(cut_exchanges_give_what_is_known)
{
	struct fixture *f = fixture_new(PATH, ASK_STREAM);
	fixture_events(f, "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{"
			  "\"content\":\"half\"}}]}");
	f->ex.cut = "connection closed";
	f->ex.response.complete = false;
	f->ex.response.ended_ns = 0;
	fixture_read(f);
	ck_assert(f->call.incomplete);
	ck_assert_str_eq(f->call.reason, "connection closed");
	assert_span(f->call.output, "\"half\"");
	ck_assert_uint_eq(f->call.ended_ns, 3000);
	ck_assert(!f->call.finish_reason.p);
	fixture_free(f);

	/* server ended without an end */
	f = read_events(PATH, ASK_STREAM,
			"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}");
	ck_assert(f->call.incomplete);
	fixture_free(f);

	/* a request body longer than kept: whole messages and the text so far */
	f = fixture_new(PATH, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
			      "\"one\"},{\"role\":\"user\",\"content\":\"tw\\u00");
	f->ex.request.truncated = true;
	f->ex.request.missing = 77;
	f->ex.cut = "gap";
	fixture_read(f);
	ck_assert_uint_eq(f->call.n_messages, 2);
	assert_span(f->call.messages[1].text, "tw");
	assert_span(f->call.model_requested, "m");
	ck_assert_uint_eq(f->call.missing_bytes, 77);
	assert_sound(&f->call);
	fixture_free(f);

	/* cut within an id: a part of an id is none */
	f = fixture_new(PATH, "{\"model\":\"gpt-4o-mi");
	fixture_read(f);
	ck_assert(!f->call.model.p && f->call.incomplete);
	fixture_free(f);
}
END_TEST

/* Clients close at the last event, before the last chunk and the end of the gzip stream have come. */
START_TEST(a_stream_read_to_its_end_is_whole)
{
	static const struct {
		const char *path, *events;
	} rows[] = {
		{ "/v1/chat/completions", "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,"
					  "\"delta\":{\"content\":\"a\"},"
					  "\"finish_reason\":\"stop\"}]}\n[DONE]\n" },
		{ "/v1/responses", "{\"type\":\"response.completed\",\"response\":{\"id\":\"r\","
				   "\"model\":\"m\",\"status\":\"completed\","
				   "\"output\":[]}}\n" },
		{ "/v1/messages", "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":"
				  "\"m\",\"role\":\"assistant\","
				  "\"content\":[]}}\n{\"type\":\"message_stop\"}\n" },
		{ "/v1/chat/completions",
		  "{\"error\":{\"message\":\"broke off\",\"type\":\"server_error\"}}\n" },
		{ "/v1/messages", "{\"type\":\"error\",\"error\":{\"message\":\"broke "
				  "off\",\"type\":\"overloaded_error\"}}\n" },
	};
	const char *body = "{\"model\":\"m\",\"max_tokens\":1,\"stream\":true,\"input\":\"x\"}";

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct fixture *f = fixture_new(
			rows[i].path, i == 1 ? body
					     : "{\"model\":\"m\",\"max_tokens\":1,\"stream\":true,"
					       "\"messages\":[]}");
		fixture_events(f, rows[i].events);
		f->ex.cut = "connection closed";
		f->ex.response.complete = false;
		struct call *c = fixture_read(f);
		ck_assert_msg(!c->incomplete && !c->reason, "%zu: %s", i, c->reason);
		fixture_free(f);
		/* The same with a hole, or with half a request, is not. */
		for (int k = 0; k < 2; k++) {
			f = fixture_new(
				rows[i].path,
				i == 1 ? body
				       : "{\"model\":\"m\",\"max_tokens\":1,\"stream\":true,"
					 "\"messages\":[]}");
			fixture_events(f, rows[i].events);
			f->ex.cut = "connection closed";
			f->ex.response.missing = k ? 0 : 5;
			f->ex.request.complete = !k;
			ck_assert(fixture_read(f)->incomplete);
			fixture_free(f);
		}
	}
}
END_TEST

START_TEST(unseen_request_is_known_by_its_answer)
{
	struct fixture *f = fixture_new("", "");
	f->ex.method = SPAN("");
	fixture_events(
		f,
		"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{"
		"\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}");
	f->ex.cut = "joined late";
	fixture_read(f);
	ck_assert(f->known);
	assert_span(f->call.output, "\"x\"");
	fixture_free(f);
}
END_TEST

START_TEST(lone_surrogates_and_bad_utf8_become_text)
{
	struct fixture *f = read_whole(
		PATH,
		"{\"messages\":[{\"role\":\"user\",\"content\":\"a\\ud83dz\\\\ud83d\xff!\"}]}",
		"{}");
	assert_span(f->call.messages[0].json,
		    "{\"role\":\"user\",\"content\":\"a\\ufffdz\\\\ud83d\xef\xbf\xbd!\"}");
	ck_assert(f->call.replaced_utf8);
	fixture_free(f);
}
END_TEST

START_TEST(path_and_body_choose_not_the_host)
{
	static const struct {
		const char *path, *body, *host;
		bool known;
		const char *provider, *model;
	} rows[] = {
		{ "/openai/deployments/my-gpt/chat/completions?api-version=1", "{\"messages\":[]}",
		  "r.openai.azure.com", true, "azure", "my-gpt" },
		{ "/api/v1/chat/completions", ASK, "openrouter.ai:443", true, "openrouter",
		  "gpt-x" },
		{ "/v1/agents/completions", ASK, "api.mistral.ai", true, "mistral", "gpt-x" },
		{ "/v1/files", "{\"messages\":[]}", "api.openai.com", false, NULL, NULL },
		{ "/", "", "api.openai.com", false, NULL, NULL },
	};
	struct fixture *f = fixture_new(rows[_i].path, rows[_i].body);

	f->ex.authority = span_of(rows[_i].host);
	f->ex.response.body = SPAN("{}");
	fixture_read(f);
	ck_assert_int_eq(f->known, rows[_i].known);
	if (f->known) {
		assert_span(f->call.provider, rows[_i].provider);
		assert_span(f->call.model, rows[_i].model);
	}
	fixture_free(f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dialect_chat");
	TCase *t = tcase_create("chat");

	tcase_add_test(t, reads_a_plain_answer);
	tcase_add_loop_test(t, streamed_is_as_whole, 0, sizeof(pairs) / sizeof(*pairs));
	tcase_add_test(t, contents_are_right);
	tcase_add_test(t, history_has_the_hash_of_the_answer);
	tcase_add_test(t, images_and_unknown_parts_are_kept);
	tcase_add_test(t, errors_are_calls);
	tcase_add_test(t, cut_exchanges_give_what_is_known);
	tcase_add_test(t, a_stream_read_to_its_end_is_whole);
	tcase_add_test(t, unseen_request_is_known_by_its_answer);
	tcase_add_test(t, lone_surrogates_and_bad_utf8_become_text);
	tcase_add_loop_test(t, path_and_body_choose_not_the_host, 0, 5);
	suite_add_tcase(s, t);
	return run_suite(s);
}
