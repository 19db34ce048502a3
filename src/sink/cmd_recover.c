/* cf-observe recover: journals that a crash or a power cut left become traces. */
#include "sink/cmd.h"

#include "base/limits.h"
#include "base/text.h"
#include "sink/cmd_files.h"
#include "trace/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct recovered {
	char file[RUN_FILE_MAX];
	struct journal_facts facts;
};

/* What was observed until the end: nobody knows what followed, so it is not complete. */
static int put_capture(struct span capture, struct buf *out)
{
	static const char ended[] = "the recording process ended before the run did";
	struct span inner = span_trim(span_at(capture.p + 1, capture.len - 2));

	if (json_get(capture, "completeness").p)
		return buf_add_span(out, capture);
	return buf_printf(out, "{%.*s%s\"stopped\":\"%s\",\"completeness\":{\"missing\":[\"%s\"],\"complete\":false}}",
			  SPAN_FMT(inner), inner.len ? "," : "", ended, ended);
}

/* The run's metadata as it was, but failed, and with what happened. */
static int put_metadata(const struct journal_facts *f, struct buf *out)
{
	struct json_iter it = json_iter(f->run.metadata);
	struct span key, value;
	int err = buf_add_char(out, '{');

	while (!err && json_next(&it, &key, &value)) {
		if (json_is(key, "state") || json_is(key, "recovered"))
			continue;
		err = json_put_comma(out);
		if (!err)
			err = buf_printf(out, "%.*s:", SPAN_FMT(key));
		if (!err && json_is(key, "capture") && json_type_of(value) == JSON_OBJECT)
			err = put_capture(value, out);
		else if (!err)
			err = buf_add_span(out, value);
	}
	if (!err)
		err = json_put_member_text(out, "state", SPAN("failed"));
	if (!err)
		err = json_put_key(out, "recovered");
	if (!err)
		err = buf_printf(out, "{\"reason\":\"the recording process ended before the run did; ended_at is the time of "
				      "the last step\",\"dropped_bytes\":%llu,\"dropped_steps\":%llu}}",
				 (unsigned long long)f->torn, (unsigned long long)f->skipped);
	return err;
}

static int end_run(struct run_writer *w, struct recovered *r)
{
	struct run_info run = r->facts.run;
	struct buf metadata;

	/* It had ended, only the last rename is missing. */
	if (run.ended_ns)
		return run_writer_end(w, NULL, r->file);
	buf_init(&metadata, LIMIT_RUN_HEAD);
	int err = put_metadata(&r->facts, &metadata);
	if (err) {
		run_writer_abandon(w);
	} else {
		run.ended_ns = r->facts.last_ns > run.started_ns ? r->facts.last_ns : run.started_ns;
		run.metadata = buf_span(&metadata);
		err = run_writer_end(w, &run, r->file);
	}
	buf_fini(&metadata);
	return err;
}

/* 1: the trace was there already, only its journal was left. */
static int recover(int dir, const char *journal, struct recovered *r, struct problem *why)
{
	struct run_writer w;
	struct arena a;

	arena_init(&a);
	int err = run_writer_reopen(&w, dir, journal, &a, &r->facts, why);
	if (!err) {
		snprintf(r->file, sizeof(r->file), "%s.json", w.name);
		if (faccessat(dir, r->file, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			run_writer_abandon(&w);
			err = unlinkat(dir, journal, 0) ? -errno : 1;
		} else {
			err = end_run(&w, r);
		}
	}
	arena_fini(&a);
	return err;
}

static void put_why(struct buf *line, const struct problem *why)
{
	buf_add_text(line, ": damaged, left alone: ");
	text_put_safe(line, span_of(why->place));
	buf_add_char(line, ' ');
	text_put_safe(line, span_of(why->message));
}

static void say(const char *dir, const char *journal, int err, const struct recovered *r, const struct problem *why)
{
	struct buf line;

	buf_init(&line, 64 * KIB);
	text_put_safe(&line, span_of(dir));
	buf_add_char(&line, '/');
	text_put_safe(&line, span_of(err < 0 ? journal : r->file));
	if (err == -EBUSY)
		buf_add_text(&line, ": still being written, left alone");
	else if (err == -ENODATA)
		buf_add_text(&line, ": holds no run, left alone");
	else if (err == -EBADMSG)
		put_why(&line, why);
	else if (err < 0)
		buf_printf(&line, ": %s", strerror(-err));
	else if (err)
		buf_add_text(&line, ": was there already; its journal is removed");
	else
		buf_printf(&line, ": recovered, %llu lines of steps", (unsigned long long)r->facts.steps);
	if (!err && r->facts.torn)
		buf_printf(&line, ", %llu bytes of a cut write dropped", (unsigned long long)r->facts.torn);
	if (!err && r->facts.skipped)
		buf_printf(&line, ", %llu that are no steps dropped", (unsigned long long)r->facts.skipped);
	fprintf(err < 0 ? stderr : stdout, "%s\n", buf_text(&line));
	buf_fini(&line);
}

static int recover_dir(const char *path, unsigned *found)
{
	struct trace_files files;
	int err = trace_files_find(path, &files), status = CMD_FINE;
	int dir = err || !files.from_dir ? -1 : open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (dir < 0) {
		trace_file_complain(path, err ? strerror(-err) : files.from_dir ? strerror(errno) : "is not a directory");
		trace_files_fini(&files);
		return CMD_NOT_FOUND;
	}
	for (size_t i = 0; i < files.n; i++) {
		struct recovered r = { "" };
		struct problem why = { "", "" };
		const char *slash = strrchr(files.items[i].path, '/'), *name = slash ? slash + 1 : files.items[i].path;
		if (!files.items[i].journal)
			continue;
		++*found;
		int one = recover(dir, name, &r, &why);
		say(path, name, one, &r, &why);
		if (one == -EACCES || one == -ENOSPC || one == -EROFS || one == -EPERM)
			status = CMD_CANNOT_WRITE;
		else if (one < 0 && one != -EBUSY && !status)
			status = CMD_NO;
	}
	close(dir);
	trace_files_fini(&files);
	return status;
}

int cmd_recover(int argc, char **argv)
{
	const struct cmd_flag flags[] = { { NULL } };
	int n = cmd_take_flags(argc, argv, flags), status = CMD_FINE;
	unsigned found = 0;

	if (n <= 0) {
		fprintf(stderr, "usage: cf-observe recover DIR...\n");
		return CMD_BAD_USAGE;
	}
	for (int i = 1; i <= n; i++) {
		int one = recover_dir(argv[i], &found);
		if (one > status)
			status = one;
	}
	if (!found && !status)
		puts("no journals: nothing to recover");
	return status;
}
