/* libcontextforge as a program that uses it meets it: through the header and the shared library. */
#include "contextforge/tracer.h"

#include "sink/cmd.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64], traces[80];
static char text[1 << 20];

/* Allocation that fails on demand; the library, as everybody in the process, gets these. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
static int allocations_left = -1; /* -1: all succeed */

static bool allow(void)
{
	if (allocations_left < 0)
		return true;
	if (allocations_left == 0) {
		errno = ENOMEM;
		return false;
	}
	allocations_left--;
	return true;
}
void *malloc(size_t n) { return allow() ? __libc_malloc(n) : NULL; }
void *calloc(size_t n, size_t size) { return allow() ? __libc_calloc(n, size) : NULL; }
void *realloc(void *p, size_t n) { return allow() ? __libc_realloc(p, n) : NULL; }

static void setup(void)
{
	snprintf(root, sizeof(root), "/tmp/test_tracer.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(traces, sizeof(traces), "%s/a/traces", root);
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

static cf_run_options options_in(const char *path)
{
	cf_run_options o = { sizeof(o) };

	o.agent_name = "tester";
	o.output_path = path;
	return o;
}

static cf_run *open_run(const char *path)
{
	cf_run_options o = options_in(path);
	cf_run *run = cf_run_open(&o);

	ck_assert_msg(run != NULL, "%s", cf_error());
	return run;
}

static void fine(int err)
{
	ck_assert_msg(err == 0, "%d: %s", err, cf_error());
}

/* Closes and reads the file back. */
static const char *close_and_read(cf_run *run)
{
	char path[400];

	snprintf(path, sizeof(path), "%s", cf_run_path(run));
	fine(cf_run_close(run));
	ck_assert_msg(cf_check(path) == 0, "%s", cf_error());
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	return text;
}

static void has(const char *part)
{
	ck_assert_msg(strstr(text, part), "no %s in\n%s", part, text);
}

START_TEST(every_type_with_every_field)
{
	cf_run_options o = options_in(traces);
	cf_id user, id;

	o.agent_version = "1.2";
	o.agent_framework = "custom";
	o.agent_framework_version = "3";
	o.task_description = "d";
	o.task_goal = "g";
	o.task_input = cf_json("{\"n\":9223372036854775807}");
	o.metadata = cf_json("{\"mine\":true}");
	o.context_id = "ctx";
	cf_run *run = cf_run_open(&o);
	ck_assert_msg(run != NULL, "%s", cf_error());
	fine(cf_user_input(run, "What is \"2+2\"?\n", CF_WITH(cf_user_input_options, .input_type = cf_text("text")), &user));
	fine(cf_llm_call(run, "gpt-4", cf_json("[{\"role\":\"user\",\"content\":\"hi\"}]"), cf_text("4"),
		CF_WITH(cf_llm_call_options, .step = { .parent_step_id = user.text, .metadata = cf_json("{\"stream\":true}") },
			.tokens_in = cf_int(8), .tokens_out = cf_int(1), .tokens_total = cf_int(9), .latency_ms = cf_int(1200),
			.cost_estimate = cf_number(0.1), .provider = cf_text("openai")), NULL));
	fine(cf_tool_call(run, "calc", cf_json(" { \"x\" : 1e-7,\n\"s\":\"\\u0000\" } "), cf_null(),
		CF_WITH(cf_tool_call_options, .latency_ms = cf_int(3), .success = cf_bool(false), .error = cf_text("boom"),
			.resource_impact = cf_json("{\"amount\":1,\"unit\":\"credits\"}")), NULL));
	fine(cf_retrieval(run, "q", cf_json("[{\"content\":\"c\",\"score\":0.5}]"), -1,
		CF_WITH(cf_retrieval_options, .latency_ms = cf_int(2)), NULL));
	fine(cf_memory_read(run, cf_text("q"), cf_json("[1,2]"), 7,
		CF_WITH(cf_memory_read_options, .relevance_scores = cf_json("[0.1,0.2]"), .total_available = cf_int(9)), NULL));
	fine(cf_memory_write(run, "profile", "update", cf_json("{\"a\":1}"),
		CF_WITH(cf_memory_write_options, .entity_id = cf_text("e"), .name_space = cf_json("[\"p\",\"u\"]"), .key = cf_text("k"),
			.changes = cf_json("[{\"path\":\"$.a\",\"new_value\":1}]"), .triggered_by_step_id = cf_text(user.text)), NULL));
	fine(cf_state_change(run, "phase", cf_null(), CF_WITH(cf_state_change_options, .old_value = cf_text("x"),
		.reason = cf_text("r")), NULL));
	fine(cf_interrupt(run, "sure?", cf_text("yes"), 5, NULL, NULL));
	fine(cf_final_output(run, cf_number(-0.5), CF_WITH(cf_final_output_options, .format = cf_text("json")), &id));
	fine(cf_run_add_metadata(run, cf_json("{\"mine\":2,\"totals\":{\"steps\":9}}")));
	ck_assert_str_ne(id.text, user.text);
	close_and_read(run);
	has("\"agent_info\":{\"name\":\"tester\",\"version\":\"1.2\",\"framework\":\"custom\",\"framework_version\":\"3\"}");
	has("\"task_info\":{\"description\":\"d\",\"goal\":\"g\",\"input\":{\"n\":9223372036854775807}}");
	has("\"context_id\":\"ctx\",\"mine\":2,\"totals\":{\"steps\":9},\"state\":\"completed\"}");
	has("\"content\":\"What is \\\"2+2\\\"?\\n\",\"input_type\":\"text\",\"metadata\":{\"source\":\"tracer\",\"provenance\":\"reported\"}}");
	has("\"model\":\"gpt-4\",\"input\":[{\"role\":\"user\",\"content\":\"hi\"}],\"output\":\"4\",\"tokens_in\":8,\"tokens_out\":1,"
	    "\"tokens_total\":9,\"latency_ms\":1200,\"cost_estimate\":0.1,\"provider\":\"openai\",");
	has("\"stream\":true}");
	has("\"arguments\":{\"x\":1e-7,\"s\":\"\\u0000\"},\"result\":null,\"latency_ms\":3,\"success\":false,\"error\":\"boom\","
	    "\"resource_impact\":{\"amount\":1,\"unit\":\"credits\"}");
	has("\"results\":[{\"content\":\"c\",\"score\":0.5}],\"match_count\":1,\"latency_ms\":2");
	has("\"results\":[1,2],\"match_count\":7,\"relevance_scores\":[0.1,0.2],\"total_available\":9");
	has("\"entity_type\":\"profile\",\"operation\":\"update\",\"data\":{\"a\":1},\"entity_id\":\"e\",\"namespace\":[\"p\",\"u\"],\"key\":\"k\","
	    "\"changes\":[{\"path\":\"$.a\",\"new_value\":1}],\"triggered_by_step_id\":\"");
	has("\"state_key\":\"phase\",\"new_value\":null,\"old_value\":\"x\",\"reason\":\"r\"");
	has("\"prompt\":\"sure?\",\"response\":\"yes\",\"wait_duration_ms\":5");
	has("\"content\":-0.5,\"format\":\"json\"");
	struct stat st;
	ck_assert_int_eq(stat(traces, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
}
END_TEST

static void refused(int err, const char *message)
{
	ck_assert_int_eq(err, CF_INVALID);
	ck_assert_str_eq(cf_error(), message);
}

START_TEST(errors_name_the_field)
{
	cf_run *run = open_run(traces);
	cf_run_options bad = options_in(NULL);
	cf_id id;

	refused(cf_llm_call(run, "m", cf_int(5), cf_text("o"), NULL, NULL), "llm_call.input: must be text or an array of objects");
	refused(cf_llm_call(run, "m", cf_text("i"), cf_json("{\"a\":"), NULL, NULL), "llm_call.output: is not JSON");
	refused(cf_llm_call(run, "m", cf_text("i"), cf_text("o"), CF_WITH(cf_llm_call_options, .tokens_in = cf_int(-1)), NULL),
		"llm_call.tokens_in: must be a whole number, 0 or more");
	refused(cf_llm_call(run, "m", cf_text("i"), cf_text("o"), CF_WITH(cf_llm_call_options, .cost_estimate = cf_number(1.0 / 0.0)), NULL),
		"llm_call.cost_estimate: is no finite number");
	refused(cf_memory_write(run, "e", "burn", cf_json("{}"), NULL, NULL), "memory_write.operation: must be one of: add, update, delete");
	refused(cf_retrieval(run, "q", cf_json("[{\"score\":1}]"), 1, NULL, NULL), "retrieval.results[0].content: is required");
	refused(cf_user_input(run, "x", CF_WITH(cf_user_input_options, .input_type = cf_text("smell")), NULL),
		"user_input.input_type: must be one of: text, file, voice, image");
	refused(cf_final_output(run, cf_text("x"), CF_WITH(cf_final_output_options, .step.parent_step_id = "nobody"), NULL),
		"parent_step_id: nobody is not a step of this run");
	refused(cf_final_output(run, cf_text("x"), CF_WITH(cf_final_output_options, .step.metadata = cf_text("m")), NULL),
		"metadata: must be an object");
	refused(cf_final_output(run, cf_text("x"), &(cf_final_output_options){ 0 }, NULL), "options: size is not set");
	refused(cf_final_output(NULL, cf_text("x"), NULL, NULL), "run: is NULL");
	fine(cf_final_output(run, cf_text("x"), CF_WITH(cf_final_output_options, .step.step_id = "mine"), &id));
	ck_assert_str_eq(id.text, "mine");
	refused(cf_final_output(run, cf_text("x"), CF_WITH(cf_final_output_options, .step.step_id = "mine"), NULL),
		"step_id: mine is there already");
	fine(cf_final_output(run, cf_text("x"), CF_WITH(cf_final_output_options, .step.parent_step_id = "mine"), NULL));
	close_and_read(run);
	bad.agent_name = NULL;
	ck_assert_ptr_null(cf_run_open(&bad));
	ck_assert_str_eq(cf_error(), "agent_info.name: is required");
	bad = options_in(NULL);
	bad.run_id = "../x";
	ck_assert_ptr_null(cf_run_open(&bad));
	bad = options_in("/proc/nowhere");
	ck_assert_ptr_null(cf_run_open(&bad));
	ck_assert_int_eq(strncmp(cf_error(), "output_path: ", 13), 0);
	bad = options_in(NULL);
	const char *const patterns[] = { "a(b" };
	bad.redact_patterns = patterns;
	bad.n_redact_patterns = 1;
	ck_assert_ptr_null(cf_run_open(&bad));
	ck_assert_int_eq(strncmp(cf_error(), "redact_patterns: bad pattern 'a(b'", 34), 0);
}
END_TEST

START_TEST(what_is_not_known_is_said)
{
	cf_run *run = open_run(traces);

	fine(cf_llm_call(run, NULL, cf_text("i"), cf_make_value(CF_ABSENT), NULL, NULL));
	fine(cf_tool_call(run, "t", cf_text("not an object"), cf_text("r"), NULL, NULL));
	fine(cf_final_output(run, cf_text_n("\xff!", 2), NULL, NULL));
	fine(cf_llm_call(run, "m", cf_json("[{\"role\":\"human\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[1]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"u\":1},{\"type\":\"text\",\"text\":\"t\"}]}]"), cf_text("o"), NULL, NULL));
	close_and_read(run);
	has("\"model\":\"unknown\",\"input\":\"i\",\"output\":\"\",\"metadata\":{\"source\":\"tracer\",\"provenance\":\"reported\",\"missing\":[\"model\",\"output\"]}}");
	has("\"arguments\":{\"value\":\"not an object\"}");
	has("\"content\":\"\xef\xbf\xbd!\",\"metadata\":{\"source\":\"tracer\",\"provenance\":\"reported\",\"invalid_utf8\":true}}");
	has("[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"other\",\"value\":{\"role\":\"assistant\",\"content\":null,"
	    "\"tool_calls\":[1]}}]},{\"role\":\"user\",\"content\":[{\"type\":\"other\",\"value\":{\"type\":\"image_url\",\"u\":1}},{\"type\":\"text\",\"text\":\"t\"}]}]");
}
END_TEST

START_TEST(spans_measure_and_are_parents)
{
	cf_run *run = open_run(traces);
	char want[300];
	cf_id child;

	cf_span *outer = cf_begin(run, CF_STATE_CHANGE, "crew", CF_WITH(cf_begin_options, .metadata = cf_json("{\"kind\":\"crew\"}")));
	ck_assert_msg(outer != NULL, "%s", cf_error());
	cf_span *tool = cf_begin(run, CF_TOOL_CALL, "search", NULL);
	fine(cf_user_input(run, "inside", NULL, &child));
	cf_span *lone = cf_begin(run, CF_LLM_CALL, "m", CF_WITH(cf_begin_options, .detached = true, .parent_step_id = ""));
	fine(cf_user_input(run, "still inside the tool", NULL, NULL));
	usleep(30000);
	char tool_id[64], outer_id[64];
	snprintf(tool_id, sizeof(tool_id), "%s", cf_span_id(tool));
	snprintf(outer_id, sizeof(outer_id), "%s", cf_span_id(outer));
	ck_assert_int_eq(cf_llm_call(run, "x", cf_text(""), cf_text(""), CF_WITH(cf_llm_call_options, .step.span = tool), NULL), CF_INVALID);
	ck_assert_str_eq(cf_error(), "span: is a tool_call");
	fine(cf_tool_call(run, NULL, cf_json("{}"), cf_text("found"), CF_WITH(cf_tool_call_options, .step.span = tool), NULL));
	fine(cf_user_input(run, "in the crew", NULL, NULL));
	fine(cf_span_fail(lone, "Timeout", "too slow"));
	fine(cf_span_end(outer, cf_text("done")));
	fine(cf_user_input(run, "outside", NULL, NULL));
	fine(cf_scope_push(run, child.text));
	fine(cf_user_input(run, "pushed", NULL, NULL));
	fine(cf_scope_pop(run));
	ck_assert_int_eq(cf_scope_pop(run), CF_INVALID);
	ck_assert_ptr_nonnull(cf_begin(run, CF_LLM_CALL, "never ends", NULL));
	close_and_read(run);
	snprintf(want, sizeof(want), "\"parent_step_id\":\"%s\",\"content\":\"inside\"", tool_id);
	has(want);
	snprintf(want, sizeof(want), "\"parent_step_id\":\"%s\",\"content\":\"still inside the tool\"", tool_id);
	has(want);
	snprintf(want, sizeof(want), "\"parent_step_id\":\"%s\",\"tool_name\":\"search\",\"arguments\":{},\"result\":\"found\",\"latency_ms\":", outer_id);
	has(want);
	int ms = atoi(strstr(text, want) + strlen(want));
	ck_assert_int_ge(ms, 30);
	ck_assert_int_lt(ms, 5000);
	snprintf(want, sizeof(want), "\"parent_step_id\":\"%s\",\"content\":\"in the crew\"", outer_id);
	has(want);
	has("\"state_key\":\"crew\",\"new_value\":\"done\",\"metadata\":{\"source\":\"tracer\",\"provenance\":\"reported\",\"kind\":\"crew\"}}");
	has("\"error\":{\"type\":\"Timeout\",\"message\":\"too slow\"}");
	snprintf(want, sizeof(want), "\"parent_step_id\":\"%s\",\"content\":\"pushed\"", child.text);
	has(want);
	has("\"model\":\"never ends\",\"input\":\"\",\"output\":\"\",\"metadata\":{\"source\":\"tracer\",\"provenance\":\"reported\","
	    "\"incomplete\":true,\"reason\":\"it has not ended\",\"missing\":[\"input\",\"output\"]}}");
	char *outside = strstr(text, "\"content\":\"outside\"");
	ck_assert_ptr_nonnull(outside);
	ck_assert_int_eq(outside[-1], ','); /* behind the timestamp: it has no parent */
	ck_assert_int_eq(outside[-3], 'Z');
	/* The crew stands first although it was recorded last: it began first. */
	ck_assert(strstr(text, "\"crew\"") < strstr(text, "\"search\""));
}
END_TEST

START_TEST(steps_as_json)
{
	cf_run *run = open_run(traces);
	static const char whole[] = "{\"step_id\":\"s1\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"content\":1,\"later\":2}";
	static const char bare[] = "{\"step_type\":\"tool_call\",\"tool_name\":\"t\",\"arguments\":{},\"result\":[],\"parent_step_id\":\"s1\"}";
	cf_id id;

	fine(cf_record(run, whole, sizeof(whole) - 1, NULL, &id));
	ck_assert_str_eq(id.text, "s1");
	fine(cf_record(run, bare, sizeof(bare) - 1, NULL, &id));
	cf_span *span = cf_begin(run, CF_TOOL_CALL, "t", NULL);
	static const char ends[] = "{\"step_type\":\"tool_call\",\"arguments\":{},\"result\":\"ended\"}";
	fine(cf_record(run, ends, sizeof(ends) - 1, span, &id));
	ck_assert_int_eq(cf_record(run, "{\"step_type\":\"dream\"}", 21, NULL, NULL), CF_INVALID);
	ck_assert_str_eq(cf_error(), "step_type: is not known: dream");
	ck_assert_int_eq(cf_record(run, "{\"step_type\":\"interrupt\",\"prompt\":1}", 36, NULL, NULL), CF_INVALID);
	ck_assert_str_eq(cf_error(), "interrupt.prompt: must be text");
	ck_assert_int_eq(cf_record(run, "[]", 2, NULL, NULL), CF_INVALID);
	close_and_read(run);
	has("\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"content\":1,\"later\":2,");
	has("\"parent_step_id\":\"s1\",\"tool_name\":\"t\"");
	has("\"tool_name\":\"t\",\"arguments\":{},\"result\":\"ended\",\"latency_ms\":");
}
END_TEST

START_TEST(builders_build)
{
	cf_builder *b = cf_builder_new();
	char *long_text = calloc(1, 100001);

	memset(long_text, 'x', 100000);
	fine(cf_builder_object(b, NULL));
	fine(cf_builder_put(b, "a\"b", cf_int(INT64_MAX)));
	fine(cf_builder_array(b, "list"));
	fine(cf_builder_put(b, NULL, cf_text("\n")));
	fine(cf_builder_put(b, NULL, cf_null()));
	fine(cf_builder_put(b, NULL, cf_json("1e400")));
	fine(cf_builder_end(b));
	ck_assert_int_eq(cf_builder_value(b).kind, CF_ABSENT);
	fine(cf_builder_end(b));
	cf_value v = cf_builder_value(b);
	ck_assert_int_eq((int)v.len, (int)strlen("{\"a\\\"b\":9223372036854775807,\"list\":[\"\\n\",null,1e400]}"));
	ck_assert_int_eq(strncmp(v.text, "{\"a\\\"b\":9223372036854775807,\"list\":[\"\\n\",null,1e400]}", v.len), 0);
	ck_assert_int_eq(cf_builder_put(b, NULL, cf_int(1)), CF_INVALID);
	cf_builder_free(b);
	b = cf_builder_new();
	fine(cf_builder_object(b, NULL));
	ck_assert_int_eq(cf_builder_put(b, NULL, cf_int(1)), CF_INVALID);
	ck_assert_str_eq(cf_error(), "builder: a member needs a key");
	cf_builder_free(b);
	b = cf_builder_new();
	fine(cf_builder_put(b, NULL, cf_text(long_text)));
	ck_assert_uint_eq(cf_builder_value(b).len, 100002);
	cf_builder_free(b);
	cf_builder_free(NULL);
	free(long_text);
}
END_TEST

START_TEST(nothing_on_disk_until_it_is_saved)
{
	char path[200];
	cf_run *run = open_run(NULL);

	ck_assert_ptr_null(cf_run_path(run));
	fine(cf_user_input(run, "hello", NULL, NULL));
	char *compact = cf_run_to_json(run, 0), *indented = cf_run_to_json(run, 2);
	ck_assert_ptr_nonnull(strstr(compact, "\"steps\":[{\"step_id\":"));
	ck_assert_ptr_null(strchr(compact, '\n'));
	ck_assert_ptr_nonnull(strstr(indented, "\n  \"steps\": [\n"));
	cf_free(compact);
	cf_free(indented);
	snprintf(path, sizeof(path), "%s/x/y/run.json", root);
	fine(cf_run_save(run, path));
	ck_assert_int_eq(cf_check(path), 0);
	fine(cf_final_output(run, cf_text("bye"), NULL, NULL));
	fine(cf_run_save(run, path));
	fine(cf_run_close(run));
	ck_assert_int_eq(cf_check(path), 0);
	cf_reader *r = cf_reader_open(path);
	const char *json;
	size_t len;
	ck_assert_int_eq(cf_reader_next(r, &json, &len), 1);
	ck_assert_uint_eq(strlen(json), len);
	ck_assert_ptr_nonnull(strstr(json, "hello"));
	ck_assert_int_eq(cf_reader_next(r, &json, &len), 1);
	ck_assert_int_eq(cf_reader_next(r, &json, &len), 0);
	ck_assert_ptr_nonnull(strstr(cf_reader_run(r), "\"name\":\"tester\""));
	cf_reader_close(r);
	ck_assert_ptr_null(cf_reader_open("/nowhere"));
	ck_assert_int_lt(cf_check("/nowhere"), 0);
}
END_TEST

START_TEST(a_path_may_be_a_file)
{
	char path[200];
	cf_run_options o = options_in(path);

	snprintf(path, sizeof(path), "%s/b/mine.json", root);
	cf_run *run = cf_run_open(&o);
	ck_assert_msg(run != NULL, "%s", cf_error());
	fine(cf_user_input(run, "hello", NULL, NULL));
	ck_assert_str_eq(cf_run_path(run), path);
	close_and_read(run);
	has("hello");
}
END_TEST

START_TEST(secrets_stay_out)
{
	cf_run_options o = options_in(traces);
	const char *const patterns[] = { "ACME-[0-9]+" };
	static const char key[] = "sk-" "a1B2c3D4e5F6g7H8i9J0a1B2";

	o.redact_patterns = patterns;
	o.n_redact_patterns = 1;
	o.redact_inputs = true;
	o.metadata = cf_json("{\"key\":\"sk-" "a1B2c3D4e5F6g7H8i9J0a1B2\"}");
	cf_run *run = cf_run_open(&o);
	fine(cf_llm_call(run, "m", cf_text("private"), cf_text(key), NULL, NULL));
	fine(cf_tool_call(run, "t", cf_json("{\"path\":\"/x\",\"n\":5}"), cf_text("ACME-12"), NULL, NULL));
	close_and_read(run);
	ck_assert_ptr_null(strstr(text, key));
	ck_assert_ptr_null(strstr(text, "private"));
	ck_assert_ptr_null(strstr(text, "ACME-12"));
	has("\"input\":\"[REDACTED]\",\"output\":\"[REDACTED:api-key:");
	has("\"result\":\"[REDACTED:pattern:");
}
END_TEST

START_TEST(a_child_process_leaves_the_run_alone)
{
	cf_run *run = open_run(traces);

	fine(cf_user_input(run, "before", NULL, NULL));
	pid_t child = fork();
	if (!child) {
		int status = cf_user_input(run, "in the child", NULL, NULL) != CF_FORKED;
		status |= cf_run_close(run) != CF_FORKED;
		cf_run_options o = options_in(traces);
		cf_run *own = cf_run_open(&o);
		status |= !own || cf_user_input(own, "the child's own", NULL, NULL) || cf_run_close(own);
		_exit(status);
	}
	int status;
	waitpid(child, &status, 0);
	ck_assert_int_eq(status, 0);
	fine(cf_user_input(run, "after", NULL, NULL));
	close_and_read(run);
	has("before");
	has("after");
	ck_assert_ptr_null(strstr(text, "child"));
}
END_TEST

static int recover_quietly(const char *dir)
{
	char *argv[] = { (char *)"recover", (char *)dir, NULL };
	int out = dup(1), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	fflush(stdout);
	dup2(null, 1);
	int status = cmd_recover(2, argv);
	fflush(stdout);
	dup2(out, 1);
	close(out);
	close(null);
	return status;
}

START_TEST(kill_loses_nothing_that_was_recorded)
{
	int pipes[2];
	char path[300], id[64];

	ck_assert_int_eq(pipe(pipes), 0);
	pid_t child = fork();
	if (!child) {
		cf_run *run = open_run(traces);
		if (write(pipes[1], cf_run_id(run), 36) != 36)
			_exit(1);
		cf_span *span = cf_begin(run, CF_TOOL_CALL, "slow", NULL);
		for (int i = 0; span; i++) {
			cf_user_input(run, "x", NULL, NULL);
			if (i == 999 && write(pipes[1], "!", 1) != 1)
				_exit(1);
		}
	}
	ck_assert_int_eq(read(pipes[0], id, 36), 36);
	id[36] = 0;
	char byte;
	ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ck_assert_int_eq(recover_quietly(traces), 0);
	snprintf(path, sizeof(path), "%s/trace-%s.json", traces, id);
	ck_assert_msg(cf_check(path) == 0, "%s", cf_error());
	cf_reader *r = cf_reader_open(path);
	const char *json;
	int n = 0, slow = 0;
	while (cf_reader_next(r, &json, NULL) > 0) {
		n++;
		slow += strstr(json, "\"tool_name\":\"slow\"") && strstr(json, "\"incomplete\":true");
	}
	cf_reader_close(r);
	ck_assert_int_ge(n, 1001);
	ck_assert_int_eq(slow, 1);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

/* A locale with a decimal comma, made here: few machines have one. */
START_TEST(numbers_do_not_depend_on_the_locale)
{
	char command[200];

	snprintf(command, sizeof(command), "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 2>/dev/null", root);
	if (system(command) == 0)
		setenv("LOCPATH", root, 1);
	bool comma = setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
	ck_assert_str_eq(localeconv()->decimal_point, comma ? "," : ".");
	cf_run *run = open_run(traces);
	fine(cf_llm_call(run, "m", cf_text(""), cf_text(""), CF_WITH(cf_llm_call_options, .cost_estimate = cf_number(1.5)), NULL));
	fine(cf_retrieval(run, "q", cf_json("[{\"content\":\"c\",\"score\":0.25}]"), -1, NULL, NULL));
	close_and_read(run);
	setlocale(LC_ALL, "C");
	has("\"cost_estimate\":1.5");
	has("\"score\":0.25");
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_no_more)
{
	struct rlimit small = { 20000, RLIM_INFINITY }, whole = { RLIM_INFINITY, RLIM_INFINITY };
	cf_run *run = open_run(traces);
	char path[300];
	int kept = 0, err = 0;

	snprintf(path, sizeof(path), "%s", cf_run_path(run));
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	while (kept < 1000 && !(err = cf_user_input(run, "some text", NULL, NULL)))
		kept++;
	ck_assert_int_eq(err, CF_IO);
	ck_assert_int_ge(kept, 50);
	ck_assert_int_eq(cf_user_input(run, "some text", NULL, NULL), CF_IO);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &whole), 0);
	ck_assert_int_eq(cf_run_close(run), CF_IO);
	ck_assert_int_eq(cf_check(path), 0);
	cf_reader *r = cf_reader_open(path);
	const char *json;
	int n = 0;
	while (cf_reader_next(r, &json, NULL) > 0)
		n++;
	cf_reader_close(r);
	ck_assert_int_eq(n, kept);
}
END_TEST

/* Each allocation fails in its turn: an error, never a crash, and what was recorded is whole. */
START_TEST(memory_may_run_out_anywhere)
{
	for (int n = 0; n < 150; n++) {
		cf_run_options o = options_in(traces);
		o.task_input = cf_json("{\"a\":1}");
		allocations_left = n;
		cf_run *run = cf_run_open(&o);
		int err = 0;
		if (run) {
			err |= cf_llm_call(run, "m", cf_json("[{\"role\":\"human\",\"content\":\"x\"}]"), cf_text("sk-" "a1B2c3D4e5F6g7H8i9J0a1B2"), NULL, NULL);
			cf_span *span = cf_begin(run, CF_TOOL_CALL, "t", NULL);
			err |= !span || cf_tool_call(run, NULL, cf_text("a"), cf_text("b"), CF_WITH(cf_tool_call_options, .step.span = span), NULL);
			err |= cf_run_close(run);
		}
		bool all = run && !err && allocations_left > 0;
		allocations_left = -1;
		if (all)
			return;
	}
	ck_abort_msg("it never succeeded");
}
END_TEST

START_TEST(an_ended_run_is_whole_and_takes_nothing_more)
{
	cf_run *run = open_run(NULL);

	fine(cf_user_input(run, "hi", NULL, NULL));
	ck_assert_ptr_nonnull(cf_begin(run, CF_TOOL_CALL, "slow", NULL));
	fine(cf_run_end(run, "it broke"));
	ck_assert_int_eq(cf_user_input(run, "late", NULL, NULL), CF_CLOSED);
	ck_assert_str_eq(cf_error(), "run: has ended");
	fine(cf_run_end(run, NULL));
	char *json = cf_run_to_json(run, 0);
	ck_assert_ptr_nonnull(json);
	snprintf(text, sizeof(text), "%s", json);
	cf_free(json);
	has("\"ended_at\":\"");
	has("\"state\":\"failed\"");
	has("it broke");
	has("it has not ended");
	ck_assert_ptr_null(strstr(text, "late"));
	fine(cf_run_close(run));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tracer");
	TCase *c = tcase_create("tracer");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, every_type_with_every_field);
	tcase_add_test(c, errors_name_the_field);
	tcase_add_test(c, what_is_not_known_is_said);
	tcase_add_test(c, an_ended_run_is_whole_and_takes_nothing_more);
	tcase_add_test(c, spans_measure_and_are_parents);
	tcase_add_test(c, steps_as_json);
	tcase_add_test(c, builders_build);
	tcase_add_test(c, nothing_on_disk_until_it_is_saved);
	tcase_add_test(c, a_path_may_be_a_file);
	tcase_add_test(c, secrets_stay_out);
	tcase_add_test(c, a_child_process_leaves_the_run_alone);
	tcase_add_test(c, kill_loses_nothing_that_was_recorded);
	tcase_add_test(c, numbers_do_not_depend_on_the_locale);
	tcase_add_test(c, a_full_disk_is_an_error_and_no_more);
	tcase_add_test(c, memory_may_run_out_anywhere);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
