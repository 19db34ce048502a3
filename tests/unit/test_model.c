/* The model: what is written for a step and a run, and what comes back when it is read. */
#include "trace/model.h"

#include "base/limits.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static struct buf out;

static void setup(void)
{
	arena_init(&arena);
	buf_init(&out, LIMIT_STEP);
}

static void teardown(void)
{
	arena_fini(&arena);
	buf_fini(&out);
}

#define T0 1768991400123456789ll /* 2026-01-21T10:30:00.123456789Z */

static const char *write_step(const struct step *s)
{
	buf_clear(&out);
	ck_assert_int_eq(step_write(s, &out), 0);
	ck_assert_msg(json_valid(buf_span(&out)), "not JSON: %s", buf_text(&out));
	return buf_text(&out);
}

START_TEST(writes_a_whole_step)
{
	struct step s = { .type = STEP_LLM_CALL, .id = SPAN("s\"1"), .parent_id = SPAN("s0"), .began_ns = T0,
			  .metadata = SPAN("{ \"source\": \"tls\" }") };

	s.values[LLM_MODEL] = SPAN("\"m\"");
	s.values[LLM_INPUT] = SPAN("[{\"role\":\"user\",\"content\":\"hi\"}]");
	s.values[LLM_OUTPUT] = SPAN("\"ok\"");
	s.values[LLM_TOKENS_IN] = SPAN("9223372036854775807");
	s.values[LLM_COST] = SPAN("1e-7");
	ck_assert_str_eq(write_step(&s),
		"{\"step_id\":\"s\\\"1\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:00.123Z\","
		"\"parent_step_id\":\"s0\",\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"hi\"}],"
		"\"output\":\"ok\",\"tokens_in\":9223372036854775807,\"cost_estimate\":1e-7,"
		"\"metadata\":{ \"source\": \"tls\" }}");
}
END_TEST

START_TEST(absent_required_values_are_empty_and_named)
{
	struct step s = { .type = STEP_LLM_CALL, .id = SPAN("a"), .began_ns = T0,
			  .metadata = SPAN("{\"pid\":7,\"missing\":[\"output\",\"x\"]}") };

	ck_assert_str_eq(write_step(&s),
		"{\"step_id\":\"a\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:00.123Z\","
		"\"model\":\"unknown\",\"input\":\"\",\"output\":\"\","
		"\"metadata\":{\"pid\":7,\"missing\":[\"output\",\"x\",\"model\",\"input\"]}}");
	s.metadata = SPAN_NONE;
	s.type = STEP_MEMORY_WRITE;
	ck_assert_ptr_nonnull(strstr(write_step(&s), "\"entity_type\":\"\",\"operation\":\"update\",\"data\":{},"
		"\"metadata\":{\"missing\":[\"entity_type\",\"operation\",\"data\"]}}"));
	s.type = STEP_RETRIEVAL;
	ck_assert_ptr_nonnull(strstr(write_step(&s), "\"query\":\"\",\"results\":[],\"match_count\":0,"));
	s.type = STEP_STATE_CHANGE;
	s.values[SC_STATE_KEY] = SPAN("\"k\"");
	s.values[SC_NEW_VALUE] = SPAN("null");
	ck_assert_ptr_nonnull(strstr(write_step(&s), "\"new_value\":null}"));
}
END_TEST

START_TEST(a_step_is_one_line_of_valid_utf8)
{
	static const struct {
		const char *raw, *written;
		bool said;
	} cases[] = {
		{ "{\n \"a\" : [1 ,\t2] ,\r\n\"b c\": \"x y\\n\"}", "{\"a\":[1,2],\"b c\":\"x y\\n\"}", false },
		{ "\"\xff" "a\"", "\"\xef\xbf\xbd" "a\"", true },
		{ "\"\xc3\xa9 \xf0\x9f\x98\x80\"", "\"\xc3\xa9 \xf0\x9f\x98\x80\"", false },
		{ "\"\\ud83d\\ude00 \\u0000\"", "\"\\ud83d\\ude00 \\u0000\"", false },
		{ "\"\\ud83d!\"", "\"\xef\xbf\xbd!\"", true },
		{ "\"\\ude00\\ud83d\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"", true },
		{ "\"\\\\ud83d\"", "\"\\\\ud83d\"", false },
		{ "\"long enough for words of eight bytes \\uD83D and more\"",
		  "\"long enough for words of eight bytes \xef\xbf\xbd and more\"", true },
		{ "-1.50e+400", "-1.50e+400", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct step s = { .type = STEP_FINAL_OUTPUT, .id = SPAN("a"), .began_ns = T0 };
		char want[200];
		s.values[FO_CONTENT] = span_of(cases[i].raw);
		snprintf(want, sizeof(want), "\"content\":%s%s", cases[i].written,
			 cases[i].said ? ",\"metadata\":{\"invalid_utf8\":true}}" : "}");
		ck_assert_msg(strstr(write_step(&s), want), "%zu: %s has no %s", i, buf_text(&out), want);
		ck_assert_ptr_null(memchr(out.p, '\n', out.len));
	}
}
END_TEST

START_TEST(damage_in_the_metadata_is_said_too)
{
	struct step s = { .type = STEP_FINAL_OUTPUT, .id = SPAN("\xfe"), .began_ns = T0,
			  .metadata = SPAN("{\"a\":\"\xfe\"}") };

	s.values[FO_CONTENT] = SPAN("1");
	ck_assert_ptr_nonnull(strstr(write_step(&s), "{\"a\":\"\xef\xbf\xbd\",\"invalid_utf8\":true}"));
}
END_TEST

START_TEST(a_full_buffer_stays_as_it_was)
{
	struct step s = { .type = STEP_USER_INPUT, .id = SPAN("a"), .began_ns = T0 };
	struct buf small;

	buf_init(&small, 60);
	buf_add_text(&small, "before");
	ck_assert_int_eq(step_write(&s, &small), -ENOSPC);
	ck_assert_str_eq(buf_text(&small), "before");
	buf_fini(&small);
}
END_TEST

static int read_text(const char *text, struct step *s, struct problem *why)
{
	struct span raw;

	memset(s, 0, sizeof(*s));
	memset(why, 0, sizeof(*why));
	ck_assert_int_eq(json_value(span_of(text), &raw, NULL), 0);
	return step_read(raw, &arena, s, why);
}

START_TEST(what_is_read_is_written_again)
{
	static const char *const texts[] = {
		"{\"step_id\":\"1\",\"step_type\":\"user_input\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"content\":\"hi\","
		"\"input_type\":\"text\",\"later\":{\"v\":2},\"more\":[1]}",
		"{\"step_id\":\"2\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"parent_step_id\":\"1\","
		"\"model\":\"m\",\"input\":\"i\",\"output\":{\"role\":\"assistant\"},\"tokens_in\":1,\"tokens_out\":2,"
		"\"tokens_total\":3,\"latency_ms\":4,\"cost_estimate\":0.1,\"provider\":\"p\",\"metadata\":{\"k\":1}}",
		"{\"step_id\":\"3\",\"step_type\":\"tool_call\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"tool_name\":\"t\","
		"\"arguments\":{\"n\":9223372036854775807},\"result\":null,\"latency_ms\":4,\"success\":false,\"error\":\"e\","
		"\"resource_impact\":{\"amount\":1,\"unit\":\"u\"}}",
		"{\"step_id\":\"4\",\"step_type\":\"retrieval\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"query\":\"q\","
		"\"results\":[{\"content\":\"c\",\"score\":0.5}],\"match_count\":1,\"latency_ms\":2}",
		"{\"step_id\":\"5\",\"step_type\":\"memory_read\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"query\":{\"a\":1},"
		"\"results\":[1],\"match_count\":1,\"relevance_scores\":[0.5],\"total_available\":9}",
		"{\"step_id\":\"6\",\"step_type\":\"memory_write\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"entity_type\":\"e\","
		"\"operation\":\"add\",\"data\":{},\"entity_id\":\"i\",\"namespace\":[\"a\"],\"key\":\"k\","
		"\"changes\":[{\"path\":\"$.a\",\"new_value\":1}],\"triggered_by_step_id\":\"5\"}",
		"{\"step_id\":\"7\",\"step_type\":\"state_change\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"state_key\":\"k\","
		"\"new_value\":null,\"old_value\":1,\"reason\":\"r\"}",
		"{\"step_id\":\"8\",\"step_type\":\"interrupt\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"prompt\":\"p\","
		"\"response\":\"r\",\"wait_duration_ms\":5}",
		"{\"step_id\":\"9\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"content\":[1],"
		"\"format\":\"json\"}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct step s;
		struct problem why;
		ck_assert_msg(read_text(texts[i], &s, &why) == 0, "%zu: %s %s", i, why.place, why.message);
		ck_assert_int_eq(s.type, i);
		ck_assert_str_eq(write_step(&s), texts[i]);
	}
}
END_TEST

START_TEST(aliases_are_read)
{
	struct step s;
	struct problem why;

	ck_assert_int_eq(read_text("{\"openinference.span.kind\":\"LLM\",\"step_id\":\"1\",\"llm.model_name\":\"gpt\","
		"\"timestamp\":\"2026-01-21T12:30:00+02:00\",\"llm.token_count.prompt\":5,"
		"\"llm.token_count.completion\":6,\"input\":\"i\",\"output\":\"o\",\"provider\":null}", &s, &why), 0);
	ck_assert_str_eq(write_step(&s),
		"{\"step_id\":\"1\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:00.000Z\","
		"\"model\":\"gpt\",\"input\":\"i\",\"output\":\"o\",\"tokens_in\":5,\"tokens_out\":6}");
	ck_assert_int_eq(read_text("{\"step_type\":\"llm_call\",\"step_id\":\"1\",\"model\":\"strict\",\"llm.model_name\":\"gpt\","
		"\"timestamp\":\"2026-01-21T10:30:00Z\",\"input\":\"i\",\"output\":\"o\"}", &s, &why), 0);
	ck_assert(span_is(s.values[LLM_MODEL], "\"strict\""));
	ck_assert_int_eq(read_text("{\"step_type\":\"memory_write\",\"step_id\":\"1\",\"operation\":\"put\","
		"\"timestamp\":\"2026-01-21T10:30:00Z\",\"data\":{}}", &s, &why), 0);
	ck_assert_ptr_nonnull(strstr(write_step(&s), "\"entity_type\":\"\",\"operation\":\"update\",\"data\":{},"
		"\"metadata\":{\"missing\":[\"entity_type\"]}"));
}
END_TEST

START_TEST(what_is_no_step_says_where)
{
	static const struct {
		const char *text, *place;
		int err;
	} cases[] = {
		{ "[]", "", -EINVAL },
		{ "{\"step_id\":\"1\"}", "step_type", -EINVAL },
		{ "{\"step_id\":\"1\",\"step_type\":\"dream\",\"timestamp\":\"2026-01-21T10:30:00Z\"}", "step_type", -ENOTSUP },
		{ "{\"step_id\":1,\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:00Z\"}", "step_id", -EINVAL },
		{ "{\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:00Z\"}", "step_id", -EINVAL },
		{ "{\"step_id\":\"1\",\"step_type\":\"llm_call\"}", "timestamp", -EINVAL },
		{ "{\"step_id\":\"1\",\"step_type\":\"llm_call\",\"timestamp\":\"yesterday\"}", "timestamp", -EINVAL },
		{ "{\"step_id\":\"1\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:00Z\",\"metadata\":[]}",
		  "metadata", -EINVAL },
		{ "{\"step_id\":\"1\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:00Z\",\"parent_step_id\":4}",
		  "parent_step_id", -EINVAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct step s;
		struct problem why;
		ck_assert_int_eq(read_text(cases[i].text, &s, &why), cases[i].err);
		ck_assert_str_eq(why.place, cases[i].place);
		ck_assert_str_ne(why.message, "");
	}
}
END_TEST

START_TEST(a_run_is_written_and_read)
{
	struct run_info r = { .run_id = SPAN("7d5f"), .started_ns = T0, .ended_ns = T0 + 5000000,
			      .agent_info = SPAN("{\"name\":\"a\"}"), .metadata = SPAN("{\"state\":\"completed\"}") };
	struct run_info back = { 0 };
	struct span raw, key, value;
	struct problem why;

	ck_assert_int_eq(run_write_head(&r, &out), 0);
	ck_assert_int_eq(run_write_tail(&out), 0);
	ck_assert_str_eq(buf_text(&out),
		"{\"run_id\":\"7d5f\",\"started_at\":\"2026-01-21T10:30:00.123Z\",\"ended_at\":\"2026-01-21T10:30:00.128Z\","
		"\"agent_info\":{\"name\":\"a\"},\"metadata\":{\"schema\":\"contextforge-trace/1\",\"state\":\"completed\"},\n"
		"\"steps\":[]}\n");
	buf_clear(&out);
	r.ended_ns = T0 - 5000000; /* the clock was set back */
	r.extra = SPAN("\"x\":1");
	ck_assert_int_eq(run_write_line(&r, &out), 0);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "\"ended_at\":\"2026-01-21T10:30:00.123Z\""));
	ck_assert_int_eq(json_value(buf_span(&out), &raw, NULL), 0);
	for (struct json_iter it = json_iter(raw); json_next(&it, &key, &value);)
		ck_assert_int_eq(run_read_member(&back, &arena, key, value, &why), 0);
	ck_assert(span_is(back.run_id, "7d5f"));
	ck_assert(span_is(back.extra, "\"x\":1"));
	ck_assert(span_is(json_get(back.metadata, "schema"), "\"contextforge-trace/1\""));
	ck_assert_int_eq(back.started_ns / 1000000, T0 / 1000000);
	ck_assert_int_eq(run_read_member(&back, &arena, SPAN("\"agent_info\""), SPAN("3"), &why), -EINVAL);
	ck_assert_str_eq(why.place, "agent_info");
}
END_TEST

START_TEST(many_unknown_members_are_kept_in_order)
{
	struct run_info r = { 0 };
	char key[16], want[4000] = "";
	struct problem why;

	for (int i = 0; i < 300; i++) {
		size_t at = strlen(want);
		snprintf(key, sizeof(key), "\"k%d\"", i);
		snprintf(want + at, sizeof(want) - at, "%s%s:%d", at ? "," : "", key, i % 10);
		char digit[2] = { (char)('0' + i % 10) };
		ck_assert_int_eq(run_read_member(&r, &arena, span_of(key), span_of(digit), &why), 0);
	}
	ck_assert_uint_eq(r.extra.len, strlen(want));
	ck_assert(span_is(r.extra, want));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("model");
	TCase *c = tcase_create("model");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, writes_a_whole_step);
	tcase_add_test(c, absent_required_values_are_empty_and_named);
	tcase_add_test(c, a_step_is_one_line_of_valid_utf8);
	tcase_add_test(c, damage_in_the_metadata_is_said_too);
	tcase_add_test(c, a_full_buffer_stays_as_it_was);
	tcase_add_test(c, what_is_read_is_written_again);
	tcase_add_test(c, aliases_are_read);
	tcase_add_test(c, what_is_no_step_says_where);
	tcase_add_test(c, a_run_is_written_and_read);
	tcase_add_test(c, many_unknown_members_are_kept_in_order);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
