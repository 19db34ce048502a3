/* Conversations become runs of steps: inputs, calls, tools, outputs, with parents and times. */
#include "assemble_world.h"

static struct world w;

static void setup(void)
{
	w = (struct world){ 0 };
	world_init(&w);
}

static void teardown(void)
{
	world_fini(&w);
}

#define STEP(i, path) world_at(&w, world_step(&w, 0, i), path)
#define END(run, path) world_at(&w, w.runs[run]->ended, path)

START_TEST(one_question)
{
	TALK(&w, .at = 1000, .took = 250, .in = { SYS("be kind"), USER("hello there") }, .out = ASST("hi"), .usage = true,
	     .tokens_in = 12, .tokens_out = 3, .id = "chatcmpl-1");
	world_finish(&w, 2000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2)");
	ck_assert_str_eq(STEP(0, "content"), "\"hello there\"");
	ck_assert_str_eq(STEP(0, "timestamp"), "\"2026-01-21T10:30:01.000Z\"");
	ck_assert_str_eq(STEP(0, "metadata.channel"), "\"api\"");
	ck_assert_str_eq(STEP(1, "input"),
			 "[{\"role\":\"system\",\"content\":\"be kind\"},{\"role\":\"user\",\"content\":\"hello there\"}]");
	ck_assert_str_eq(STEP(1, "output"), "\"hi\"");
	ck_assert_str_eq(STEP(1, "model"), "\"m-1\"");
	ck_assert_str_eq(STEP(1, "latency_ms"), "250");
	ck_assert_str_eq(STEP(1, "tokens_in"), "12");
	ck_assert_str_eq(STEP(1, "tokens_total"), "15");
	ck_assert_str_eq(STEP(1, "cost_estimate"), "");
	ck_assert_str_eq(STEP(1, "metadata.source"), "\"tls\"");
	ck_assert_str_eq(STEP(1, "metadata.http.path"), "\"/v1/chat/completions?key=[REDACTED]&x=2\"");
	ck_assert_str_eq(STEP(1, "metadata.response_id"), "\"chatcmpl-1\"");
	ck_assert_str_eq(STEP(2, "content"), "\"hi\"");
	ck_assert_str_eq(STEP(2, "timestamp"), "\"2026-01-21T10:30:01.250Z\"");
	ck_assert_str_eq(END(0, "metadata.state"), "\"completed\"");
	ck_assert_str_eq(END(0, "metadata.totals.tokens_in"), "12");
	ck_assert_str_eq(END(0, "task_info.description"), "\"hello there\"");
}
END_TEST

/* The world's system prompt and question, then two tools at once. */
#define ASKED SYS("be kind"), USER("weather and time?")
#define TWO_TOOLS ASK({ "c1", "weather", "{\"city\":\"Oslo\",\"n\":9223372036854775807}" }, { "c2", "clock", "\"no object\"" })

START_TEST(parallel_tools)
{
	TALK(&w, .at = 1000, .took = 100, .in = { ASKED }, .out = TWO_TOOLS);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) tool_call(s2)");
	ck_assert_str_eq(STEP(2, "metadata.incomplete"), "true");
	ck_assert_str_eq(STEP(2, "success"), "");
	TALK(&w, .at = 1300, .in = { ASKED, TWO_TOOLS, GOT({ "c2", "\"12:00\"", "error" }), GOT({ "c1", "{\"t\":1e-7}" }) },
	     .out = ASST("done"));
	world_finish(&w, 2000, "agent exited");
	ck_assert_uint_eq(w.n_again, 2);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) tool_call(s2) llm_call final_output(s5)");
	ck_assert_str_eq(STEP(2, "tool_name"), "\"weather\"");
	ck_assert_str_eq(STEP(2, "arguments"), "{\"city\":\"Oslo\",\"n\":9223372036854775807}");
	ck_assert_str_eq(STEP(2, "result"), "{\"t\":1e-7}");
	ck_assert_str_eq(STEP(2, "success"), "true");
	ck_assert_str_eq(STEP(2, "latency_ms"), "200");
	ck_assert_str_eq(STEP(2, "timestamp"), "\"2026-01-21T10:30:01.100Z\"");
	ck_assert_str_eq(STEP(2, "metadata.call_id"), "\"c1\"");
	ck_assert_str_eq(STEP(2, "metadata.requested_by"), "\"s2\"");
	ck_assert_str_eq(STEP(2, "metadata.incomplete"), "");
	ck_assert_str_eq(STEP(3, "arguments"), "{\"value\":\"no object\"}");
	ck_assert_str_eq(STEP(3, "success"), "false");
	ck_assert_str_eq(STEP(3, "error"), "\"12:00\"");
}
END_TEST

START_TEST(each_new_user_message_is_an_input)
{
	TALK(&w, .at = 1000, .in = { USER("first") }, .out = ASST("one"));
	TALK(&w, .at = 2000, .in = { USER("first"), ASST("one"), USER("second") }, .out = ASST("two"));
	TALK(&w, .at = 3000, .in = { USER("first"), ASST("one"), USER("second"), ASST("two "), USER("third") },
	     .out = ASST("three"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2) user_input llm_call final_output(s5) "
					     "user_input llm_call final_output(s8)");
	ck_assert_str_eq(STEP(6, "content"), "\"third\"");
}
END_TEST

START_TEST(history_before_we_came_is_no_input)
{
	TALK(&w, .at = 1000, .in = { USER("old"), ASST("old answer"), USER("new") }, .out = ASST("x"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2)");
	ck_assert_str_eq(STEP(0, "content"), "\"new\"");
}
END_TEST

START_TEST(separate_conversations_are_separate_runs)
{
	TALK(&w, .at = 1000, .in = { SYS("same"), USER("what is the height of Everest?") }, .out = ASST("8849 m"));
	TALK(&w, .at = 2000, .in = { SYS("same"), USER("write me a haiku please") }, .out = ASST("..."));
	TALK(&w, .at = 3000, .in = { SYS("same"), USER("what is the height of Everest?"), ASST("8849 m"), USER("and K2?") },
	     .out = ASST("8611 m"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 2);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2) user_input llm_call final_output(s5)");
	ck_assert_str_eq(world_shape(&w, 1), "user_input llm_call final_output(s2)");
	ck_assert_str_ne(END(0, "run_id"), END(1, "run_id"));
}
END_TEST

START_TEST(a_program_started_before_our_eyes_is_one_run)
{
	world_exec(&w, 500, 100, "/usr/bin/python3", "python3|crew/job.py");
	TALK(&w, .at = 1000, .in = { USER("summarise the first document") }, .out = ASST("short"));
	TALK(&w, .at = 2000, .in = { USER("summarise another document") }, .out = ASST("brief"));
	world_exit(&w, 2500, 100, 0, 0);
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2) user_input llm_call final_output(s5)");
	ck_assert_str_eq(END(0, "started_at"), "\"2026-01-21T10:30:00.500Z\"");
	ck_assert_str_eq(END(0, "ended_at"), "\"2026-01-21T10:30:02.500Z\"");
	ck_assert_str_eq(END(0, "agent_info.name"), "\"job\"");
	ck_assert_str_eq(STEP(4, "metadata.conversation"), "1");
}
END_TEST

START_TEST(a_crew_is_one_run)
{
	TALK(&w, .at = 1000, .in = { SYS("you research"), USER("find facts about llamas") },
	     .out = ASST("Thought: I can answer\nFinal Answer: llamas are camelids of the Andes"));
	TALK(&w, .at = 2000, .in = { SYS("you write"), USER("write a text.\nContext:\nllamas are camelids of the Andes\n") },
	     .out = ASST("Once upon a time"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
}
END_TEST

START_TEST(sub_agent_in_an_open_tool_call)
{
	TALK(&w, .at = 1000, .in = { SYS("main"), USER("do it all") },
	     .out = ASK({ "c1", "task", "{\"prompt\":\"look for the culprit in the logs\"}" }));
	TALK(&w, .at = 1200, .in = { SYS("sub"), USER("look for the culprit in the logs") }, .out = ASST("it was the cache"));
	TALK(&w, .at = 1500, .in = { SYS("main"), USER("do it all"),
	     ASK({ "c1", "task", "{\"prompt\":\"look for the culprit in the logs\"}" }), GOT({ "c1", "\"it was the cache\"" }) },
	     .out = ASST("fixed"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) user_input(s3) llm_call(s3) final_output(s5) "
					     "llm_call final_output(s7)");
	ck_assert_str_eq(STEP(2, "success"), "true");
	ck_assert_str_eq(STEP(2, "latency_ms"), "400");
}
END_TEST

START_TEST(a_retry_names_the_failed_call)
{
	TALK(&w, .at = 1000, .in = { USER("hello") }, .status = 529, .error = "overloaded");
	TALK(&w, .at = 1500, .in = { USER("hello") }, .status = 500, .error = "again");
	TALK(&w, .at = 2000, .in = { USER("hello") }, .out = ASST("hi"));
	TALK(&w, .at = 2500, .in = { USER("hello") }, .out = ASST("hi"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call llm_call llm_call final_output(s4) llm_call final_output(s6)");
	ck_assert_str_eq(STEP(1, "metadata.error"), "{\"type\":\"some_error\",\"message\":\"overloaded\",\"status\":529}");
	ck_assert_str_eq(STEP(1, "output"), "\"\"");
	ck_assert_str_eq(STEP(1, "metadata.missing"), "[\"output\"]");
	ck_assert_str_eq(STEP(2, "metadata.retry_of"), "\"s2\"");
	ck_assert_str_eq(STEP(3, "metadata.retry_of"), "\"s3\"");
	ck_assert_str_eq(STEP(5, "metadata.retry_of"), "");
	ck_assert_str_eq(END(0, "metadata.totals.errors"), "2");
	ck_assert_str_eq(END(0, "metadata.totals.retries"), "2");
}
END_TEST

START_TEST(ends_with_an_error)
{
	TALK(&w, .at = 1000, .in = { USER("hello") }, .status = 401, .error = "no key");
	world_finish(&w, 4000, "agent exited");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call");
	ck_assert_str_eq(END(0, "metadata.state"), "\"failed\"");
}
END_TEST

START_TEST(previous_response_id)
{
	TALK(&w, .at = 1000, .in = { USER("a tool please") }, .out = ASK({ "f1", "find", "{}" }), .id = "resp_1");
	TALK(&w, .at = 1500, .in = { GOT({ "f1", "[1,2]" }) }, .previous = "resp_1", .out = ASST("found"), .id = "resp_2");
	TALK(&w, .at = 2000, .in = { USER("thanks") }, .previous = "resp_2", .out = ASST("welcome"), .id = "resp_3");
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) llm_call final_output(s4) user_input llm_call "
					     "final_output(s7)");
	ck_assert_str_eq(STEP(2, "result"), "[1,2]");
	ck_assert_str_eq(STEP(3, "metadata.input_is_delta"), "true");
}
END_TEST

START_TEST(history_that_disappears)
{
	TALK(&w, .at = 1000, .in = { SYS("s"), USER("one") }, .out = ASST("first answer, long enough to tell"));
	TALK(&w, .at = 2000, .in = { SYS("s"), USER("one"), ASST("first answer, long enough to tell"), USER("two") },
	     .out = ASST("second answer, long enough to tell"));
	TALK(&w, .at = 3000, .in = { SYS("s"), USER("two"), ASST("second answer, long enough to tell"), USER("three") },
	     .out = ASST("third"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2) user_input llm_call final_output(s5) "
					     "state_change user_input llm_call final_output(s9)");
	ck_assert_str_eq(STEP(6, "state_key"), "\"conversation.history\"");
	ck_assert_str_eq(STEP(6, "old_value"), "{\"messages\":4}");
	ck_assert_str_eq(STEP(6, "new_value"), "{\"messages\":4,\"kept\":2}");
	ck_assert_str_eq(STEP(7, "content"), "\"three\"");
}
END_TEST

START_TEST(a_summary_replaces_the_history)
{
	TALK(&w, .at = 1000, .in = { SYS("s"), USER("one") }, .out = ASST("first"));
	TALK(&w, .at = 2000, .in = { SYS("s"), USER("one"), ASST("first"), USER("summarise what was said") },
	     .out = ASST("the user counted and was answered in ordinals"));
	TALK(&w, .at = 3000, .in = { SYS("s"), USER("Summary: the user counted and was answered in ordinals. Go on.") },
	     .out = ASST("third"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(STEP(6, "state_key"), "\"conversation.history\"");
}
END_TEST

START_TEST(tools_without_ids_go_by_name_and_order)
{
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASK({ NULL, "f", "{\"n\":1}" }, { NULL, "f", "{\"n\":2}" }));
	TALK(&w, .at = 2000, .in = { USER("q"), ASK({ NULL, "f", "{\"n\":1}" }, { NULL, "f", "{\"n\":2}" }),
	     GOT({ NULL, "\"r1\"" }, { NULL, "\"r2\"" }) }, .out = ASST("x"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_str_eq(STEP(2, "result"), "\"r1\"");
	ck_assert_str_eq(STEP(3, "result"), "\"r2\"");
	ck_assert_str_eq(STEP(3, "arguments"), "{\"n\":2}");
}
END_TEST

START_TEST(server_side_tools_are_done_at_once)
{
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = { ROLE_ASSISTANT, "the web says so", { { "w1", "web_search", "{}" } },
	     .server_side = true });
	world_finish(&w, 4000, "agent exited");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) final_output(s2)");
	ck_assert_str_eq(STEP(2, "result"), "{\"found\":1}");
	ck_assert_str_eq(STEP(2, "metadata.server_side"), "true");
	ck_assert_str_eq(STEP(3, "content"), "\"the web says so\"");
}
END_TEST

START_TEST(results_that_never_come)
{
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASK({ "c1", "f", "{}" }));
	world_finish(&w, 4000, "signal");
	ck_assert_str_eq(STEP(2, "metadata.incomplete"), "true");
	ck_assert_str_eq(STEP(2, "success"), "");
	ck_assert_str_eq(STEP(2, "latency_ms"), "");
	ck_assert_str_eq(STEP(2, "result"), "\"\"");
	ck_assert_str_eq(STEP(2, "metadata.missing"), "[\"result\"]");
}
END_TEST

START_TEST(mcp_joins_the_models_request)
{
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASK({ "c1", "mcp__files__read", "{\"a\":1, \"b\":[2]}" }));
	world_tool(&w, 1200, "read", "{\"b\":[2],\"a\":1}", "{\"content\":[]}");
	world_tool(&w, 1250, "other", "{}", "7");
	TALK(&w, .at = 2000, .in = { USER("q"), ASK({ "c1", "mcp__files__read", "{\"a\":1, \"b\":[2]}" }),
	     GOT({ "c1", "\"text\"" }) }, .out = ASST("x"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) tool_call llm_call final_output(s5)");
	ck_assert_str_eq(STEP(2, "result"), "\"text\"");
	ck_assert_str_eq(STEP(2, "metadata.mcp.tool"), "\"read\"");
	ck_assert_str_eq(STEP(2, "metadata.mcp.latency_ms"), "5");
	ck_assert_str_eq(STEP(3, "tool_name"), "\"other\"");
	ck_assert_str_eq(STEP(3, "result"), "7");
}
END_TEST

START_TEST(long_histories_stand_on_the_call_before)
{
	char *big = mem_alloc(6001);

	memset(big, 'x', 6000);
	TALK(&w, .at = 1000, .in = { SYS(big), USER("one") }, .out = ASST("first"));
	TALK(&w, .at = 2000, .in = { SYS(big), USER("one"), ASST("first"), USER("two") }, .out = ASST("second"));
	world_finish(&w, 4000, "agent exited");
	free(big);
	ck_assert_str_eq(STEP(4, "metadata.input_base"), "{\"step_id\":\"s2\",\"messages\":2}");
	ck_assert_str_eq(STEP(4, "input"),
			 "[{\"role\":\"assistant\",\"content\":\"first\"},{\"role\":\"user\",\"content\":\"two\"}]");
}
END_TEST

START_TEST(counting_and_serving_are_no_steps)
{
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASST("x"), .kind = CALL_COUNT);
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASST("x"), .not_client = true);
	ck_assert_uint_eq(w.n_runs, 0);
}
END_TEST

START_TEST(embeddings_are_calls_of_the_run)
{
	TALK(&w, .at = 1000, .in = { USER("vectors") }, .out = ASST("1"), .kind = CALL_EMBEDDING);
	TALK(&w, .at = 2000, .in = { USER("q") }, .out = ASST("x"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "llm_call user_input llm_call final_output(s3)");
	ck_assert_str_eq(STEP(0, "metadata.operation"), "\"embedding\"");
}
END_TEST

START_TEST(content_is_withheld)
{
	world_fini(&w);
	w = (struct world){ .o = { .no_inputs = true, .no_outputs = true } };
	world_init(&w);
	TALK(&w, .at = 1000, .in = { USER("my secret words") }, .out = ASK({ "c1", "f", "{\"h\":\"hidden\"}" }));
	TALK(&w, .at = 2000, .in = { USER("my secret words"), ASK({ "c1", "f", "{\"h\":\"hidden\"}" }), GOT({ "c1", "\"secret\"" }) },
	     .out = ASST("secret too"));
	world_finish(&w, 4000, "agent exited");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) llm_call final_output(s4)");
	for (size_t i = 0; i < w.runs[0]->n; i++) {
		ck_assert_ptr_null(strstr(world_step(&w, 0, i), "secret"));
		ck_assert_ptr_null(strstr(world_step(&w, 0, i), "hidden"));
	}
	ck_assert_ptr_null(strstr(w.runs[0]->ended, "secret"));
}
END_TEST

START_TEST(sessions_join_and_part)
{
	TALK(&w, .at = 1000, .in = { SYS("a"), USER("first prompt of the session") }, .out = ASST("x"),
	     .headers = { { "X-Claude-Code-Session-Id", "s-1" }, { "User-Agent", "claude-cli/2.1.120 (external, cli)" } });
	TALK(&w, .at = 1500, .in = { SYS("b"), USER("title?") }, .out = ASST("y"), .headers = { { "x-claude-code-session-id", "s-1" } });
	TALK(&w, .at = 2000, .in = { SYS("a"), USER("first prompt of the session, twice") }, .out = ASST("x"),
	     .headers = { { "x-claude-code-session-id", "s-2" } });
	world_finish(&w, 4000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 2);
	ck_assert_str_eq(END(0, "agent_info"), "{\"name\":\"claude-code\",\"version\":\"2.1.120\"}");
	ck_assert_str_eq(END(0, "metadata.totals.llm_calls"), "2");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("assemble");
	TCase *t = tcase_create("conversations");
	SRunner *r = srunner_create(s);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one_question);
	tcase_add_test(t, parallel_tools);
	tcase_add_test(t, each_new_user_message_is_an_input);
	tcase_add_test(t, history_before_we_came_is_no_input);
	tcase_add_test(t, separate_conversations_are_separate_runs);
	tcase_add_test(t, a_program_started_before_our_eyes_is_one_run);
	tcase_add_test(t, a_crew_is_one_run);
	tcase_add_test(t, sub_agent_in_an_open_tool_call);
	tcase_add_test(t, a_retry_names_the_failed_call);
	tcase_add_test(t, ends_with_an_error);
	tcase_add_test(t, previous_response_id);
	tcase_add_test(t, history_that_disappears);
	tcase_add_test(t, a_summary_replaces_the_history);
	tcase_add_test(t, tools_without_ids_go_by_name_and_order);
	tcase_add_test(t, server_side_tools_are_done_at_once);
	tcase_add_test(t, results_that_never_come);
	tcase_add_test(t, mcp_joins_the_models_request);
	tcase_add_test(t, long_histories_stand_on_the_call_before);
	tcase_add_test(t, counting_and_serving_are_no_steps);
	tcase_add_test(t, embeddings_are_calls_of_the_run);
	tcase_add_test(t, content_is_withheld);
	tcase_add_test(t, sessions_join_and_part);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
