/* show, check and recover, as a person meets them. */
#include "sink/cmd.h"
#include "sink/dir.h"
#include "trace/write.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define T0 1768991400123000000ll /* 2026-01-21T10:30:00.123Z */
#define ID "7d5f2c1e-0b7a-4c55-9d0e-3f2b1a0c9d8e"

static char root[64], file[400];
static char printed[65536];

static void setup(void)
{
	snprintf(root, sizeof(root), "/tmp/test_cmd.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	unsetenv("NO_COLOR");
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

/* Runs a command with stdout and stderr in `printed`. */
static int run(int (*cmd)(int, char **), const char *a, const char *b)
{
	char *argv[] = { (char *)"cmd", (char *)a, (char *)b, NULL };
	FILE *f = tmpfile();
	int out = dup(1), err = dup(2);

	fflush(stdout);
	dup2(fileno(f), 1);
	dup2(fileno(f), 2);
	int status = cmd(b ? 3 : 2, argv);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	rewind(f);
	size_t n = fread(printed, 1, sizeof(printed) - 1, f);
	printed[n] = 0;
	fclose(f);
	return status;
}

static void says(const char *text)
{
	ck_assert_msg(strstr(printed, text), "no \"%s\" in\n%s", text, printed);
}

static const char *path_of(const char *name)
{
	snprintf(file, sizeof(file), "%s/%s", root, name);
	return file;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");

	fputs(text, f);
	fclose(f);
}

#define HEAD "{\"run_id\":\"" ID "\",\"started_at\":\"2026-01-21T10:30:00.123Z\",\"agent_info\":{\"name\":\"claude\",\"version\":\"1.2\"}"
#define META ",\"metadata\":{\"schema\":\"contextforge-trace/1\",\"k\":1}"

static const char tree[] = HEAD ",\"ended_at\":\"2026-01-21T10:30:12.123Z\",\"metadata\":{\"schema\":\"contextforge-trace/1\","
	"\"state\":\"completed\",\"capture\":{\"completeness\":{\"complete\":false,\"lost\":{\"buffer_full\":1204}}}},\"steps\":["
	"{\"step_id\":\"u\",\"step_type\":\"user_input\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"content\":\"fix \\u001b[31mit\\u202e\"},"
	"{\"step_id\":\"l\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:01.000Z\",\"model\":\"claude-sonnet-4\","
	"\"input\":\"i\",\"output\":{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"c\",\"name\":\"Bash\","
	"\"arguments\":{}}]},\"tokens_in\":8100,\"tokens_out\":412,\"latency_ms\":3400,\"cost_estimate\":0.031,"
	"\"provider\":\"anthropic\",\"metadata\":{\"usage\":{\"cache_read_input_tokens\":7200}}},"
	"{\"step_id\":\"l2\",\"step_type\":\"llm_call\",\"timestamp\":\"2026-01-21T10:30:04.500Z\",\"model\":\"m\",\"input\":\"i\","
	"\"output\":\"\",\"metadata\":{\"missing\":[\"output\"],\"error\":{\"type\":\"overloaded\",\"message\":\"try later\"}}},"
	"{\"step_id\":\"t\",\"step_type\":\"tool_call\",\"timestamp\":\"2026-01-21T10:30:04.600Z\",\"parent_step_id\":\"l\","
	"\"tool_name\":\"Bash\",\"arguments\":{\"command\":\"npm test\"},\"result\":\"\",\"success\":false,\"error\":\"exit 1\","
	"\"latency_ms\":2900,\"metadata\":{\"missing\":[\"result\"],\"incomplete\":true,\"reason\":\"cut\",\"missing_bytes\":7,"
	"\"effects\":{\"files\":[1,2,3],\"processes\":[1]}}},"
	"{\"step_id\":\"s\",\"step_type\":\"state_change\",\"timestamp\":\"2026-01-21T10:30:05.000Z\",\"parent_step_id\":\"t\","
	"\"state_key\":\"file\",\"new_value\":{\"a\":1}}]}";

START_TEST(a_run_is_shown_as_a_tree)
{
	put("trace-a.json", tree);
	ck_assert_int_eq(run(cmd_show, path_of("trace-a.json"), NULL), 0);
	ck_assert_str_eq(printed,
		"run " ID "  claude 1.2  2026-01-21 10:30:00  12.0 s  completed\n"
		"10:30:00.123  user    fix \\x1b[31mit\\u{202e}\n"
		"10:30:01.000  llm     anthropic claude-sonnet-4  8.1k -> 412 tok (7.2k cached)  3.4 s  $0.031  -> Bash\n"
		"10:30:04.600  `- tool    Bash  {\"command\":\"npm test\"}  failed  2.9 s  exit 1  1 process, 3 files"
		"  [incomplete: cut, missing bytes: 7]\n"
		"10:30:05.000     `- state   file  {\"a\":1}\n"
		"10:30:04.500  llm     m  error: try later\n"
		"5 steps, 2 model calls, 1 tool call, 8.1k -> 412 tokens (7.2k cached), $0.0310, 2 errors, 1 incomplete\n"
		"INCOMPLETE\n  lost: {\"buffer_full\":1204}\n");
	ck_assert_int_eq(run(cmd_show, root, "--json"), 0);
	says("\"run_id\":\"" ID "\"");
	says("\"steps\":5,\"llm_calls\":2,\"tool_calls\":1,\"tokens_in\":8100,\"tokens_out\":412,\"cost_estimate\":0.031");
	says("\"complete\":false}");
}
END_TEST

START_TEST(parents_in_a_circle_are_shown)
{
	put("trace-a.json", HEAD ",\"steps\":["
	    "{\"step_id\":\"a\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00Z\",\"content\":\"AA\",\"parent_step_id\":\"b\"},"
	    "{\"step_id\":\"b\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00Z\",\"content\":\"BB\",\"parent_step_id\":\"a\"},"
	    "{\"step_id\":\"c\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00Z\",\"content\":\"CC\",\"parent_step_id\":\"c\"}]}");
	ck_assert_int_eq(run(cmd_show, root, NULL), 0);
	says("AA");
	says("BB");
	says("CC");
}
END_TEST

START_TEST(a_directory_shows_the_newest_and_lists_all)
{
	struct timespec old[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };

	put("trace-b.json", tree);
	put("trace-a.json", HEAD ",\"steps\":[]}");
	put("notes.json", "no trace");
	utimensat(AT_FDCWD, path_of("trace-b.json"), old, 0);
	ck_assert_int_eq(run(cmd_show, root, NULL), 0);
	says("0 steps\n2 runs in ");
	ck_assert_int_eq(run(cmd_show, "--list", root), 0);
	says("trace-a.json\n");
	says("trace-b.json\n");
	says("5 steps, 2 model calls");
	ck_assert_int_eq(run(cmd_show, path_of("nothing"), NULL), CMD_NOT_FOUND);
	ck_assert_int_eq(run(cmd_show, "--wat", root), CMD_BAD_USAGE);
	put("trace-c.json", "{\"run_id\":\"x\"");
	ck_assert_int_eq(run(cmd_show, path_of("trace-c.json"), NULL), CMD_NO);
	says("a comma or the end of the run is missing");
}
END_TEST

START_TEST(check_names_files_and_places)
{
	put("trace-a.json", HEAD META ",\"steps\":[]}");
	ck_assert_int_eq(run(cmd_check, root, NULL), 0);
	says("trace-a.json: valid, 0 steps\n");
	put("trace-b.json", HEAD META ",\"steps\":[{\"step_id\":\"a\",\"step_type\":\"user_input\","
	    "\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"content\":1}]}");
	ck_assert_int_eq(run(cmd_check, root, NULL), 1);
	says("trace-a.json: valid");
	says("trace-b.json: steps[0].content: must be text\n");
	says("trace-b.json: not valid, 1 step, 1 problem\n");
	ck_assert_int_eq(run(cmd_check, root, "--json"), 1);
	says("\"place\":\"steps[0].content\",\"message\":\"must be text\",\"warning\":false}");
	ck_assert_int_eq(run(cmd_check, path_of("nothing"), NULL), CMD_NOT_FOUND);
	ck_assert_int_eq(run(cmd_check, "--schema", NULL), 0);
	says("\"$schema\"");
}
END_TEST

static const char journal[] = HEAD META "}\n"
	"{\"step_id\":\"b\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:03.000Z\",\"content\":\"later\"}\n"
	"{\"step_id\":\"a\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:02.000Z\",\"content\":\"old\"}\n"
	"{\"step_id\":\"a\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:02.000Z\",\"content\":\"new\"}\n"
	"{\"step_id\":\"c\",\"step_type\":\"final_ou";

START_TEST(a_journal_becomes_a_trace)
{
	put("trace-a.jsonl.part", journal);
	ck_assert_int_eq(run(cmd_show, root, NULL), 0);
	says("running or cut");
	says("2 steps\n");
	ck_assert_int_eq(run(cmd_recover, root, NULL), 0);
	says("trace-a.json: recovered, 3 lines of steps, 36 bytes of a cut write dropped\n");
	ck_assert_int_ne(access(path_of("trace-a.jsonl.part"), F_OK), 0);
	ck_assert_int_eq(run(cmd_check, root, NULL), 0);
	says("trace-a.json: valid, 2 steps\n");
	FILE *f = fopen(path_of("trace-a.json"), "re");
	printed[fread(printed, 1, sizeof(printed) - 1, f)] = 0;
	fclose(f);
	says("\"ended_at\":\"2026-01-21T10:30:03.000Z\"");
	says("{\"schema\":\"contextforge-trace/1\",\"k\":1,\"state\":\"failed\",\"recovered\":{\"reason\":\"");
	says("\"dropped_bytes\":36,");
	ck_assert_ptr_null(strstr(printed, "old"));
	ck_assert(strstr(printed, "later") > strstr(printed, "new"));
	ck_assert_int_eq(run(cmd_recover, root, NULL), 0);
	says("nothing to recover");
}
END_TEST

START_TEST(what_cannot_be_recovered_stays)
{
	put("trace-a.jsonl.part", "{\"run_id\":\"x");
	put("trace-b.jsonl.part", journal);
	put("trace-b.json", "the whole trace");
	put("trace-c.jsonl.part", "{\"run_id\":7}\n");
	put("trace-d.jsonl.part", journal);
	int busy = open(path_of("trace-d.jsonl.part"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(flock(busy, LOCK_EX), 0);
	ck_assert_int_eq(symlink("/etc/passwd", path_of("trace-e.jsonl.part")), 0);
	ck_assert_int_eq(run(cmd_recover, root, NULL), 1);
	says("trace-a.jsonl.part: holds no run, left alone\n");
	says("trace-b.json: was there already; its journal is removed\n");
	says("trace-c.jsonl.part: damaged, left alone: run_id must be text\n");
	says("trace-d.jsonl.part: still being written, left alone\n");
	ck_assert_ptr_null(strstr(printed, "trace-e.json: rec"));
	ck_assert_int_eq(access(path_of("trace-a.jsonl.part"), F_OK), 0);
	ck_assert_int_ne(access(path_of("trace-b.jsonl.part"), F_OK), 0);
	ck_assert_int_eq(access(path_of("trace-d.jsonl.part"), F_OK), 0);
	close(busy);
}
END_TEST

/* A writer that is killed in the middle of everything loses at most the step it is writing. */
START_TEST(kill_loses_nothing_that_was_flushed)
{
	int pipes[2];
	char byte;

	ck_assert_int_eq(pipe(pipes), 0);
	pid_t child = fork();
	if (!child) {
		struct dir_sink *s;
		struct dir_run *r;
		struct run_info info = { .run_id = SPAN(ID), .started_ns = T0, .agent_info = SPAN("{\"name\":\"a\"}") };
		if (dir_sink_open(root, (uid_t)-1, (gid_t)-1, &s) || dir_sink_begin(s, &info, &r))
			_exit(1);
		for (int i = 0;; i++) {
			char id[16];
			struct step step = { .type = STEP_FINAL_OUTPUT, .began_ns = T0 + i };
			snprintf(id, sizeof(id), "%d", i);
			step.id = span_of(id);
			step.values[FO_CONTENT] = SPAN("\"x\"");
			dir_run_step(r, &step);
			dir_run_flush(r);
			if (i == 500 && write(pipes[1], "x", 1) != 1)
				_exit(1);
		}
	}
	ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
	run(cmd_recover, root, NULL);
	says("still being written");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ck_assert_int_eq(run(cmd_recover, root, NULL), 0);
	ck_assert_int_eq(run(cmd_check, root, "--json"), 0);
	char *steps = strstr(printed, "\"steps\":");
	ck_assert_int_ge(atoi(steps + 8), 501);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cmd");
	TCase *c = tcase_create("cmd");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 20);
	tcase_add_test(c, a_run_is_shown_as_a_tree);
	tcase_add_test(c, parents_in_a_circle_are_shown);
	tcase_add_test(c, a_directory_shows_the_newest_and_lists_all);
	tcase_add_test(c, check_names_files_and_places);
	tcase_add_test(c, a_journal_becomes_a_trace);
	tcase_add_test(c, what_cannot_be_recovered_stays);
	tcase_add_test(c, kill_loses_nothing_that_was_flushed);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
