/* cf-observe check: does a trace keep every rule of the contract, and where not. */
#include "sink/cmd.h"

#include "base/limits.h"
#include "base/text.h"
#include "sink/cmd_files.h"
#include "trace/check.h"

#include <stdio.h>
#include <unistd.h>

#define MAX_SAID 100 /* problems printed for one file */

struct printing {
	const char *path;
	bool json;
	unsigned said;
	struct buf line;
};

static void on_problem(void *ctx, const struct problem *p, bool warning)
{
	struct printing *out = ctx;

	if (out->said++ >= MAX_SAID)
		return;
	buf_clear(&out->line);
	if (out->json) {
		buf_add_char(&out->line, '{');
		json_put_member_text(&out->line, "file", span_of(out->path));
		json_put_member_text(&out->line, "place", span_of(p->place));
		json_put_member_text(&out->line, "message", span_of(p->message));
		json_put_member_bool(&out->line, "warning", warning);
		buf_add_char(&out->line, '}');
	} else {
		text_put_safe(&out->line, span_of(out->path));
		buf_add_text(&out->line, warning ? ": warning: " : ": ");
		text_put_safe(&out->line, span_of(p->place));
		buf_add_text(&out->line, p->place[0] ? ": " : "");
		text_put_safe(&out->line, span_of(p->message));
	}
	puts(buf_text(&out->line));
}

static void print_summary(struct printing *out, const struct check *c)
{
	buf_clear(&out->line);
	if (out->json) {
		buf_add_char(&out->line, '{');
		json_put_member_text(&out->line, "file", span_of(out->path));
		json_put_member_bool(&out->line, "valid", c->problems == 0);
		json_put_member_bool(&out->line, "strict", c->strict);
		json_put_member_i64(&out->line, "steps", (int64_t)c->steps);
		json_put_member_i64(&out->line, "problems", (int64_t)c->problems);
		json_put_member_i64(&out->line, "warnings", (int64_t)c->warnings);
		buf_add_char(&out->line, '}');
		puts(buf_text(&out->line));
		return;
	}
	text_put_safe(&out->line, span_of(out->path));
	if (out->said > MAX_SAID)
		printf("%s: ... and %u more\n", buf_text(&out->line), out->said - MAX_SAID);
	printf("%s: %s, %llu step%s", buf_text(&out->line), c->problems ? "not valid" : "valid",
	       (unsigned long long)c->steps, c->steps == 1 ? "" : "s");
	if (c->problems)
		printf(", %llu problem%s", (unsigned long long)c->problems, c->problems == 1 ? "" : "s");
	printf("%s\n", c->strict ? "" : " (by the rules for readers)");
}

static int check_file(const struct trace_file *f, enum check_level level, bool json)
{
	struct printing out = { .path = f->path, .json = json };
	struct check c = { .level = level, .journal = f->journal, .on_problem = on_problem, .ctx = &out };
	int fd = trace_file_open(f), err = fd < 0 ? fd : 0;

	buf_init(&out.line, 64 * KIB);
	if (!err)
		err = check_fd(fd, &c);
	if (err)
		trace_file_complain(f->path, strerror(-err));
	else
		print_summary(&out, &c);
	buf_fini(&out.line);
	if (fd >= 0)
		close(fd);
	return err || c.problems ? CMD_NO : CMD_FINE;
}

static int check_argument(const char *path, enum check_level level, bool json)
{
	struct trace_files files;
	int err = trace_files_find(path, &files), status = CMD_FINE;

	if (err) {
		trace_file_complain(path, strerror(-err));
		return CMD_NOT_FOUND;
	}
	if (!files.n) {
		trace_file_complain(path, "no traces in this directory");
		status = CMD_NOT_FOUND;
	}
	for (size_t i = 0; i < files.n; i++)
		if (check_file(&files.items[i], level, json))
			status = CMD_NO;
	trace_files_fini(&files);
	return status;
}

static int print_schema(void)
{
	struct buf raw, text;

	buf_init(&raw, MIB);
	buf_init(&text, MIB);
	int err = schema_write(&raw);
	if (!err)
		err = json_put_indented(&text, buf_span(&raw), 2);
	if (!err)
		puts(buf_text(&text));
	buf_fini(&raw);
	buf_fini(&text);
	return err ? CMD_NO : CMD_FINE;
}

int cmd_check(int argc, char **argv)
{
	bool strict = false, lenient = false, json = false, schema = false;
	const struct cmd_flag flags[] = {
		{ "--strict", &strict }, { "--lenient", &lenient }, { "--json", &json }, { "--schema", &schema }, { NULL },
	};
	int n = cmd_take_flags(argc, argv, flags), status = CMD_FINE;

	if (n < 0)
		return CMD_BAD_USAGE;
	if (schema)
		return print_schema();
	if (!n) {
		fprintf(stderr, "usage: cf-observe check [--strict|--lenient] [--json] FILE|DIR... | --schema\n");
		return CMD_BAD_USAGE;
	}
	for (int i = 1; i <= n; i++) {
		int one = check_argument(argv[i], strict ? CHECK_STRICT : lenient ? CHECK_LENIENT : CHECK_AUTO, json);
		if (one > status)
			status = one;
	}
	return status;
}
