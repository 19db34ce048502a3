#include "sink/console_int.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/timefmt.h"
#include "feed/fact.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_LEN (16 * 1024)
/* More reasons than these say nothing new; the traces hold all of them. */
#define REASONS_SHOWN 8
/* Losses are told at most this often. */
#define TELL_EVERY_NS NS_PER_S

static const struct {
	const char *member;
	const char *cause; /* NULL: not a loss */
} counter_rows[N_COUNTERS] = {
	[COUNT_EVENTS] = { "events", NULL },
	[COUNT_BYTES] = { "bytes", NULL },
	[LOST_RING] = { "lost_ring", "buffer full" },
	[LOST_FAULT] = { "lost_fault", "memory of the target not present" },
	[LOST_CLAMP] = { "lost_clamp", "longer than one call may carry" },
	[LOST_MAP] = { "lost_map", "a table in the kernel was full" },
	[LOST_CONTROL] = { "lost_control", "notices of new processes or libraries not delivered" },
	[LOST_QUEUE] = { "lost_queue", "the queue to the parser was full" },
};

struct console *console_new(const struct console_setup *setup)
{
	struct console *c = mem_alloc(sizeof(*c));

	c->setup = *setup;
	buf_init(&c->line, LINE_MAX_LEN);
	buf_init(&c->reasons, LINE_MAX_LEN);
	names_init(&c->hosts);
	names_init(&c->files);
	names_init(&c->unhooked_names);
	return c;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	buf_fini(&c->line);
	buf_fini(&c->reasons);
	names_fini(&c->hosts);
	names_fini(&c->files);
	names_fini(&c->unhooked_names);
	free(c);
}

static void write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		/* Nobody reads: there is nobody left to tell. */
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

void console_put(struct console *c, const char *color)
{
	struct buf out;

	buf_init(&out, 2 * LINE_MAX_LEN);
	if (c->setup.json) {
		buf_add_char(&out, '{');
		json_put_member_text(&out, "message", buf_span(&c->line));
		buf_add_char(&out, '}');
	} else {
		if (c->setup.color && color)
			buf_add_text(&out, color);
		buf_add_span(&out, buf_span(&c->line));
		if (c->setup.color && color)
			buf_add_text(&out, COLOR_END);
	}
	buf_add_char(&out, '\n');
	write_all(c->setup.fd, out.p, out.len);
	buf_fini(&out);
	buf_clear(&c->line);
}

static int64_t member(struct span object, const char *name)
{
	int64_t n = 0;

	json_i64(json_get(object, name), &n);
	return n;
}

static void on_host(struct console *c, const struct cf_event *e, struct span j)
{
	(void)e;
	c->wall_offset_ns = member(j, "wall_offset_ns");
	c->utc_offset_s = (int)member(j, "utc_offset_s");
}

static void put_who(struct console *c, const struct cf_event *e, struct span j, struct arena *a)
{
	int64_t pid = member(j, "pid");
	struct span comm = json_get(j, "comm");

	if (comm.p)
		console_put_text(&c->line, a, comm, 24);
	else
		buf_add_text(&c->line, "pid ");
	buf_printf(&c->line, comm.p ? "[%lld]" : "%lld", (long long)(pid ? pid : e->pid));
}

static void on_process(struct console *c, const struct cf_event *e, struct span j)
{
	struct arena a;

	if (!json_get(j, "exe").p || (!json_true(json_get(j, "root")) && !c->setup.verbose))
		return;
	if (!json_get(j, "exe").p) /* held before its exec: it is told when it is something */
		return;
	arena_init(&a);
	put_who(c, e, j, &a);
	buf_add_text(&c->line, "  watching  ");
	console_put_text(&c->line, &a, json_get(j, "exe"), 120);
	arena_fini(&a);
	if (c->setup.quiet)
		buf_clear(&c->line);
	else
		console_put(c, NULL);
}

static void on_library(struct console *c, const struct cf_event *e, struct span j)
{
	struct span reason = json_get(j, "reason");
	bool hooked = json_true(json_get(j, "hooked"));
	struct arena a;

	arena_init(&a);
	put_who(c, e, j, &a);
	buf_add_text(&c->line, hooked ? "  hooked  " : "  NOT hooked  ");
	console_put_text(&c->line, &a, json_get(j, "library"), 60);
	if (hooked) {
		c->libraries++;
		buf_add_text(&c->line, " by ");
		console_put_text(&c->line, &a, json_get(j, "method"), 20);
		buf_printf(&c->line, ", %lld functions", (long long)member(j, "functions"));
	} else {
		c->unhooked++;
		console_note(&c->unhooked_names, json_get_text(&a, j, "library"));
	}
	buf_add_text(&c->line, "  ");
	console_put_text(&c->line, &a, json_get(j, "path"), 120);
	if (reason.p) {
		buf_add_text(&c->line, "  ");
		console_put_text(&c->line, &a, reason, 200);
	}
	if (!hooked)
		buf_printf(&c->line,
			   "; what it carries will be missing. Run: cf-observe doctor --pid %lld",
			   (long long)(member(j, "pid") ? member(j, "pid") : e->pid));
	arena_fini(&a);
	if (c->setup.quiet && hooked)
		buf_clear(&c->line);
	else
		console_put(c, hooked ? COLOR_GREEN : COLOR_YELLOW);
}

static void on_framework(struct console *c, const struct cf_event *e, struct span j)
{
	struct arena a;

	if (!c->setup.verbose)
		return;
	arena_init(&a);
	put_who(c, e, j, &a);
	buf_add_text(&c->line, "  found  ");
	console_put_text(&c->line, &a, json_get(j, "name"), 60);
	buf_add_char(&c->line, ' ');
	console_put_text(&c->line, &a, json_get(j, "version"), 30);
	arena_fini(&a);
	console_put(c, NULL);
}

static void on_gap(struct console *c, const struct cf_event *e, struct span j)
{
	struct arena a;

	c->gaps++;
	arena_init(&a);
	put_who(c, e, j, &a);
	buf_add_text(&c->line, "  NOT covered: ");
	console_put_text(&c->line, &a, json_get(j, "reason"), 300);
	arena_fini(&a);
	console_put(c, COLOR_YELLOW);
}

static void on_ready(struct console *c, const struct cf_event *e, struct span j)
{
	int64_t processes = member(j, "processes"), hooked = member(j, "hooked"),
		missing = member(j, "not_hooked");

	c->first_ns = e->ts_ns;
	buf_printf(&c->line, "ready: watching %lld process%s", (long long)processes,
		   processes == 1 ? "" : "es");
	if (hooked || missing)
		buf_printf(&c->line, ", %lld hooked", (long long)hooked);
	else
		buf_add_text(&c->line, "; TLS libraries are hooked when they are loaded");
	if (missing)
		buf_printf(&c->line, ", %lld NOT hooked", (long long)missing);
	console_put(c, missing ? COLOR_YELLOW : COLOR_GREEN);
}

/* 1,204 */
static void put_grouped(struct buf *b, int64_t n)
{
	if (n >= 1000) {
		put_grouped(b, n / 1000);
		buf_printf(b, ",%03d", (int)(n % 1000));
	} else {
		buf_printf(b, "%d", (int)n);
	}
}

/* "LOST 1,204 events in 3 s: buffer full; traces are marked incomplete. Raise --buffer (now 16.8 MB)" */
static void tell_loss(struct console *c, int row, uint64_t now)
{
	uint64_t since = c->told_ns ? c->told_ns : c->first_ns;
	char text[16];

	buf_add_text(&c->line, "LOST ");
	put_grouped(&c->line, c->counters[row] - c->told[row]);
	text_duration(since && now > since ? now - since : 0, text);
	buf_printf(&c->line, " events in %s: %s; traces are marked incomplete.", text,
		   counter_rows[row].cause);
	if (row == LOST_RING) {
		buf_add_text(&c->line, " Raise --buffer");
		if (c->setup.buffer)
			buf_printf(&c->line, " (now %lluM)",
				   (unsigned long long)(c->setup.buffer >> 20));
	}
	console_put(c, COLOR_RED);
	c->told[row] = c->counters[row];
}

static void tell_losses(struct console *c, uint64_t now)
{
	bool any = false;

	for (int i = 0; i < N_COUNTERS; i++) {
		if (!counter_rows[i].cause || c->counters[i] <= c->told[i])
			continue;
		tell_loss(c, i, now);
		any = true;
	}
	if (any)
		c->told_ns = now;
}

static void on_counters(struct console *c, const struct cf_event *e, struct span j)
{
	for (int i = 0; i < N_COUNTERS; i++)
		c->counters[i] = member(j, counter_rows[i].member);
	if (e->ts_ns >= c->told_ns + TELL_EVERY_NS)
		tell_losses(c, e->ts_ns);
}

static void on_stop(struct console *c, const struct cf_event *e, struct span j)
{
	struct arena a;

	if (c->stopped)
		return;
	c->stopped = true;
	tell_losses(c, e->ts_ns);
	if (c->setup.quiet)
		return;
	arena_init(&a);
	buf_add_text(&c->line, "stopped: ");
	console_put_text(&c->line, &a, json_get(j, "reason"), 200);
	arena_fini(&a);
	console_put(c, NULL);
}

static const struct {
	uint16_t kind;
	void (*on)(struct console *c, const struct cf_event *e, struct span j);
} fact_rows[] = {
	{ CF_FACT_HOST, on_host },	   { CF_FACT_PROCESS, on_process },
	{ CF_FACT_LIBRARY, on_library },   { CF_FACT_FRAMEWORK, on_framework },
	{ CF_FACT_COUNTERS, on_counters }, { CF_FACT_STOP, on_stop },
	{ CF_FACT_READY, on_ready },	   { CF_FACT_GAP, on_gap },
};

void console_event(struct console *c, const struct cf_event *e)
{
	struct span value;

	if (!c->first_ns)
		c->first_ns = e->ts_ns;
	if (e->ts_ns > c->last_ns)
		c->last_ns = e->ts_ns;
	if (e->kind < CF_FACT_FIRST)
		return;
	for (size_t i = 0; i < sizeof(fact_rows) / sizeof(*fact_rows); i++) {
		if (fact_rows[i].kind == e->kind && !json_value(fact_json(e), &value, NULL))
			fact_rows[i].on(c, e, value);
	}
}

/* A tool call is given out when it is asked for and again when its result is known: only then there is news. */
static bool finished(const struct step *s, bool again)
{
	return s->type != STEP_TOOL_CALL || again ||
	       !json_true(json_get(s->metadata, "incomplete"));
}

static const char *step_color(const struct step *s)
{
	if (json_get(s->metadata, "error").p ||
	    (s->type == STEP_TOOL_CALL && s->values[TOOL_ERROR].p))
		return COLOR_RED;
	if (json_true(json_get(s->metadata, "incomplete")))
		return COLOR_YELLOW;
	return json_is(json_get(s->metadata, "source"), "process") ? COLOR_DIM : NULL;
}

void console_step(struct console *c, const struct step *s, bool again)
{
	char clock[9];

	if (!finished(s, again))
		return;
	console_count_step(c, s);
	if (c->setup.quiet)
		return;
	time_clock(s->began_ns, c->utc_offset_s, clock);
	buf_add_text(&c->line, clock);
	if (console_describe(c, s, &c->line))
		console_put(c, step_color(s));
	buf_clear(&c->line);
}

static void count_run(struct console *c, struct span totals)
{
	double cost;

	c->calls += member(totals, "llm_calls");
	c->tools += member(totals, "tool_calls");
	c->errors += member(totals, "errors");
	c->tokens_in += member(totals, "tokens_in");
	c->tokens_out += member(totals, "tokens_out");
	if (json_double(json_get(totals, "cost"), &cost))
		c->cost += cost;
}

/* What keeps a run from being complete, in the trace's own words. */
static void note_reasons(struct console *c, struct span completeness)
{
	struct span list = json_get(completeness, "missing"), item;
	struct json_iter it = json_iter(list);
	struct arena a;

	if (json_type_of(list) != JSON_ARRAY)
		return;
	arena_init(&a);
	while (json_next(&it, NULL, &item) && c->n_reasons < REASONS_SHOWN) {
		c->n_reasons++;
		buf_add_text(&c->reasons, "  ");
		console_put_text(&c->reasons, &a, item, 200);
		buf_add_char(&c->reasons, '\n');
	}
	arena_fini(&a);
}

void console_run_end(struct console *c, const struct run_info *info, const char *file)
{
	struct span completeness = json_path(info->metadata, "capture.completeness");

	c->runs++;
	count_run(c, json_get(info->metadata, "totals"));
	if (file)
		snprintf(c->last_file, sizeof(c->last_file), "%s", file);
	else
		c->unwritten_runs++;
	if (!json_true(json_get(completeness, "complete"))) {
		c->incomplete_runs++;
		note_reasons(c, completeness);
	}
}

void console_counters(struct console *c)
{
	for (int i = 0; i < N_COUNTERS; i++) {
		buf_printf(&c->line, "%s%s ", i ? ", " : "", counter_rows[i].member);
		put_grouped(&c->line, c->counters[i]);
	}
	console_put(c, NULL);
}

bool console_complete(const struct console *c)
{
	for (int i = 0; i < N_COUNTERS; i++) {
		if (counter_rows[i].cause && c->counters[i])
			return false;
	}
	return !c->incomplete_runs && !c->unwritten_runs && !c->gaps && !c->unhooked;
}

bool console_covered(const struct console *c)
{
	return c->libraries || c->calls;
}

static void put_amount(struct buf *b, int64_t n, const char *one, const char *many)
{
	buf_add_text(b, ", ");
	put_grouped(b, n);
	buf_printf(b, " %s", n == 1 ? one : many);
}

static void put_sum(struct console *c)
{
	struct buf *b = &c->line;
	char in[16], out[16], time[16];

	text_count((uint64_t)c->tokens_in, in);
	text_count((uint64_t)c->tokens_out, out);
	text_duration(c->last_ns > c->first_ns ? c->last_ns - c->first_ns : 0, time);
	put_grouped(b, c->runs);
	buf_add_text(b, c->runs == 1 ? " run" : " runs");
	put_amount(b, c->calls, "model call", "model calls");
	buf_printf(b, " (%s -> %s tok", in, out);
	if (c->cost > 0)
		buf_printf(b, ", $%.3f", c->cost);
	buf_add_char(b, ')');
	put_amount(b, c->tools, "tool call", "tool calls");
	put_amount(b, c->errors, "error", "errors");
	put_amount(b, (int64_t)c->files.n, "file", "files");
	put_amount(b, (int64_t)c->hosts.n, "host", "hosts");
	buf_printf(b, " in %s", time);
	console_put(c, COLOR_BOLD);
}

static void put_completeness(struct console *c)
{
	struct span rest = buf_span(&c->reasons), line;

	if (console_complete(c)) {
		buf_add_text(&c->line, "complete: nothing was lost, everything was read");
		console_put(c, COLOR_GREEN);
		return;
	}
	buf_printf(&c->line, "INCOMPLETE: %lld of %lld runs", (long long)c->incomplete_runs,
		   (long long)c->runs);
	for (int i = 0; i < N_COUNTERS; i++) {
		if (!counter_rows[i].cause || !c->counters[i])
			continue;
		buf_add_text(&c->line, "; lost ");
		put_grouped(&c->line, c->counters[i]);
		buf_printf(&c->line, " (%s)", counter_rows[i].cause);
	}
	if (c->unhooked)
		buf_printf(&c->line, "; %lld TLS libraries not hooked", (long long)c->unhooked);
	if (c->gaps)
		buf_printf(&c->line, "; %lld processes not covered", (long long)c->gaps);
	console_put(c, COLOR_YELLOW);
	while (span_split(&rest, '\n', &line)) {
		if (!line.len)
			continue;
		buf_add_span(&c->line, line);
		console_put(c, COLOR_YELLOW);
	}
}

void console_end(struct console *c)
{
	if (c->setup.quiet && console_complete(c))
		return;
	if (!c->setup.quiet)
		put_sum(c);
	put_completeness(c);
	if (!c->setup.dir || !c->runs)
		return;
	if (c->unwritten_runs) {
		buf_printf(&c->line,
			   "%lld runs could not be finished; their journals stay. Run: cf-observe "
			   "recover %s",
			   (long long)c->unwritten_runs, c->setup.dir);
		console_put(c, COLOR_RED);
	}
	if (c->setup.quiet || !c->last_file[0])
		return;
	if (c->runs - c->unwritten_runs > 1)
		buf_printf(&c->line, "traces in %s. Next: cf-observe show %s/trace-*.json",
			   c->setup.dir, c->setup.dir);
	else
		buf_printf(&c->line, "trace: %s/%s. Next: cf-observe show %s/%s", c->setup.dir,
			   c->last_file, c->setup.dir, c->last_file);
	console_put(c, NULL);
}
