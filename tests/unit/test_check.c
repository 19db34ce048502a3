/* The reader and the check: each rule of the contract has a text that breaks it and a message that names the place. */
#include "trace/check.h"

#include "base/limits.h"
#include "trace/read.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static int fd_with(const char *text, size_t len)
{
	int fd = memfd_create("trace", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

struct said {
	char text[2000]; /* "place: message\n" each */
};

static void on_problem(void *ctx, const struct problem *p, bool warning)
{
	struct said *s = ctx;
	size_t len = strlen(s->text);

	snprintf(s->text + len, sizeof(s->text) - len, "%s%s: %s\n", warning ? "warning: " : "", p->place, p->message);
}

static struct check check_text(const char *text, bool journal, struct said *said)
{
	struct check c = { .level = CHECK_AUTO, .journal = journal, .on_problem = on_problem, .ctx = said };
	int fd = fd_with(text, strlen(text));

	said->text[0] = 0;
	ck_assert_int_eq(check_fd(fd, &c), 0);
	close(fd);
	return c;
}

#define ID "7d5f2c1e-0b7a-4c55-9d0e-3f2b1a0c9d8e"
#define HEAD "{\"run_id\":\"" ID "\",\"started_at\":\"2026-01-21T10:30:00.123Z\",\"ended_at\":\"2026-01-21T10:31:00.123Z\","
#define AGENT "\"agent_info\":{\"name\":\"a\"},"
#define META "\"metadata\":{\"schema\":\"contextforge-trace/1\",\"state\":\"completed\"},"
#define STRICT HEAD AGENT META "\"steps\":["
#define OTHERS HEAD AGENT "\"steps\":["
#define END "]}\n"
#define BASE(id, type) "{\"step_id\":\"" id "\",\"step_type\":\"" type "\",\"timestamp\":\"2026-01-21T10:30:00.123Z\","
#define STEP(id) BASE(id, "final_output") "\"content\":1}"
#define LLM(rest) BASE("l", "llm_call") "\"model\":\"m\",\"input\":\"i\",\"output\":\"o\"," rest "}"
#define INPUT(messages) BASE("l", "llm_call") "\"model\":\"m\",\"input\":[" messages "],\"output\":\"o\"}"

static const struct {
	const char *text;
	const char *said; /* the whole of it; NULL: nothing */
} cases[] = {
	{ STRICT STEP("a") "," STEP("b") END, NULL },
	{ OTHERS END, NULL },
	{ " \n" STRICT " \n" STEP("a") "\t, " STEP("b") "  ] } \n ", NULL },
	/* the run */
	{ "{" AGENT META "\"steps\":[]}", "run_id: is required\nstarted_at: is required\n"
	  "metadata.state: has ended, but ended_at is missing\n" },
	{ "{\"run_id\":\"mine\",\"started_at\":\"2026-01-21 10:30:00+01:00\"," AGENT "\"steps\":[]}", NULL },
	{ "{\"run_id\":\"mine\",\"started_at\":\"2026-01-21T10:30:00.000Z\"," AGENT
	  "\"metadata\":{\"schema\":\"contextforge-trace/1\"},\"steps\":[]}", "run_id: must be a UUID of version 4\n" },
	{ "{\"run_id\":7,\"steps\":[]}", "run_id: must be text\n" },
	{ "{\"run_id\":\"a\",\"started_at\":\"2026-13-21T10:30:00Z\"}",
	  "started_at: is not a time such as 2026-01-21T10:30:00.123Z\n" },
	{ "{\"run_id\":\"a\",\"started_at\":\"2026-01-21T10:30:00Z\",\"ended_at\":\"2026-01-21T10:29:59Z\"," AGENT "\"steps\":[]}",
	  "ended_at: is before started_at\n" },
	{ HEAD "\"steps\":[]}", "agent_info: is required\n" },
	{ HEAD "\"agent_info\":{\"version\":1},\"steps\":[]}", "agent_info.name: is required\nagent_info.version: must be text\n" },
	{ HEAD AGENT "\"task_info\":{\"input\":\"x\"},\"steps\":[]}", "task_info.input: must be an object\n" },
	{ HEAD AGENT "\"metadata\":[],\"steps\":[]}", "metadata: must be an object\n" },
	{ HEAD AGENT "\"steps\":{}}", "steps: must be an array\n" },
	{ HEAD AGENT META "\"x\":1}", "steps: is missing\n" },
	{ HEAD AGENT "\"metadata\":{\"schema\":\"contextforge-trace/1\",\"state\":\"done\"},\"steps\":[]}",
	  "metadata.state: must be one of: running, completed, failed\n" },
	{ HEAD AGENT "\"metadata\":{\"schema\":\"contextforge-trace/1\",\"state\":\"running\"},\"steps\":[]}",
	  "metadata.state: is running, but there is ended_at\n" },
	{ HEAD AGENT "\"metadata\":{\"schema\":\"contextforge-trace/1\",\"capture\":{}},\"steps\":[]}",
	  "metadata.capture.completeness: is required\n" },
	{ HEAD AGENT "\"metadata\":{\"schema\":\"contextforge-trace/1\",\"capture\":{\"completeness\":{\"complete\":1}}},"
	  "\"steps\":[]}", "metadata.capture.completeness.complete: must be true or false\n" },
	{ HEAD AGENT "\"metadata\":{\"schema\":\"contextforge-trace/1\",\"capture\":{\"completeness\":{\"complete\":true,"
	  "\"lost\":{\"ring\":{\"events\":3}}}}},\"steps\":[]}",
	  "metadata.capture.completeness.complete: is true although something was lost\n" },
	{ HEAD AGENT "\"metadata\":{\"schema\":\"contextforge-trace/1\",\"capture\":{\"completeness\":{\"complete\":false,"
	  "\"lost\":{\"ring\":{\"events\":3}}}}},\"steps\":[]}", NULL },
	/* all steps */
	{ STRICT STEP("a") "," STEP("b") "," STEP("a") END, "steps[2].step_id: is the same as that of steps[0]\n" },
	{ STRICT BASE("a", "final_output") "\"content\":1,\"parent_step_id\":\"zz\"}" END,
	  "steps[0].parent_step_id: is not a step of this run\n" },
	{ STRICT BASE("a", "final_output") "\"content\":1,\"parent_step_id\":\"b\"}," STEP("b") END, NULL },
	{ STRICT BASE("a", "final_output") "\"content\":1,\"parent_step_id\":\"a\"}" END,
	  "steps[0].parent_step_id: is the step itself\n" },
	{ STRICT BASE("", "final_output") "\"content\":1}" END, "steps[0].step_id: must not be empty\n" },
	{ STRICT "7" END, "steps[0]: must be an object\n" },
	{ STRICT STEP("a") ",{\"step_id\":\"b\"}" END, "steps[1].step_type: is required and must be text\n" },
	{ STRICT BASE("a", "dream") "\"content\":1}" END, "steps[0].step_type: is not known: dream\n" },
	{ OTHERS BASE("a", "dream") "\"content\":1}," BASE("b", "final_output") "\"content\":1,\"parent_step_id\":\"a\"}" END,
	  "warning: steps[0].step_type: is not known: dream\n" },
	{ STRICT "{\"step_id\":\"a\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00Z\",\"content\":1}" END,
	  "steps[0].timestamp: must be in UTC with milliseconds and Z: 2026-01-21T10:30:00.123Z\n" },
	{ OTHERS "{\"step_id\":\"a\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00Z\",\"content\":1}" END, NULL },
	{ STRICT STEP("a") ",{\"step_id\":\"b\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00.122Z\","
	  "\"content\":1}" END, "steps[1].timestamp: is before the step in front of it\n" },
	{ STRICT BASE("a", "final_output") "\"content\":1,\"metadata\":3}" END, "steps[0].metadata: must be an object\n" },
	{ STRICT BASE("a", "final_output") "\"content\":[\"\xff\"]}" END, "steps[0].content: is not valid UTF-8\n" },
	{ STRICT BASE("a", "final_output") "\"content\":\"\\udc00\"}" END, "steps[0].content: holds half of a surrogate pair\n" },
	/* each type */
	{ STRICT BASE("a", "user_input") "\"content\":[1],\"input_type\":\"smell\"}" END,
	  "steps[0].content: must be text\nsteps[0].input_type: must be one of: text, file, voice, image\n" },
	{ STRICT BASE("l", "llm_call") "\"input\":7}" END, "steps[0].model: is required\n"
	  "steps[0].input: must be text or an array of objects\nsteps[0].output: is required\n" },
	{ STRICT LLM("\"tokens_in\":\"5\"") END, "steps[0].tokens_in: must be a whole number, 0 or more\n" },
	{ STRICT LLM("\"tokens_out\":-1") END, "steps[0].tokens_out: must be a whole number, 0 or more\n" },
	{ STRICT LLM("\"latency_ms\":1.5") END, "steps[0].latency_ms: must be a whole number, 0 or more\n" },
	{ STRICT LLM("\"cost_estimate\":\"1\",\"provider\":null") END, "steps[0].cost_estimate: must be a number\n" },
	{ STRICT LLM("\"llm.model_name\":\"x\"") END, "steps[0]: llm.model_name is only a name that readers accept\n" },
	{ OTHERS LLM("\"llm.model_name\":\"x\",\"later\":1") END, NULL },
	{ STRICT INPUT("{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"pope\",\"content\":3}") END,
	  "steps[0].input[1].role: must be one of: system, user, assistant, tool\n"
	  "steps[0].input[1].content: must be text or an array of parts\n" },
	{ OTHERS INPUT("{\"role\":\"human\"}") END, NULL },
	{ STRICT INPUT("{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},"
	  "{\"type\":\"tool_call\",\"id\":\"1\",\"arguments\":{}},{\"type\":\"thought\"},{\"type\":\"image\",\"url\":\"u\"}]}") END,
	  "steps[0].input[0].content[1].name: is required\n"
	  "steps[0].input[0].content[2].type: must be one of: text, tool_call, tool_result, reasoning, image, audio, file, other\n" },
	{ STRICT BASE("t", "tool_call") "\"tool_name\":\"t\",\"arguments\":\"x\",\"success\":1,\"resource_impact\":{\"unit\":\"u\"}}" END,
	  "steps[0].arguments: must be an object\nsteps[0].result: is required\nsteps[0].success: must be true or false\n"
	  "steps[0].resource_impact.amount: is required\n" },
	{ STRICT BASE("r", "retrieval") "\"query\":\"q\",\"results\":[{\"content\":\"c\"},{\"score\":\"x\"},5],\"match_count\":3}" END,
	  "steps[0].results[1].content: is required\nsteps[0].results[1].score: must be a number\n"
	  "steps[0].results[2]: must be an object\n" },
	{ STRICT BASE("m", "memory_read") "\"query\":1,\"results\":[],\"match_count\":0,\"relevance_scores\":[1,\"x\"]}" END,
	  "steps[0].query: must be text or an object\nsteps[0].relevance_scores: must be an array of numbers\n" },
	{ STRICT BASE("m", "memory_write") "\"operation\":\"put\",\"data\":{},\"namespace\":[1],\"changes\":[{\"old_value\":1}]}" END,
	  "steps[0].entity_type: is required\nsteps[0].namespace: must be an array of text\n"
	  "steps[0].changes[0].path: is required\nsteps[0].operation: must be one of: add, update, delete\n" },
	{ OTHERS BASE("m", "memory_write") "\"operation\":\"put\",\"data\":{}}" END, NULL },
	{ OTHERS BASE("m", "memory_write") "\"operation\":\"burn\",\"data\":{}}" END,
	  "steps[0].operation: must be one of: add, update, delete\n" },
	{ STRICT BASE("s", "state_change") "\"state_key\":\"k\",\"new_value\":null,\"reason\":1}" END, "steps[0].reason: must be text\n" },
	{ STRICT BASE("i", "interrupt") "\"prompt\":null,\"response\":[],\"wait_duration_ms\":1}" END,
	  "steps[0].prompt: must be text\nsteps[0].response: must be text or an object\n" },
	{ STRICT BASE("f", "final_output") "\"format\":\"text\"}" END, "steps[0].content: is required\n" },
	/* metadata of a step */
	{ STRICT BASE("f", "final_output") "\"content\":1,\"metadata\":{\"source\":\"rumour\",\"provenance\":\"heard\","
	  "\"pid\":\"1\",\"input_base\":{\"step_id\":\"nope\",\"messages\":1}}}" END,
	  "steps[0].metadata.source: must be one of: tls, socket, pipe, tty, process, tracer, otlp\n"
	  "steps[0].metadata.provenance: must be one of: observed, inferred, reported\n"
	  "steps[0].metadata.pid: must be a whole number, 0 or more\n"
	  "steps[0].metadata.input_base.step_id: is not a step of this run\n" },
	{ STRICT BASE("f", "final_output") "\"content\":\"x\",\"metadata\":{\"missing\":[\"format\",\"content\"]}}" END,
	  "steps[0].metadata.missing[0]: names no required field\nsteps[0].metadata.missing[1]: names content, which has a value\n" },
	{ STRICT BASE("f", "final_output") "\"content\":\"\",\"metadata\":{\"missing\":[\"content\"]}}" END, NULL },
	/* not JSON */
	{ "", ": is no JSON object (near byte 0)\n" },
	{ "[]", ": is no JSON object (near byte 0)\n" },
	{ "{\"run_id\":}", ": is not JSON (near byte 10)\n" },
	{ "{\"run_id\" 1}", ": a colon is missing (near byte 10)\n" },
	{ "{\"a\":1 \"b\":2}", ": a comma or the end of the run is missing (near byte 7)\n" },
	{ "{\"a\":1,}", ": a member's name is missing (near byte 7)\n" },
	{ "{\"steps\":[1 2]}", "steps[0]: must be an object\nsteps[1]: a comma is missing (near byte 12)\n" },
	{ "{\"steps\":[{\"a\":", "steps[0]: the file ends inside a value (near byte 10)\n" },
	{ "{\"steps\":[", "steps[0]: the file ends inside the steps (near byte 10)\n" },
	{ "{\"a\":1", ": a comma or the end of the run is missing (near byte 6)\n" },
	{ "{\"steps\":[]} {}", ": something follows the end of the run (near byte 13)\n" },
};

START_TEST(each_rule_names_its_place)
{
	struct said said;
	struct check c = check_text(cases[_i].text, false, &said);

	ck_assert_msg(strcmp(said.text, cases[_i].said ? cases[_i].said : "") == 0, "%d: %s\nsaid\n%s", _i, cases[_i].text,
		      said.text);
	ck_assert_int_eq(c.problems > 0, cases[_i].said && strncmp(cases[_i].said, "warning", 7) != 0);
}
END_TEST

START_TEST(a_journal_is_checked_line_by_line)
{
	struct said said;
	struct check c = check_text(HEAD AGENT "\"metadata\":{}}\n" STEP("a") "\n" STEP("a") "\n"
				    BASE("b", "final_output") "\"content\":1,\"parent_step_id\":\"a\"}\n{\"step_id\":\"c", true, &said);

	ck_assert_str_eq(said.text, "warning: : 13 bytes are no whole line: a write was cut short\n");
	ck_assert_uint_eq(c.steps, 3);
	ck_assert_uint_eq(c.problems, 0);
	check_text(HEAD AGENT META "\"x\":1}\n" STEP("a") "\n" LLM("\"tokens_in\":-5") "\n", true, &said);
	ck_assert_str_eq(said.text, "line[3].tokens_in: must be a whole number, 0 or more\n");
	check_text(STEP("a") "\n", true, &said);
	ck_assert_ptr_nonnull(strstr(said.text, "run_id: is required\n"));
}
END_TEST

/* Members behind the steps, values longer than what is read ahead, numbers at the edge of a read. */
START_TEST(a_reader_walks_any_shape)
{
	for (size_t size = 1000; size < 900000; size = size * 3 + 7) {
		struct run_reader r;
		struct run_item item;
		char *text = malloc(size + 2000), *p = text;
		p += sprintf(p, "{\"x\":[1,2],\"steps\":[{\"step_id\":\"");
		memset(p, 'a', size);
		p += size;
		p += sprintf(p, "\"},12345,67890");
		for (int i = 0; i < 64; i++)
			p += sprintf(p, ",%d", i * 1111);
		p += sprintf(p, "],\"run_id\":\"r\"}");
		int fd = fd_with(text, (size_t)(p - text));
		run_reader_init(&r, fd, false);
		ck_assert_int_eq(run_reader_next(&r, &item), 1);
		ck_assert_uint_eq(item.raw.len, size + 14);
		ck_assert_uint_eq(item.at, 20);
		ck_assert_int_eq(run_reader_next(&r, &item), 1);
		ck_assert(span_is(item.raw, "12345"));
		ck_assert_int_eq(run_reader_next(&r, &item), 1);
		ck_assert(span_is(item.raw, "67890"));
		for (int i = 0; i < 64; i++) {
			char want[16];
			sprintf(want, "%d", i * 1111);
			ck_assert_int_eq(run_reader_next(&r, &item), 1);
			ck_assert(span_is(item.raw, want));
		}
		ck_assert_int_eq(run_reader_next(&r, &item), 0);
		ck_assert_int_eq(run_reader_next(&r, &item), 0);
		ck_assert(span_is(r.run.run_id, "r"));
		ck_assert(span_is(r.run.extra, "\"x\":[1,2]"));
		run_reader_fini(&r);
		close(fd);
		free(text);
	}
}
END_TEST

static long peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* 200,000 steps, 16 MB, each the child of the one before. */
START_TEST(memory_stays_flat)
{
	char path[] = "/tmp/test_check.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w+e");
	struct check c = { .level = CHECK_AUTO };

	unlink(path);
	fputs(STRICT, f);
	for (int i = 0; i < 200000; i++)
		fprintf(f, "%s{\"step_id\":\"%d\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00.123Z\","
			"\"parent_step_id\":\"%d\",\"content\":1}", i ? "," : "", i, i ? i - 1 : 1);
	fputs(END, f);
	fflush(f);
	lseek(fd, 0, SEEK_SET);
	long before = peak_kib();
	ck_assert_int_eq(check_fd(fd, &c), 0);
	ck_assert_uint_eq(c.steps, 200000);
	ck_assert_uint_eq(c.problems, 0);
	ck_assert_int_lt(peak_kib() - before, 8000);
	fclose(f);
}
END_TEST

/* Bytes of any kind never do more than be wrong. */
START_TEST(damaged_files_are_only_wrong)
{
	static const char good[] = STRICT LLM("\"tokens_in\":5") "," INPUT("{\"role\":\"user\",\"content\":\"x\"}") END;
	struct check c = { .level = CHECK_AUTO };
	char text[sizeof(good)];
	unsigned seed = 7;

	for (int i = 0; i < 20000; i++) {
		size_t len = sizeof(good) - 1;
		memcpy(text, good, len);
		for (int n = 0; n < 1 + i % 3; n++) {
			seed = seed * 1103515245 + 12345;
			text[(seed >> 8) % len] = "{}[]\",:\\\xff" "0x"[seed >> 28 & 7 ? (seed >> 3) % 11 : 0];
		}
		if (i % 5 == 0)
			len = (seed >> 4) % len;
		int fd = fd_with(text, len);
		c.journal = i & 1;
		ck_assert_int_eq(check_fd(fd, &c), 0);
		close(fd);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("check");
	TCase *c = tcase_create("check");

	tcase_set_timeout(c, 30);
	tcase_add_loop_test(c, each_rule_names_its_place, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(c, a_journal_is_checked_line_by_line);
	tcase_add_test(c, a_reader_walks_any_shape);
	tcase_add_test(c, memory_stays_flat);
	tcase_add_test(c, damaged_files_are_only_wrong);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
