/* What the person sees: exact lines for steps and facts, losses told once, nothing dangerous on the terminal. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "feed/fact.h"
#include "sink/console.h"

#define SECOND 1000000000ull

static struct arena arena;
static struct console *con;
static struct console_setup setup;
static int out;

static void begin(struct console_setup how)
{
	out = memfd_create("console", 0);
	setup = how;
	setup.fd = out;
	con = console_new(&setup);
	arena_init(&arena);
}

static void fresh(void)
{
	begin((struct console_setup){ .dir = "./traces", .buffer = 16 << 20 });
}

static void done(void)
{
	console_free(con);
	arena_fini(&arena);
	close(out);
}

/* All that was printed since the last call. */
static const char *said(void)
{
	static char text[65536];
	ssize_t n = pread(out, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	ck_assert_int_eq(ftruncate(out, 0), 0);
	lseek(out, 0, SEEK_SET);
	return text;
}

static void fact(enum cf_fact_kind kind, uint64_t ts_ns, const char *json)
{
	size_t len = strlen(json);
	struct cf_fact *f = arena_alloc(&arena, sizeof(*f) + len);

	f->h = (struct cf_event){ .size = (uint32_t)(sizeof(*f) + len),
				  .kind = (uint16_t)kind,
				  .ts_ns = ts_ns,
				  .pid = 812 };
	f->len = (uint32_t)len;
	memcpy(f->json, json, len);
	console_event(con, &f->h);
}

static void step(const char *json, bool again)
{
	struct problem why = { 0 };
	struct span raw;
	struct step s;

	ck_assert_int_eq(json_value(span_of(json), &raw, NULL), 0);
	ck_assert_msg(step_read(raw, &arena, &s, &why) == 0, "%s: %s", why.place, why.message);
	console_step(con, &s, again);
}

#define LLM                                                                                       \
	"{\"step_id\":\"s1\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T12:04:07."     \
	"000Z\","                                                                                 \
	"\"model\":\"claude-sonnet-4\",\"provider\":\"anthropic\",\"input\":\"x\",\"tokens_in\":" \
	"8100,"                                                                                   \
	"\"tokens_out\":412,\"latency_ms\":3400,\"cost_estimate\":0.031,"                         \
	"\"output\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"hm\"},"    \
	"{\"type\":\"tool_call\",\"id\":\"a\",\"name\":\"Bash\",\"arguments\":{}}]},"             \
	"\"metadata\":{\"pid\":812,\"process\":\"claude\",\"tokens_cached\":7200,\"http\":{"      \
	"\"host\":\"api.x\"}"

START_TEST(a_model_call_in_one_line)
{
	step(LLM "}}", false);
	ck_assert_str_eq(
		said(), "12:04:07 claude[812]    llm    anthropic claude-sonnet-4  8.1k -> 412 tok "
			"(7.2k cached)  3.4 s  $0.031  -> Bash\n");
	step(LLM ",\"error\":{\"type\":\"rate_limit\",\"message\":\"slow down\",\"status\":429}}}",
	     false);
	ck_assert_ptr_nonnull(strstr(said(), "3.4 s  $0.031  error 429 rate_limit: slow down\n"));
	step(LLM ",\"incomplete\":true,\"reason\":\"cut\"}}", false);
	ck_assert_ptr_nonnull(strstr(said(), "-> Bash  INCOMPLETE: cut\n"));
}
END_TEST

#define TOOL                                                                                   \
	"{\"step_id\":\"s2\",\"step_type\":\"tool_call\",\"timestamp\":\"2026-01-21T12:04:10." \
	"000Z\","                                                                              \
	"\"tool_name\":\"Bash\",\"arguments\":{\"command\":\"npm "                             \
	"test\"},\"result\":\"ok\",\"latency_ms\":20,"

START_TEST(a_tool_call_is_told_when_its_result_is_known)
{
	step(TOOL "\"metadata\":{\"pid\":812,\"process\":\"claude\",\"incomplete\":true}}", false);
	ck_assert_str_eq(said(), "");
	step(TOOL "\"metadata\":{\"pid\":812,\"process\":\"claude\",\"effects\":{\"processes\":[{"
		  "\"pid\":5}],"
		  "\"files\":[\"/a\",\"/b\"]}}}",
	     true);
	ck_assert_str_eq(said(), "12:04:10 claude[812]    tool   Bash {\"command\":\"npm test\"}  "
				 "20 ms  1 process, 2 files\n");
	step(TOOL "\"success\":false,\"error\":\"exit "
		  "1\",\"metadata\":{\"incomplete\":true,\"source\":\"process\"}}",
	     true);
	ck_assert_ptr_nonnull(strstr(said(), "12:04:10 `- "));
}
END_TEST

/* Terminal escapes, line breaks and bidi overrides of a traced process stay text. */
START_TEST(nothing_dangerous_is_printed)
{
	step("{\"step_id\":\"s\",\"step_type\":\"user_input\",\"timestamp\":\"2026-01-21T12:04:"
	     "07Z\","
	     "\"content\":\"\\u001b[2Ja\\nb\\u202ec\\r\"}",
	     false);
	const char *text = said();

	ck_assert_ptr_nonnull(strstr(text, "\\x1b[2Ja\\nb\\u{202e}c"));
	for (const char *p = text; *p && p[1]; p++)
		ck_assert_msg((unsigned char)*p >= ' ', "a control character got through: %s",
			      text);
}
END_TEST

START_TEST(facts_are_told)
{
	fact(CF_FACT_HOST, 1, "{\"utc_offset_s\":3600}");
	fact(CF_FACT_PROCESS, 1,
	     "{\"pid\":812,\"comm\":\"claude\",\"exe\":\"/usr/bin/claude\",\"root\":true}");
	ck_assert_str_eq(said(), "claude[812]  watching  /usr/bin/claude\n");
	fact(CF_FACT_LIBRARY, 1,
	     "{\"pid\":812,\"library\":\"BoringSSL\",\"method\":\"xref\",\"functions\":4,"
	     "\"path\":\"/usr/bin/claude\",\"hooked\":true}");
	ck_assert_str_eq(said(),
			 "pid 812  hooked  BoringSSL by xref, 4 functions  /usr/bin/claude\n");
	fact(CF_FACT_LIBRARY, 1,
	     "{\"pid\":812,\"library\":\"NSS\",\"path\":\"/"
	     "l.so\",\"hooked\":false,\"reason\":\"not known\"}");
	ck_assert_str_eq(
		said(),
		"pid 812  NOT hooked  NSS  /l.so  not known; what it carries will be missing. "
		"Run: cf-observe doctor --pid 812\n");
	fact(CF_FACT_READY, 1, "{\"processes\":2,\"hooked\":1,\"not_hooked\":1}");
	ck_assert_str_eq(said(), "ready: watching 2 processes, 1 hooked, 1 NOT hooked\n");
	step(LLM "}}", false);
	ck_assert_ptr_nonnull(strstr(said(), "13:04:07 "));
}
END_TEST

START_TEST(losses_are_told_once_each_second)
{
	fact(CF_FACT_READY, 10 * SECOND, "{}");
	said();
	fact(CF_FACT_COUNTERS, 13 * SECOND, "{\"events\":5000,\"lost_ring\":1204}");
	ck_assert_str_eq(said(),
			 "LOST 1,204 events in 3.0 s: buffer full; traces are marked incomplete. "
			 "Raise --buffer (now 16M)\n");
	fact(CF_FACT_COUNTERS, 13 * SECOND + 5, "{\"lost_ring\":1300}");
	ck_assert_str_eq(said(), "");
	fact(CF_FACT_COUNTERS, 15 * SECOND, "{\"lost_ring\":1304}");
	ck_assert_ptr_nonnull(strstr(said(), "LOST 100 events in 2.0 s"));
	ck_assert(!console_complete(con));
}
END_TEST

static void run_ends(const char *metadata, const char *file)
{
	struct run_info info = { .run_id = SPAN("r"), .metadata = span_of(metadata) };

	console_run_end(con, &info, file);
}

START_TEST(the_end_sums_up)
{
	fact(CF_FACT_READY, 10 * SECOND, "{}");
	step(LLM "}}", false);
	step(TOOL "\"metadata\":{\"effects\":{\"files\":[\"/a\"]}}}", true);
	fact(CF_FACT_LIBRARY, 11 * SECOND, "{\"library\":\"l\",\"hooked\":true}");
	fact(CF_FACT_STOP, 74 * SECOND, "{\"reason\":\"agent exited\"}");
	run_ends("{\"totals\":{\"llm_calls\":2,\"tool_calls\":1,\"errors\":0,\"tokens_in\":8100,"
		 "\"tokens_out\":412,"
		 "\"cost\":0.5},\"capture\":{\"completeness\":{\"complete\":true}}}",
		 "trace-r.json");
	said();
	ck_assert(console_complete(con));
	console_end(con);
	ck_assert_str_eq(
		said(),
		"1 run, 2 model calls (8.1k -> 412 tok, $0.500), 1 tool call, 0 errors, 1 file, 1 "
		"host "
		"in 1m 04s\n"
		"complete: nothing was lost, everything was read\n"
		"trace: ./traces/trace-r.json. Next: cf-observe show ./traces/trace-r.json\n");
	run_ends("{\"capture\":{\"completeness\":{\"complete\":false,\"missing\":[\"2 connections "
		 "not decoded\"]}}}",
		 NULL);
	ck_assert(!console_complete(con));
	console_end(con);
	const char *text = said();

	ck_assert_ptr_nonnull(
		strstr(text, "INCOMPLETE: 1 of 2 runs\n  2 connections not decoded\n"));
	ck_assert_ptr_nonnull(strstr(text, "cf-observe recover ./traces"));
}
END_TEST

/* A library that was hooked or a call that was seen in plain. */
START_TEST(what_is_covered)
{
	fact(CF_FACT_PROCESS, 1, "{\"pid\":812,\"comm\":\"sleep\",\"root\":true}");
	fact(CF_FACT_READY, 1, "{\"processes\":1}");
	ck_assert_ptr_nonnull(
		strstr(said(), "ready: watching 1 process; TLS libraries are hooked when"));
	ck_assert(!console_covered(con));
	run_ends("{\"totals\":{\"llm_calls\":1}}", "f");
	ck_assert(console_covered(con));
}
END_TEST

START_TEST(quiet_and_json)
{
	done();
	begin((struct console_setup){ .quiet = true, .dir = "d" });
	step(LLM "}}", false);
	fact(CF_FACT_LIBRARY, 4, "{\"library\":\"l\",\"hooked\":true}");
	fact(CF_FACT_STOP, 5, "{}");
	run_ends("{\"capture\":{\"completeness\":{\"complete\":true}}}", "f");
	console_end(con);
	ck_assert_str_eq(said(), "");
	fact(CF_FACT_COUNTERS, 9 * SECOND, "{\"lost_map\":1}");
	ck_assert_ptr_nonnull(strstr(said(), "LOST 1 events"));
	done();
	begin((struct console_setup){ .json = true, .color = true });
	step(LLM "}}", false);
	const char *text = said();
	struct span value;

	ck_assert_int_eq(json_value(span_of(text), &value, NULL), 0);
	ck_assert_ptr_null(strchr(text, '\033'));
	ck_assert(span_starts(json_get(value, "message"), SPAN("\"12:04:07 claude[812]")));
}
END_TEST

START_TEST(colour_only_when_asked)
{
	step(LLM ",\"error\":{\"message\":\"x\"}}}", false);
	ck_assert_ptr_null(strchr(said(), '\033'));
	done();
	begin((struct console_setup){ .color = true });
	step(LLM ",\"error\":{\"message\":\"x\"}}}", false);
	ck_assert_ptr_nonnull(strstr(said(), "\033[31m12:04:07"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("console");
	TCase *t = tcase_create("console");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, fresh, done);
	tcase_add_test(t, a_model_call_in_one_line);
	tcase_add_test(t, a_tool_call_is_told_when_its_result_is_known);
	tcase_add_test(t, nothing_dangerous_is_printed);
	tcase_add_test(t, facts_are_told);
	tcase_add_test(t, losses_are_told_once_each_second);
	tcase_add_test(t, the_end_sums_up);
	tcase_add_test(t, what_is_covered);
	tcase_add_test(t, quiet_and_json);
	tcase_add_test(t, colour_only_when_asked);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
