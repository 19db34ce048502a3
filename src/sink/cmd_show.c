/* cf-observe show: a run as a tree, in the order of time. */
#include "sink/cmd_show.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/timefmt.h"
#include "sink/cmd.h"
#include "sink/cmd_files.h"
#include "trace/read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_INDENT 12

/* Where a step is, and who it belongs to; the step itself is read again when it is printed. */
struct node {
	uint64_t at;
	size_t len;
	uint64_t parent_hash; /* 0: none */
	uint32_t parent;      /* index + 1; 0: a root */
	uint32_t child;       /* index + 1 of the first */
	uint32_t next;        /* index + 1 of the next with the same parent */
	uint32_t depth;
	bool replaced;        /* a journal says it again later */
	bool shown;
};

struct tree {
	struct node *nodes;
	size_t n;
	size_t cap;
	struct map by_id; /* hash -> index + 1 */
	struct run_reader reader;
	int fd;
};

static uint64_t id_hash(struct span id)
{
	uint64_t h = hash_bytes(id.p, id.len, 2);

	return h ? h : 1;
}

static void print(struct show *s)
{
	fwrite(s->out.p, 1, s->out.len, stdout);
	buf_clear(&s->out);
}

static void add_node(struct tree *t, struct show *s, const struct run_item *item)
{
	struct arena a;
	struct step step;

	arena_init(&a);
	if (t->n < UINT32_MAX && step_read(item->raw, &a, &step, NULL) == 0) {
		t->nodes = mem_room(t->nodes, &t->cap, t->n + 1, sizeof(*t->nodes));
		struct node *n = &t->nodes[t->n++];
		*n = (struct node){ .at = item->at, .len = item->raw.len };
		if (step.parent_id.p)
			n->parent_hash = id_hash(step.parent_id);
		uint64_t id = id_hash(step.id);
		uintptr_t before = (uintptr_t)map_get(&t->by_id, id);
		if (before && t->reader.journal)
			t->nodes[before - 1].replaced = true;
		map_set(&t->by_id, id, (void *)(uintptr_t)t->n);
		if (!t->reader.journal)
			show_count_step(&s->totals, &step);
	}
	arena_fini(&a);
}

/* Children in the order of the file: the lists are built from behind. */
static void link_nodes(struct tree *t)
{
	for (size_t i = t->n; i-- > 0;) {
		struct node *n = &t->nodes[i];
		uintptr_t parent = n->parent_hash ? (uintptr_t)map_get(&t->by_id, n->parent_hash) : 0;
		if (!parent || parent == i + 1 || n->replaced)
			continue;
		n->parent = (uint32_t)parent;
		n->next = t->nodes[parent - 1].child;
		t->nodes[parent - 1].child = (uint32_t)i + 1;
	}
}

/* The step again, from the file. */
static bool load(struct tree *t, const struct node *n, struct buf *raw, struct arena *a, struct step *step)
{
	buf_clear(raw);
	char *to = buf_reserve(raw, n->len);

	if (!to || pread(t->fd, to, n->len, (off_t)n->at) != (ssize_t)n->len)
		return false;
	/* The file may have been changed in between. */
	struct span text = span_at(to, n->len);
	return json_valid(text) && step_read(text, a, step, NULL) == 0;
}

/* Of a journal only the last line of each step counts. */
static void count_journal(struct tree *t, struct show *s)
{
	struct step step;
	struct arena a;
	struct buf raw;

	buf_init(&raw, LIMIT_STEP);
	for (size_t i = 0; i < t->n; i++) {
		arena_init(&a);
		if (!t->nodes[i].replaced && load(t, &t->nodes[i], &raw, &a, &step))
			show_count_step(&s->totals, &step);
		arena_fini(&a);
	}
	buf_fini(&raw);
}

static void print_node(struct tree *t, struct show *s, struct node *n, struct buf *raw)
{
	struct step step;
	struct arena a;
	char time[TIME_TEXT_LEN];

	n->shown = true;
	arena_init(&a);
	if (load(t, n, raw, &a, &step)) {
		time_format(step.began_ns, time);
		show_color(s, COLOR_DIM);
		buf_printf(&s->out, "%.12s ", time + 11);
		show_color(s, COLOR_NONE);
		uint32_t depth = n->depth < MAX_INDENT ? n->depth : MAX_INDENT;
		buf_printf(&s->out, " %*s", depth ? (int)(3 * depth) : 0, depth ? "`- " : "");
		show_step(s, &a, &step);
		buf_add_char(&s->out, '\n');
		print(s);
	}
	arena_fini(&a);
}

/* Down first, then on; up when there is nothing more. Parents were set by link_nodes, so no stack is needed. */
static void print_from(struct tree *t, struct show *s, uint32_t root, struct buf *raw)
{
	uint32_t at = root;

	t->nodes[at - 1].depth = 0;
	while (at) {
		struct node *n = &t->nodes[at - 1];
		if (!n->shown) {
			print_node(t, s, n, raw);
			if (n->child && !t->nodes[n->child - 1].shown) {
				t->nodes[n->child - 1].depth = n->depth + 1;
				at = n->child;
				continue;
			}
		}
		while (at != root && (!n->next || t->nodes[n->next - 1].shown)) {
			at = n->parent;
			n = &t->nodes[at - 1];
		}
		if (at == root)
			break;
		t->nodes[n->next - 1].depth = n->depth;
		at = n->next;
	}
}

static void print_tree(struct tree *t, struct show *s)
{
	struct buf raw;

	buf_init(&raw, LIMIT_STEP);
	for (size_t i = 0; i < t->n; i++)
		if (!t->nodes[i].parent && !t->nodes[i].replaced)
			print_from(t, s, (uint32_t)i + 1, &raw);
	/* Parents in a circle have no root: nothing is left out. */
	for (size_t i = 0; i < t->n; i++)
		if (!t->nodes[i].shown && !t->nodes[i].replaced)
			print_from(t, s, (uint32_t)i + 1, &raw);
	buf_fini(&raw);
}

static struct span state_of(const struct run_info *run, bool journal)
{
	struct span state = run->metadata.p ? json_get(run->metadata, "state") : SPAN_NONE;

	return state.p ? state : journal ? SPAN("\"running or cut\"") : run->ended_ns ? SPAN("\"completed\"") : SPAN_NONE;
}

static void put_agent(struct show *s, struct arena *a, const struct run_info *run)
{
	struct span version = json_get(run->agent_info, "version"), framework = json_get(run->agent_info, "framework");

	show_value(s, a, json_get(run->agent_info, "name"), 60);
	if (version.p) {
		buf_add_char(&s->out, ' ');
		show_value(s, a, version, 30);
	}
	if (framework.p) {
		buf_add_text(&s->out, " (");
		show_value(s, a, framework, 30);
		buf_add_char(&s->out, ')');
	}
}

static void put_head(struct show *s, struct arena *a, const struct run_info *run, bool journal)
{
	struct span goal = run->task_info.p ? json_get(run->task_info, "goal") : SPAN_NONE;
	struct span description = run->task_info.p ? json_get(run->task_info, "description") : SPAN_NONE;
	char text[TIME_TEXT_LEN];

	show_color(s, COLOR_BOLD);
	buf_add_text(&s->out, "run ");
	show_text(s, run->run_id, 60);
	show_color(s, COLOR_NONE);
	buf_add_text(&s->out, "  ");
	put_agent(s, a, run);
	time_format(run->started_ns, text);
	buf_printf(&s->out, "  %.10s %.8s", text, text + 11);
	if (run->ended_ns >= run->started_ns && run->ended_ns) {
		text_duration((uint64_t)(run->ended_ns - run->started_ns), text);
		buf_printf(&s->out, "  %s", text);
	}
	buf_add_text(&s->out, "  ");
	show_value(s, a, state_of(run, journal), 30);
	buf_add_char(&s->out, '\n');
	if (goal.p || description.p) {
		buf_add_text(&s->out, "task ");
		show_value(s, a, description.p ? description : goal, 200);
		buf_add_char(&s->out, '\n');
	}
}

static void put_counted(struct show *s, uint64_t n, const char *one, const char *many)
{
	if (n)
		buf_printf(&s->out, ", %llu %s", (unsigned long long)n, n == 1 ? one : many);
}

static void put_totals(struct show *s)
{
	const struct show_totals *t = &s->totals;
	char in[16], out[16], cached[16];

	buf_printf(&s->out, "%llu steps", (unsigned long long)t->steps);
	put_counted(s, t->llm_calls, "model call", "model calls");
	put_counted(s, t->tool_calls, "tool call", "tool calls");
	put_counted(s, t->retrievals, "search", "searches");
	put_counted(s, t->memory, "memory access", "memory accesses");
	if (t->tokens_in || t->tokens_out) {
		text_count(t->tokens_in, in);
		text_count(t->tokens_out, out);
		text_count(t->tokens_cached, cached);
		buf_printf(&s->out, ", %s -> %s tokens", in, out);
		if (t->tokens_cached)
			buf_printf(&s->out, " (%s cached)", cached);
	}
	if (t->has_cost)
		buf_printf(&s->out, ", $%.4f", t->cost);
	put_counted(s, t->errors, "error", "errors");
	put_counted(s, t->incomplete, "incomplete", "incomplete");
	buf_add_char(&s->out, '\n');
}

static void put_completeness(struct show *s, const struct run_info *run)
{
	struct span capture = run->metadata.p ? json_get(run->metadata, "capture") : SPAN_NONE;
	struct span all = capture.p ? json_get(capture, "completeness") : SPAN_NONE;
	struct json_iter it = json_iter(all);
	struct span key, value;

	if (!all.p)
		return;
	bool complete = json_true(json_get(all, "complete"));
	show_color(s, complete ? COLOR_GREEN : COLOR_YELLOW);
	buf_add_text(&s->out, complete ? "complete: nothing was lost" : "INCOMPLETE");
	show_color(s, COLOR_NONE);
	while (!complete && it.object && json_next(&it, &key, &value)) {
		if (json_is(key, "complete") || value.len <= 2)
			continue;
		buf_add_text(&s->out, "\n  ");
		show_text(s, span_at(key.p + 1, key.len - 2), 40);
		buf_add_text(&s->out, ": ");
		show_text(s, value, 160);
	}
	buf_add_char(&s->out, '\n');
}

static void put_json(struct show *s, const char *path, const struct run_info *run, bool journal)
{
	const struct show_totals *t = &s->totals;
	struct span capture = run->metadata.p ? json_get(run->metadata, "capture") : SPAN_NONE;
	struct span complete = capture.p ? json_path(capture, "completeness.complete") : SPAN_NONE;
	struct buf *b = &s->out;
	char text[TIME_TEXT_LEN];

	buf_add_char(b, '{');
	json_put_member_text(b, "file", span_of(path));
	json_put_member_text(b, "run_id", run->run_id);
	time_format(run->started_ns, text);
	json_put_member_text(b, "started_at", span_of(text));
	time_format(run->ended_ns, text);
	if (run->ended_ns)
		json_put_member_text(b, "ended_at", span_of(text));
	struct span state = state_of(run, journal);
	if (run->agent_info.p)
		json_put_member(b, "agent_info", run->agent_info);
	if (state.p)
		json_put_member(b, "state", state);
	json_put_member_i64(b, "steps", (int64_t)t->steps);
	json_put_member_i64(b, "llm_calls", (int64_t)t->llm_calls);
	json_put_member_i64(b, "tool_calls", (int64_t)t->tool_calls);
	json_put_member_i64(b, "tokens_in", (int64_t)t->tokens_in);
	json_put_member_i64(b, "tokens_out", (int64_t)t->tokens_out);
	if (t->has_cost)
		json_put_member_double(b, "cost_estimate", t->cost);
	json_put_member_i64(b, "errors", (int64_t)t->errors);
	json_put_member_i64(b, "incomplete", (int64_t)t->incomplete);
	if (complete.p)
		json_put_member(b, "complete", complete);
	buf_add_text(b, "}\n");
}

static int read_tree(struct tree *t, struct show *s)
{
	struct run_item item;
	int more;

	while ((more = run_reader_next(&t->reader, &item)) > 0)
		add_node(t, s, &item);
	link_nodes(t);
	if (t->reader.journal)
		count_journal(t, s);
	return more;
}

static void put_run(struct tree *t, struct show *s, const struct trace_file *f)
{
	struct arena a;

	arena_init(&a);
	if (s->json) {
		put_json(s, f->path, &t->reader.run, f->journal);
	} else if (s->list) {
		text_put_safe(&s->out, span_of(f->path));
		buf_add_text(&s->out, "\n  ");
		put_head(s, &a, &t->reader.run, f->journal);
		buf_add_text(&s->out, "  ");
		put_totals(s);
	} else {
		put_head(s, &a, &t->reader.run, f->journal);
		print(s);
		print_tree(t, s);
		put_totals(s);
		put_completeness(s, &t->reader.run);
	}
	print(s);
	arena_fini(&a);
}

/* A pipe cannot be read twice: it goes through a temporary file. */
static int seekable(int fd)
{
	if (lseek(fd, 0, SEEK_CUR) >= 0)
		return fd;
	FILE *tmp = tmpfile();
	char part[65536];
	ssize_t n = 0;
	while (tmp && (n = read(fd, part, sizeof(part))) > 0)
		if (fwrite(part, 1, (size_t)n, tmp) != (size_t)n)
			n = -1;
	close(fd);
	if (!tmp)
		return -errno;
	int copy = fflush(tmp) || n < 0 ? -EIO : dup(fileno(tmp));
	fclose(tmp);
	if (copy >= 0)
		lseek(copy, 0, SEEK_SET);
	return copy;
}

static int show_file(struct show *s, const struct trace_file *f)
{
	struct tree t = { .fd = trace_file_open(f) };
	int err = 0;

	if (t.fd >= 0)
		t.fd = seekable(t.fd);
	if (t.fd < 0) {
		trace_file_complain(f->path, strerror(-t.fd));
		return CMD_NO;
	}
	s->totals = (struct show_totals){ 0 };
	map_init(&t.by_id);
	run_reader_init(&t.reader, t.fd, f->journal);
	err = read_tree(&t, s);
	if (t.reader.run.run_id.p || !err)
		put_run(&t, s, f);
	if (err == -EINVAL) {
		text_put_safe(&s->out, span_of(t.reader.why.message));
		trace_file_complain(f->path, buf_text(&s->out));
		buf_clear(&s->out);
	} else if (err) {
		trace_file_complain(f->path, strerror(-err));
	}
	run_reader_fini(&t.reader);
	map_fini(&t.by_id);
	free(t.nodes);
	close(t.fd);
	return err ? CMD_NO : CMD_FINE;
}

static const struct trace_file *newest(const struct trace_files *files)
{
	const struct trace_file *best = files->items;

	for (size_t i = 1; i < files->n; i++)
		if (files->items[i].changed_ns > best->changed_ns)
			best = &files->items[i];
	return best;
}

static int show_argument(struct show *s, const char *path)
{
	struct trace_files files;
	int err = trace_files_find(path, &files), status = CMD_FINE;

	if (err || !files.n) {
		trace_file_complain(path, err ? strerror(-err) : "no traces in this directory");
		trace_files_fini(&files);
		return CMD_NOT_FOUND;
	}
	if (files.n > 1 && !s->list && !s->json) {
		status = show_file(s, newest(&files));
		buf_printf(&s->out, "%zu runs in ", files.n);
		text_put_safe(&s->out, span_of(path));
		buf_add_text(&s->out, ", this is the newest. All: cf-observe show --list ");
		text_put_safe(&s->out, span_of(path));
		buf_add_char(&s->out, '\n');
		print(s);
	} else {
		for (size_t i = 0; i < files.n; i++)
			status |= show_file(s, &files.items[i]);
	}
	trace_files_fini(&files);
	return status;
}

int cmd_show(int argc, char **argv)
{
	struct show s = { .color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };
	const struct cmd_flag flags[] = {
		{ "--json", &s.json }, { "--list", &s.list }, { "--full", &s.full }, { NULL },
	};
	int n = cmd_take_flags(argc, argv, flags), status = CMD_FINE;

	if (n < 0)
		return CMD_BAD_USAGE;
	if (!n) {
		fprintf(stderr, "usage: cf-observe show [--json] [--list] [--full] FILE|DIR...\n");
		return CMD_BAD_USAGE;
	}
	buf_init(&s.out, 2 * LIMIT_STEP);
	for (int i = 1; i <= n; i++) {
		int one = show_argument(&s, argv[i]);
		if (one > status)
			status = one;
	}
	buf_fini(&s.out);
	return fflush(stdout) || ferror(stdout) ? CMD_CANNOT_WRITE : status;
}
