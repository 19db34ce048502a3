/* What a run says of itself: who ran, and what of it was not seen. */
#include "assemble_world.h"

static struct world w;

#define END(run, path) world_at(&w, w.runs[run]->ended, path)
#define COMPLETENESS "metadata.capture.completeness."

static void setup(void)
{
	w = (struct world){ 0 };
	world_init(&w);
	world_fact(&w, CF_FACT_HOST, 1, 0,
		   "{\"version\":\"9.9\",\"host\":\"h\",\"kernel\":\"6.1\",\"command\":[\"python3\",\"agent.py\"]}");
}

static void teardown(void)
{
	world_fini(&w);
}

static void attach(const char *argv)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"pid\":100,\"ppid\":1,\"exe\":\"/usr/bin/python3.11\",\"argv\":%s,\"root\":true}", argv);
	world_fact(&w, CF_FACT_PROCESS, 10, 100, text);
}

static void account(uint64_t id, enum conn_source source, enum proto_state state, const char *peer, uint64_t bytes,
		    struct conn_account extra)
{
	struct conn_info info = { .id = id, .source = source, .pid = 100, .proc_start_ns = 1000, .peer = world_text(peer),
				  .joined_late = extra.conn };

	extra.conn = &info;
	extra.state = state;
	extra.bytes_in = bytes;
	assembler_conn(w.a, &extra);
}

/* All well: one question, the counters read at the end. */
static void ask_and_count(const char *counters)
{
	TALK(&w, .at = 1000, .in = { USER("hello there") }, .out = ASST("hi"));
	account(1, SOURCE_TLS, PROTO_DECODED, "10.0.0.1:443", 500, (struct conn_account){ 0 });
	account(2, SOURCE_SOCKET, PROTO_OPAQUE, "10.0.0.1:443", 900, (struct conn_account){ .carries_tls = true, .bound = true });
	world_fact(&w, CF_FACT_COUNTERS, 2000, 0, counters);
	world_fact(&w, CF_FACT_STOP, 2001, 0, "{\"reason\":\"signal\"}");
}

START_TEST(nothing_is_missing)
{
	attach("[\"python3\",\"agent.py\"]");
	ask_and_count("{\"events\":7,\"bytes\":500,\"lost_ring\":0}");
	world_finish(&w, 3000, "signal");
	ck_assert_str_eq(END(0, COMPLETENESS "missing"), "");
	ck_assert_str_eq(END(0, COMPLETENESS "complete"), "true");
	ck_assert_str_eq(END(0, COMPLETENESS "connections"), "{\"seen\":1,\"decoded\":1,\"not_decoded\":[]}");
	ck_assert_str_eq(END(0, COMPLETENESS "events"), "7");
	ck_assert_str_eq(END(0, "metadata.capture.version"), "\"9.9\"");
	ck_assert_str_eq(END(0, "metadata.capture.command"), "[\"python3\",\"agent.py\"]");
	ck_assert_str_eq(END(0, "metadata.capture.stopped"), "\"signal\"");
	ck_assert_str_eq(END(0, "metadata.capture.root_pid"), "100");
}
END_TEST

static const char *const bad_counters[] = {
	"{\"events\":7,\"bytes\":500,\"lost_ring\":1,\"lost_ring_bytes\":9}",
	"{\"events\":7,\"bytes\":500,\"lost_fault\":1}",
	"{\"events\":7,\"bytes\":500,\"lost_clamp\":1}",
	"{\"events\":7,\"bytes\":500,\"lost_map\":1}",
	"{\"events\":7,\"bytes\":500,\"lost_control\":1}",
	"{\"events\":7,\"bytes\":500,\"lost_queue\":1}",
	"{\"events\":7,\"data_events\":4,\"bytes\":500}", /* three others were sent, none arrived */
};

START_TEST(a_loss_speaks_against_it)
{
	attach("[\"python3\"]");
	ask_and_count(bad_counters[_i]);
	world_finish(&w, 3000, "signal");
	ck_assert_str_eq(END(0, COMPLETENESS "complete"), "false");
	ck_assert_str_eq(END(0, COMPLETENESS "missing"), "[\"events were lost\"]");
}
END_TEST

START_TEST(unknown_counters_speak_against_it)
{
	attach("[\"python3\"]");
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASST("x"));
	world_finish(&w, 3000, "signal");
	ck_assert_str_eq(END(0, COMPLETENESS "complete"), "false");
}
END_TEST

/* Data records that came through count by their bytes, however they are cut. */
START_TEST(missing_payload_is_noticed)
{
	for (int less = 0; less < 2; less++) {
		struct { struct cf_data d; char room[16]; } e = { .d = { .stream = 1, .len = 10, .captured = 10 } };
		teardown();
		setup();
		attach("[\"python3\"]");
		e.d.h = world_head(sizeof(e.d) + 10, CF_EV_DATA, 500, 100);
		for (int i = 0; i < 50 - less; i++)
			assembler_event(w.a, &e.d.h);
		ask_and_count("{\"events\":50,\"bytes\":500}");
		world_finish(&w, 3000, "signal");
		ck_assert_str_eq(END(0, COMPLETENESS "complete"), less ? "false" : "true");
		ck_assert_str_eq(END(0, COMPLETENESS "lost.bytes_between"), less ? "10" : "");
	}
}
END_TEST

static const struct {
	enum conn_source source;
	enum proto_state state;
	const char *peer;
	struct conn_account extra;
	bool late;
	const char *missing;
} conns[] = {
	{ SOURCE_SOCKET, PROTO_OPAQUE, "10.9.9.9:443", { .carries_tls = true, .counted_only = true, .reason = "TLS" }, false,
	  "[\"connections could not be read\"]" },
	{ SOURCE_SOCKET, PROTO_OPAQUE, "10.9.9.9:5432", { 0 }, false, "[\"connections could not be read\"]" },
	{ SOURCE_SOCKET, PROTO_UNKNOWN, "10.9.9.9:443", { .counted_only = true, .reason = "datagrams" }, false,
	  "[\"connections could not be read\"]" },
	{ SOURCE_SOCKET, PROTO_UNKNOWN, "10.9.9.9:53", { 0 }, false, "" },       /* a name lookup */
	{ SOURCE_SOCKET, PROTO_OPAQUE, NULL, { .counted_only = true }, false, "" }, /* a unix socket */
	{ SOURCE_PIPE, PROTO_OPAQUE, NULL, { 0 }, false, "" },                     /* output of a child */
	{ SOURCE_TLS, PROTO_OPAQUE, "10.9.9.9:443", { 0 }, false, "[\"connections could not be read\"]" },
	{ SOURCE_TLS, PROTO_TUNNEL, "10.9.9.9:443", { 0 }, false, "[\"connections could not be read\"]" },
	{ SOURCE_TLS, PROTO_DECODED, "10.9.9.9:443", { .missing_in = 3 }, false, "[\"bytes of connections are missing\"]" },
	{ SOURCE_TLS, PROTO_DECODED, "10.9.9.9:443", { 0 }, true, "[\"connections were open before the observer came\"]" },
};

START_TEST(each_connection_counts)
{
	static const struct conn_info late;
	struct conn_account extra = conns[_i].extra;

	extra.conn = conns[_i].late ? &late : NULL;
	attach("[\"python3\"]");
	account(9, conns[_i].source, conns[_i].state, conns[_i].peer, 77, extra);
	ask_and_count("{\"events\":7,\"bytes\":500}");
	world_finish(&w, 3000, "signal");
	ck_assert_str_eq(END(0, COMPLETENESS "missing"), conns[_i].missing);
	ck_assert_str_eq(END(0, COMPLETENESS "complete"), conns[_i].missing[0] ? "false" : "true");
}
END_TEST

static const struct {
	uint32_t kind;
	const char *json, *missing;
} facts[] = {
	{ CF_FACT_LIBRARY, "{\"pid\":100,\"path\":\"/x\",\"hooked\":false,\"reason\":\"stripped\"}", "[\"TLS libraries are not hooked\"]" },
	{ CF_FACT_LIBRARY, "{\"pid\":100,\"path\":\"/x\",\"hooked\":true}", "" },
	{ CF_FACT_GAP, "{\"pid\":100,\"reason\":\"late\"}", "[\"processes are not covered from their beginning\"]" },
};

START_TEST(facts_count)
{
	attach("[\"python3\"]");
	world_fact(&w, facts[_i].kind, 20, 100, facts[_i].json);
	ask_and_count("{\"events\":7,\"bytes\":500}");
	world_finish(&w, 3000, "signal");
	ck_assert_str_eq(END(0, COMPLETENESS "missing"), facts[_i].missing);
}
END_TEST

START_TEST(blind_spots_count)
{
	struct cf_blind e = { world_head(sizeof(e), CF_EV_BLIND, 50, 100), CF_BLIND_IO_URING, 0 };

	attach("[\"python3\"]");
	assembler_event(w.a, &e.h);
	ask_and_count("{\"events\":7,\"bytes\":500}");
	world_finish(&w, 3000, "signal");
	ck_assert_str_eq(END(0, COMPLETENESS "blind_spots"), "[{\"kind\":\"io_uring\",\"times\":1}]");
	ck_assert_str_eq(END(0, COMPLETENESS "complete"), "false");
}
END_TEST

START_TEST(a_cut_call_counts)
{
	attach("[\"python3\"]");
	TALK(&w, .at = 500, .in = { USER("first") }, .incomplete = true);
	ask_and_count("{\"events\":7,\"bytes\":500}");
	world_finish(&w, 3000, "signal");
	ck_assert_str_eq(world_at(&w, world_step(&w, 0, 1), "metadata.incomplete"), "true");
	ck_assert_str_eq(END(0, COMPLETENESS "complete"), "false");
}
END_TEST

START_TEST(a_target_that_asked_nobody)
{
	attach("[\"python3\",\"x.py\"]");
	account(9, SOURCE_SOCKET, PROTO_OPAQUE, "10.9.9.9:443", 77, (struct conn_account){ .carries_tls = true });
	world_fact(&w, CF_FACT_COUNTERS, 2000, 0, "{\"events\":7,\"bytes\":0}");
	world_finish(&w, 3000, "signal");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(END(0, COMPLETENESS "connections.not_decoded"),
			 "[{\"peer\":\"10.9.9.9:443\",\"protocol\":\"tls\",\"bytes\":77,\"pid\":100,\"reason\":\"TLS that is not read\"}]");
	ck_assert_str_eq(END(0, COMPLETENESS "complete"), "false");
}
END_TEST

static const struct {
	const char *argv, *framework, *agent, *info;
} agents[] = {
	{ "[\"python3\",\"-u\",\"work/agent.py\",\"x\"]", NULL, NULL, "{\"name\":\"agent\"}" },
	{ "[\"python3\",\"-m\",\"billing.bot\"]", NULL, NULL, "{\"name\":\"billing.bot\"}" },
	{ "[\"python3\",\"-c\",\"import x\"]", NULL, NULL, "{\"name\":\"python3.11\"}" },
	{ "[\"python3\",\"/srv/billing/main.py\"]", NULL, NULL, "{\"name\":\"billing\"}" },
	{ "[\"node\",\"/usr/lib/node_modules/@google/gemini-cli/dist/index.js\"]", NULL, NULL, "{\"name\":\"gemini-cli\"}" },
	{ "[\"python3\",\"a.py\"]", "{\"name\":\"langchain_core\",\"version\":\"0.3.1\",\"kind\":\"framework\"}", NULL,
	  "{\"name\":\"a\",\"framework\":\"langchain\",\"framework_version\":\"0.3.1\"}" },
	{ "[\"python3\",\"a.py\"]", "{\"name\":\"CrewAI\",\"kind\":\"framework\"}", "OpenAI/Python 1.54.0",
	  "{\"name\":\"a\",\"framework\":\"crewai\"}" },
	{ "[\"python3\",\"a.py\"]", NULL, "AsyncOpenAI/Python 1.54.0",
	  "{\"name\":\"a\",\"framework\":\"openai\",\"framework_version\":\"1.54.0\"}" },
	{ "[\"node\",\"b.mjs\"]", NULL, "Anthropic/JS 0.30.1",
	  "{\"name\":\"b\",\"framework\":\"anthropic\",\"framework_version\":\"0.30.1\"}" },
	{ "[\"python3\",\"a.py\"]", NULL, "python-httpx/0.27", "{\"name\":\"a\"}" },
	{ "[\"claude\"]", NULL, "claude-cli/2.1.120 (external, cli)", "{\"name\":\"claude-code\",\"version\":\"2.1.120\"}" },
};

START_TEST(who_ran)
{
	attach(agents[_i].argv);
	if (agents[_i].framework)
		world_fact(&w, CF_FACT_FRAMEWORK, 20, 100, agents[_i].framework);
	TALK(&w, .at = 1000, .in = { USER("q") }, .out = ASST("x"),
	     .headers = { { agents[_i].agent ? "User-Agent" : NULL, agents[_i].agent } });
	world_finish(&w, 3000, "signal");
	ck_assert_str_eq(END(0, "agent_info"), agents[_i].info);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof(*(a)))

int main(void)
{
	Suite *s = suite_create("assemble capture");
	TCase *t = tcase_create("capture");
	SRunner *r = srunner_create(s);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nothing_is_missing);
	tcase_add_loop_test(t, a_loss_speaks_against_it, 0, COUNT(bad_counters));
	tcase_add_test(t, unknown_counters_speak_against_it);
	tcase_add_test(t, missing_payload_is_noticed);
	tcase_add_loop_test(t, each_connection_counts, 0, COUNT(conns));
	tcase_add_loop_test(t, facts_count, 0, COUNT(facts));
	tcase_add_test(t, blind_spots_count);
	tcase_add_test(t, a_cut_call_counts);
	tcase_add_test(t, a_target_that_asked_nobody);
	tcase_add_loop_test(t, who_ran, 0, COUNT(agents));
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
