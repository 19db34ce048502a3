/* The command line: what wins over what, what is refused and with which words, what help and man page tell. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

#define MAX_ARGS 16

static struct options o;
static char why[OPTIONS_WHY];

static void fresh(void)
{
	why[0] = '\0';
}

static void done(void)
{
	options_fini(&o);
}

/* Reads a command line written as one text, with one variable of the environment (or NULL). */
static int given(const char *line, const char *env_var)
{
	static char text[512];
	char *argv[MAX_ARGS] = { "cf-observe" }, *env[] = { (char *)env_var, NULL };
	int argc = 1;

	options_fini(&o);
	snprintf(text, sizeof(text), "%s", line);
	for (char *save = NULL, *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	return options_read(&o, argc, argv, env, why);
}

#define ck_accepts(line) ck_assert_msg(given(line, NULL) == 0, "%s: %s", line, why)
#define ck_refuses(line, words)                                         \
	do {                                                            \
		ck_assert_int_eq(given(line, NULL), -EINVAL);           \
		ck_assert_msg(strstr(why, words), "%s: %s", line, why); \
	} while (0)

START_TEST(bare_options_attach)
{
	ck_accepts("--pid 812,815 -p 9 -o out");
	ck_assert_str_eq(o.command->name, "attach");
	ck_assert_uint_eq(o.n_pids, 3);
	ck_assert_uint_eq(o.pids[0], 812);
	ck_assert_uint_eq(o.pids[2], 9);
	ck_assert_str_eq(o.output, "out");
	ck_accepts("--pid 1");
	ck_assert_str_eq(o.output, "./traces");
}
END_TEST

START_TEST(every_way_to_write_an_option)
{
	ck_accepts("--pid 1 --output=a --no-inputs -qvodir");
	ck_assert_str_eq(o.output, "dir");
	ck_assert(o.no_inputs && o.quiet && o.verbose && !o.no_outputs);
	ck_accepts("--no-inputs=no -p1");
	ck_assert(!o.no_inputs);
}
END_TEST

START_TEST(the_command_of_run_keeps_its_own_options)
{
	ck_accepts("run -q -- claude -p --output x");
	ck_assert_int_eq(o.n_args, 4);
	ck_assert_str_eq(o.args[0], "claude");
	ck_assert_str_eq(o.args[3], "x");
	ck_assert_ptr_null(o.args[4]);
	ck_accepts("run -q claude -v -- --pid");
	ck_assert(o.quiet && !o.verbose);
	ck_assert_int_eq(o.n_args, 4);
	ck_refuses("run -q", "run needs");
}
END_TEST

START_TEST(mistakes_are_named)
{
	ck_refuses("--ouptut x", "did you mean --output?");
	ck_refuses("--out x", "did you mean --output?");
	ck_refuses("--frobnicate", "cf-observe attach --help");
	ck_refuses("-Z", "unknown option -Z");
	ck_refuses("recrod -w f", "did you mean record?");
	ck_refuses("quux", "unknown command \"quux\"");
	ck_refuses("--pid", "--pid needs N[,N...]");
	ck_refuses("--pid 12x", "--pid: \"12x\" is not process ids");
	ck_refuses("--pid 0", "--pid: \"0\"");
	ck_refuses("--pid 5000000000", "is not process ids");
	ck_refuses("--duration never", "is not a time");
	ck_refuses("--buffer -4", "is not a size");
	ck_refuses("replay a b", "\"b\" is one argument too many");
	ck_refuses("--pid 3 replay", "the command stands first: cf-observe replay");
	ck_refuses("--write f", "belongs to: record");
	ck_refuses("--no-inputs=perhaps", "is not yes or no");
	ck_refuses("show --full=yes x", "\"yes\" is not given alone");
	ck_refuses("show --strict x", "belongs to: check");
	ck_refuses("-q", "attach needs to know whom to watch: --pid N");
	ck_refuses("record --pid 1", "-w FILE");
	ck_refuses("record -w f", "record needs to know whom to watch");
	ck_refuses("record -w f --pid 1 -- ls", "not both");
}
END_TEST

START_TEST(sizes_and_times)
{
	uint64_t n;

	ck_assert(options_size("4096", &n) && n == 4096);
	ck_assert(options_size("64M", &n) && n == 64 << 20);
	ck_assert(options_size("1.5k", &n) && n == 1536);
	ck_assert(options_size("2GiB", &n) && n == 2ull << 30);
	ck_assert(!options_size("M", &n) && !options_size("", &n) && !options_size("1X", &n));
	ck_assert(!options_size("99999999999G", &n) && !options_size("nan", &n));
	ck_assert(options_time("90", &n) && n == 90000000000ull);
	ck_assert(options_time("1.5m", &n) && n == 90000000000ull);
	ck_assert(options_time("200ms", &n) && n == 200000000);
	ck_assert(options_time("2h", &n) && n == 7200000000000ull);
	ck_assert(!options_time("inf", &n) && !options_time("-1", &n));
}
END_TEST

/* A flag beats the environment, the environment beats the file. */
START_TEST(precedence)
{
	char file[] = "/tmp/cf-options-XXXXXX";
	char line[128], flag_line[160];
	int fd = mkstemp(file);
	const char text[] =
		"# defaults\n\n output = from-file \nduration=5\nredact = a=b\npid = 7\n"
		"write = only-of-record\n";

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	snprintf(line, sizeof(line), "--config %s", file);
	snprintf(flag_line, sizeof(flag_line), "%s -o from-flag --pid 9 --redact c", line);

	ck_assert_int_eq(given(line, NULL), 0);
	ck_assert_str_eq(o.output, "from-file");
	ck_assert_uint_eq(o.duration_ns, 5000000000ull);
	ck_assert_str_eq(o.patterns[0], "a=b");
	ck_assert_uint_eq(o.pids[0], 7);
	ck_assert_int_eq(given(line, "CF_OBSERVE_OUTPUT=from-env"), 0);
	ck_assert_str_eq(o.output, "from-env");
	ck_assert_int_eq(given(flag_line, "CF_OBSERVE_OUTPUT=from-env"), 0);
	ck_assert_str_eq(o.output, "from-flag");
	/* A list of processes is replaced, patterns add up. */
	ck_assert_uint_eq(o.n_pids, 1);
	ck_assert_uint_eq(o.pids[0], 9);
	ck_assert_uint_eq(o.n_patterns, 2);
	unlink(file);
	ck_refuses("--config /nonexistent/file", "cannot read the configuration file");
	ck_assert_int_eq(given("--pid 1", "CF_OBSERVE_DURATION=x"), -EINVAL);
	ck_assert_msg(strstr(why, "CF_OBSERVE_DURATION: \"x\""), "%s", why);
}
END_TEST

START_TEST(a_bad_file_is_named_with_its_line)
{
	options_fini(&o);
	options_init(&o);
	ck_assert_int_eq(options_read_config(&o, SPAN("output=x\noutptu=y\n"), "f.conf", why),
			 -EINVAL);
	ck_assert_str_eq(why, "f.conf:2: unknown name \"outptu\"; did you mean output?");
	ck_assert_int_eq(options_read_config(&o, SPAN("nonsense\n"), "f.conf", why), -EINVAL);
	ck_assert_msg(strstr(why, "f.conf:1: not `name = value`"), "%s", why);
	ck_assert_int_eq(options_read_config(&o, SPAN("help=yes\n"), "f.conf", why), -EINVAL);
	ck_assert_int_eq(options_read_config(&o, SPAN("buffer=big\n"), "f.conf", why), -EINVAL);
	ck_assert_msg(strstr(why, "f.conf: buffer: \"big\" is not a size"), "%s", why);
}
END_TEST

START_TEST(help_and_manual_name_every_row)
{
	struct buf help, man;
	char name[64];

	buf_init(&man, 1 << 20);
	ck_assert_int_eq(options_man(&man), 0);
	for (const struct option_row *r = option_rows; r->name; r++) {
		bool told = false;

		for (const struct command *c = command_rows; c->name; c++) {
			buf_init(&help, 1 << 20);
			ck_assert_int_eq(options_help(c, &help), 0);
			snprintf(name, sizeof(name), "--%s", r->name);
			told |= (r->commands & c->bit) && strstr(buf_text(&help), name);
			buf_fini(&help);
		}
		ck_assert_msg(told, "--%s is in no command's help", r->name);
		/* A minus is written \- in the manual. */
		snprintf(name, sizeof(name), "Fl \\-%.*s", (int)strcspn(r->name, "-"), r->name);
		ck_assert_msg(strstr(buf_text(&man), name), "%s is not in the manual", r->name);
	}
	buf_init(&help, 1 << 20);
	ck_assert_int_eq(options_help(NULL, &help), 0);
	for (const struct command *c = command_rows; c->name; c++) {
		snprintf(name, sizeof(name), "\n  %s ", c->name);
		ck_assert_msg(strstr(buf_text(&help), name), "%s is not in --help", c->name);
		snprintf(name, sizeof(name), ".It Cm %s", c->name);
		ck_assert_msg(strstr(buf_text(&man), name), "%s is not in the manual", c->name);
	}
	buf_fini(&help);
	buf_fini(&man);
}
END_TEST

/* Two rows with one name or letter, or a command without a way to run, would be a mistake in the tables. */
START_TEST(the_tables_are_sound)
{
	for (const struct option_row *a = option_rows; a->name; a++) {
		ck_assert(a->commands && a->help && a->group);
		ck_assert_int_eq(a->type == OPT_BOOL || a->type == OPT_OWN, a->arg == NULL);
		for (const struct option_row *b = a + 1; b->name; b++) {
			ck_assert_str_ne(a->name, b->name);
			ck_assert(!a->letter || a->letter != b->letter);
		}
	}
	for (const struct command *a = command_rows; a->name; a++) {
		for (const struct command *b = a + 1; b->name; b++)
			ck_assert(a->bit != b->bit && strcmp(a->name, b->name));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("options");
	TCase *t = tcase_create("options");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, fresh, done);
	tcase_add_test(t, bare_options_attach);
	tcase_add_test(t, every_way_to_write_an_option);
	tcase_add_test(t, the_command_of_run_keeps_its_own_options);
	tcase_add_test(t, mistakes_are_named);
	tcase_add_test(t, sizes_and_times);
	tcase_add_test(t, precedence);
	tcase_add_test(t, a_bad_file_is_named_with_its_line);
	tcase_add_test(t, help_and_manual_name_every_row);
	tcase_add_test(t, the_tables_are_sound);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
