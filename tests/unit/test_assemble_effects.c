/* Processes, files and connections find their tool call, or are steps of their own. */
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

#define BASH ASK({ "c1", "bash", "{\"command\":\"make test\"}" })

/* A shell of the call and its child; a file, a connection; then the result. */
START_TEST(a_tool_call_and_what_it_did)
{
	TALK(&w, .at = 1000, .in = { USER("run the tests") }, .out = BASH);
	world_fork(&w, 1110, 100, 201);
	world_exec(&w, 1111, 201, "/bin/sh", "sh|-c|make test");
	world_fork(&w, 1120, 201, 202);
	world_exec(&w, 1121, 202, "/usr/bin/make", "make|test");
	world_file(&w, 1130, 202, "/tmp/out.o");
	world_file(&w, 1131, 202, "/tmp/out.o");
	world_file(&w, 1131, 202, "/dev/null");
	world_connect(&w, 1140, 202, 7, 80);
	world_exit(&w, 1150, 202, 2, 0);
	world_exit(&w, 1160, 201, 2, 0);
	world_connect(&w, 1190, 100, 1, 443); /* for the next request */
	TALK(&w, .at = 1200, .took = 50, .in = { USER("run the tests"), BASH, GOT({ "c1", "\"failed\"" }) }, .out = ASST("no"));
	world_finish(&w, 4000, "signal");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) llm_call final_output(s4)");
	ck_assert_str_eq(STEP(2, "metadata.effects"),
			 "{\"processes\":[{\"pid\":201,\"path\":\"/bin/sh\",\"argv\":[\"sh\",\"-c\",\"make test\"],"
			 "\"exit_code\":2,\"duration_ms\":49},"
			 "{\"pid\":202,\"path\":\"/usr/bin/make\",\"argv\":[\"make\",\"test\"],\"exit_code\":2,\"duration_ms\":29}],"
			 "\"files\":[{\"path\":\"/tmp/out.o\",\"operation\":\"write\",\"pid\":202}],"
			 "\"network\":[{\"peer\":\"10.0.0.7:80\",\"protocol\":\"tcp\",\"pid\":202}]}");
}
END_TEST

/* Begun after the request with the result: the exchange is only known when it has ended. */
START_TEST(what_comes_after_the_result_is_not_the_tools)
{
	TALK(&w, .at = 1000, .in = { USER("run the tests") }, .out = BASH);
	world_fork(&w, 1290, 100, 203);
	world_exec(&w, 1300, 203, "/bin/date", "date|-u");
	world_file(&w, 1310, 100, "/tmp/log");
	TALK(&w, .at = 1200, .took = 200, .in = { USER("run the tests"), BASH, GOT({ "c1", "\"ok\"" }) }, .out = ASST("yes"));
	world_exit(&w, 1500, 203, 0, 0);
	world_finish(&w, 4000, "signal");
	ck_assert_str_eq(world_shape(&w, 0),
			 "user_input llm_call tool_call(s2) llm_call final_output(s4) state_change tool_call");
	ck_assert_str_eq(STEP(2, "metadata.effects"), "");
	ck_assert_str_eq(STEP(6, "tool_name"), "\"exec\"");
	ck_assert_str_eq(STEP(6, "arguments.argv"), "[\"date\",\"-u\"]");
	ck_assert_str_eq(STEP(6, "result"), "{\"exit_code\":0}");
	ck_assert_str_eq(STEP(6, "success"), "true");
	ck_assert_str_eq(STEP(6, "metadata.source"), "\"process\"");
	ck_assert_str_eq(STEP(6, "metadata.incomplete"), "");
	ck_assert_str_eq(STEP(5, "new_value"), "[{\"path\":\"/tmp/log\",\"operation\":\"write\",\"pid\":100}]");
}
END_TEST

/* The exchange that asked is known late: its connection was closed much later. */
START_TEST(what_was_done_before_the_answer_was_known)
{
	TALK(&w, .at = 500, .in = { USER("before all") }, .out = ASST("yes"));
	world_fork(&w, 1110, 100, 201);
	world_exec(&w, 1111, 201, "/bin/sh", "sh|-c|make test");
	world_file(&w, 1112, 201, "/tmp/out.o");
	world_exit(&w, 1120, 201, 0, 0);
	world_fact(&w, CF_FACT_TICK, 1500, 0, "{}");
	TALK(&w, .at = 1000, .in = { USER("before all"), ASST("yes"), USER("run the tests") }, .out = BASH);
	world_finish(&w, 4000, "signal");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2) user_input llm_call tool_call(s5)");
	ck_assert_str_eq(STEP(5, "metadata.effects.processes[0].exit_code"), "0");
	ck_assert_str_eq(STEP(5, "metadata.effects.files[0].path"), "\"/tmp/out.o\"");
}
END_TEST

/* Nothing claims it: a step soon, and again at the end of the process. */
START_TEST(a_process_without_a_call_is_told_while_it_runs)
{
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASST("x"));
	world_fork(&w, 1200, 100, 201);
	world_exec(&w, 1201, 201, "/bin/server", "server");
	world_fact(&w, CF_FACT_TICK, 2000, 0, "{}");
	ck_assert_uint_eq(w.runs[0]->n, 3);
	world_fact(&w, CF_FACT_TICK, 3300, 0, "{}");
	ck_assert_uint_eq(w.runs[0]->n, 4);
	ck_assert_str_eq(STEP(3, "metadata.incomplete"), "true");
	world_exit(&w, 3500, 201, 0, 0);
	ck_assert_uint_eq(w.n_again, 1);
	ck_assert_str_eq(STEP(3, "latency_ms"), "2299");
	ck_assert_str_eq(STEP(3, "metadata.incomplete"), "");
	world_finish(&w, 4000, "signal");
}
END_TEST

START_TEST(parallel_calls_share_no_guess)
{
	struct say two = ASK({ "c1", "bash", "{\"command\":\"sleep 100\"}" }, { "c2", "bash", "{\"command\":\"date -R\"}" });

	TALK(&w, .at = 1000, .in = { USER("q") }, .out = two);
	world_fork(&w, 1110, 100, 201);
	world_exec(&w, 1111, 201, "/bin/sh", "sh|-c|date -R"); /* its command is in one of them */
	world_file(&w, 1112, 201, "/tmp/of-second");
	world_fork(&w, 1120, 100, 202);
	world_exec(&w, 1121, 202, "/bin/uname", "uname|-a"); /* in none */
	world_exit(&w, 1125, 202, 0, 0);
	world_exit(&w, 1126, 201, 0, 0);
	TALK(&w, .at = 1200, .in = { USER("q"), two, GOT({ "c1", "1" }, { "c2", "2" }) }, .out = ASST("x"));
	world_finish(&w, 4000, "signal");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) tool_call(s2) tool_call llm_call final_output(s6)");
	ck_assert_str_eq(STEP(2, "metadata.effects"), "");
	ck_assert_str_eq(STEP(2, "metadata.effects_shared"), "true");
	ck_assert_str_eq(STEP(3, "metadata.effects.processes[0].argv[2]"), "\"date -R\"");
	ck_assert_str_eq(STEP(3, "metadata.effects.files[0].path"), "\"/tmp/of-second\"");
	ck_assert_str_eq(STEP(4, "arguments.path"), "\"/bin/uname\"");
	ck_assert_str_eq(STEP(4, "metadata.during_several_tool_calls"), "true");
}
END_TEST

/* A process of the tool that outlives it, and one that asks a model itself. */
START_TEST(a_sub_agent_process)
{
	struct say ask = ASK({ "c1", "bash", "{\"command\":\"claude -p x\"}" });

	TALK(&w, .at = 1000, .in = { USER("delegate this") }, .out = ask);
	world_fork(&w, 1110, 100, 201);
	world_exec(&w, 1111, 201, "/usr/bin/claude", "claude|-p|x");
	TALK(&w, .pid = 201, .at = 1150, .in = { SYS("other"), USER("x") }, .out = ASST("sub"),
	     .headers = { { "x-claude-code-session-id", "its own" } });
	TALK(&w, .at = 1400, .in = { USER("delegate this"), ask, GOT({ "c1", "\"sub\"" }) }, .out = ASST("done"));
	world_exit(&w, 1500, 201, 0, 0);
	world_finish(&w, 4000, "signal");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) user_input(s3) llm_call(s3) final_output(s5) "
					     "llm_call final_output(s7)");
	ck_assert_str_eq(STEP(2, "metadata.effects.processes[0].running"), "true");
	ck_assert_str_eq(STEP(4, "metadata.process"), "\"claude\"");
}
END_TEST

START_TEST(the_agents_own_start_is_no_step)
{
	world_exec(&w, 100, 90, "/bin/sh", "sh|-c|python agent.py");
	world_fork(&w, 110, 90, 100);
	world_exec(&w, 120, 100, "/usr/bin/python3.11", "python|-u|work/agent.py");
	world_fork(&w, 130, 100, 150);
	world_exec(&w, 140, 150, "/usr/bin/git", "git|status");
	world_exit(&w, 150, 150, 1, 0);
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASST("x"));
	world_exit(&w, 1500, 100, 0, 0);
	world_exit(&w, 1501, 90, 0, 0);
	world_finish(&w, 4000, "agent exited");
	ck_assert_str_eq(world_shape(&w, 0), "tool_call user_input llm_call final_output(s3)");
	ck_assert_str_eq(STEP(0, "arguments.argv"), "[\"git\",\"status\"]");
	ck_assert_str_eq(STEP(0, "success"), "false");
	ck_assert_str_eq(END(0, "agent_info.name"), "\"agent\"");
	ck_assert_str_eq(END(0, "metadata.capture.root_pid"), "90");
	ck_assert_str_eq(END(0, "metadata.state"), "\"completed\"");
}
END_TEST

START_TEST(a_process_that_still_runs)
{
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASST("x"));
	world_fork(&w, 1200, 100, 201);
	world_exec(&w, 1201, 201, "/bin/server", "server|--port|1");
	world_fork(&w, 1210, 201, 202);
	world_exec(&w, 1211, 202, "/bin/worker", "worker");
	world_exit(&w, 1220, 202, 0, 9);
	world_finish(&w, 4000, "signal");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2) tool_call tool_call(s4)");
	ck_assert_str_eq(STEP(3, "metadata.reason"), "\"still running\"");
	ck_assert_str_eq(STEP(3, "success"), "");
	ck_assert_str_eq(STEP(4, "result"), "{\"signal\":9}");
	ck_assert_str_eq(STEP(4, "error"), "\"ended by signal 9\"");
}
END_TEST

START_TEST(a_run_ends_with_its_processes)
{
	world_exec(&w, 100, 100, "/bin/agent", "agent");
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASST("x"));
	world_exit(&w, 2000, 100, 3, 0);
	ck_assert_ptr_null(w.runs[0]->ended);
	world_fact(&w, CF_FACT_COUNTERS, 3000, 0, "{\"events\":4}");
	ck_assert_ptr_null(w.runs[0]->ended); /* what was lost until then may not be counted yet */
	world_fact(&w, CF_FACT_COUNTERS, 4100, 0, "{\"events\":4}");
	ck_assert_ptr_nonnull(w.runs[0]->ended);
	ck_assert_str_eq(END(0, "ended_at"), "\"2026-01-21T10:30:02.000Z\"");
	ck_assert_str_eq(END(0, "metadata.state"), "\"failed\"");
	ck_assert_str_eq(END(0, "metadata.capture.stopped"), "\"agent exited\"");
	world_finish(&w, 9000, "signal");
	ck_assert_uint_eq(w.n_runs, 1);
}
END_TEST

/* The number of a dead process, used again by another. */
START_TEST(a_reused_pid_is_another_process)
{
	struct cf_exec *e;
	char room[256] = { 0 };

	TALK(&w, .at = 1000, .in = { USER("run the tests") }, .out = BASH);
	world_fork(&w, 1110, 100, 201);
	world_exec(&w, 1111, 201, "/bin/sh", "sh|-c|make test");
	world_exit(&w, 1120, 201, 0, 0);
	e = (void *)room;
	e->h = (struct cf_event){ sizeof(*e) + 2, CF_EV_EXEC, 0, 1130 * MS, 201, 201, 555 };
	e->path_len = 2;
	memcpy(room + sizeof(*e), "/x", 2);
	assembler_event(w.a, &e->h);
	world_finish(&w, 4000, "signal");
	ck_assert_str_eq(world_at(&w, world_step(&w, 0, 2), "metadata.effects.processes[1]"), "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("assemble effects");
	TCase *t = tcase_create("effects");
	SRunner *r = srunner_create(s);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_tool_call_and_what_it_did);
	tcase_add_test(t, what_comes_after_the_result_is_not_the_tools);
	tcase_add_test(t, what_was_done_before_the_answer_was_known);
	tcase_add_test(t, a_process_without_a_call_is_told_while_it_runs);
	tcase_add_test(t, parallel_calls_share_no_guess);
	tcase_add_test(t, a_sub_agent_process);
	tcase_add_test(t, the_agents_own_start_is_no_step);
	tcase_add_test(t, a_process_that_still_runs);
	tcase_add_test(t, a_run_ends_with_its_processes);
	tcase_add_test(t, a_reused_pid_is_another_process);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
