/*
 * What tool calls do to the system: processes, files, connections. Each belongs to the open tool call during which,
 * and below whose process, it happened, when only one call can be meant; else it is a step of its own.
 */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/timefmt.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* A command line shorter than this ("ls") is found in any arguments. */
#define TELLING_COMMAND 4

void effects_fini(struct effects *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->items[i].json);
	free(e->items);
	*e = (struct effects){ 0 };
}

/* Takes item.json. false: listed already, or the list is full. */
static bool add(struct effects *list, struct effect item)
{
	for (size_t i = 0; item.key && i < list->n; i++)
		if (list->items[i].key == item.key) {
			free(item.json);
			return false;
		}
	if (list->n >= EFFECTS_MAX) {
		list->more++;
		free(item.json);
		return false;
	}
	list->items = mem_room(list->items, &list->cap, list->n + 1, sizeof(*list->items));
	list->items[list->n++] = item;
	return true;
}

struct candidates {
	struct tool *one;
	size_t n;
};

static bool may_cause(struct assembler *a, const struct tool *t, const struct proc *p, uint64_t ts_ns)
{
	const struct proc *asker = proc_find(a, t->pid, t->start_ns);

	return asker && !t->passed && t->began_ns <= ts_ns && proc_within(p, asker);
}

/* The text of the last argument: what a shell was told to do. */
static struct span command_of(struct arena *arena, const struct proc *p)
{
	struct span argv = span_str(p->argv);
	size_t n = argv.p ? json_count(argv) : 0;

	return n ? span_trim(json_text(arena, json_at(argv, n - 1))) : SPAN_NONE;
}

static bool tells_command(const struct tool *t, struct span command)
{
	struct json_iter it = json_iter(span_of(t->arguments));
	struct arena arena;
	struct span key, value;
	bool found = false;

	if (command.len < TELLING_COMMAND)
		return false;
	arena_init(&arena);
	while (!found && json_next(&it, &key, &value))
		found = span_find(json_text(&arena, value), command).p;
	arena_fini(&arena);
	return found;
}

static struct candidates find_candidates(struct assembler *a, struct proc *p, uint64_t ts_ns, bool by_command)
{
	struct candidates all = { 0 }, telling = { 0 };
	struct arena arena;

	if (p->tool && !p->tool->passed)
		return (struct candidates){ p->tool, 1 };
	arena_init(&arena);
	struct span command = by_command ? command_of(&arena, p) : SPAN_NONE;
	for (struct run *r = p->tree->runs; r; r = r->next)
		for (struct tool *t = r->tools; t; t = t->next) {
			if (!may_cause(a, t, p, ts_ns))
				continue;
			all.one = t;
			all.n++;
			if (by_command && tells_command(t, command)) {
				telling.one = t;
				telling.n++;
			}
		}
	arena_fini(&arena);
	return telling.n == 1 ? telling : all;
}

static void mark_shared(struct assembler *a, struct proc *p, uint64_t ts_ns)
{
	for (struct run *r = p->tree->runs; r; r = r->next)
		for (struct tool *t = r->tools; t; t = t->next)
			if (may_cause(a, t, p, ts_ns))
				t->shared = true;
}

static char *members(struct buf *b)
{
	char *out = span_dup(span_at(b->p + 1, b->len - 1)); /* the first byte is '{' */

	buf_clear(b);
	return out;
}

static struct buf *begin(struct assembler *a)
{
	buf_clear(&a->scratch);
	buf_add_char(&a->scratch, '{');
	return &a->scratch;
}

static void put_exit(struct buf *b, const struct effect *x)
{
	if (!x->ended) {
		json_put_member_bool(b, "running", true);
		return;
	}
	if (x->signal)
		json_put_member_i64(b, "signal", x->signal);
	else
		json_put_member_i64(b, "exit_code", x->code);
	if (x->ended_ns >= x->ts_ns)
		json_put_member_i64(b, "duration_ms", (int64_t)((x->ended_ns - x->ts_ns) / NS_PER_MS));
}

/* A process that belongs to no tool call: a step, given out at its start and again at its end. */
static void own_exec(struct run *r, const struct effect *x, uint32_t number, uint32_t parent, bool again)
{
	struct assembler *a = r->a;
	struct step s = run_step(r, STEP_TOOL_CALL, number, parent, x->ts_ns);
	struct proc *p = proc_find(a, x->pid, x->start_ns);
	struct arena arena;

	arena_init(&arena);
	s.values[TOOL_NAME] = SPAN("\"exec\"");
	s.values[TOOL_ARGUMENTS] = arena_printf(&arena, "{%s}", x->json);
	if (x->ended) {
		s.values[TOOL_RESULT] = x->signal ? arena_printf(&arena, "{\"signal\":%u}", x->signal) :
						    arena_printf(&arena, "{\"exit_code\":%u}", x->code);
		s.values[TOOL_SUCCESS] = x->signal || x->code ? SPAN("false") : SPAN("true");
		if (x->ended_ns >= x->ts_ns)
			s.values[TOOL_LATENCY_MS] = json_whole(&arena, (int64_t)((x->ended_ns - x->ts_ns) / NS_PER_MS));
		if (x->signal || x->code)
			s.values[TOOL_ERROR] = x->signal ? arena_printf(&arena, "\"ended by signal %u\"", x->signal) :
							   arena_printf(&arena, "\"exit code %u\"", x->code);
	}
	buf_clear(&a->meta);
	buf_add_text(&a->meta, "{\"source\":\"process\",\"provenance\":\"observed\"");
	json_put_member_i64(&a->meta, "pid", x->pid);
	if (p && p->comm[0])
		json_put_member_text(&a->meta, "process", span_of(p->comm));
	if (x->shared)
		json_put_member_bool(&a->meta, "during_several_tool_calls", true);
	if (!x->ended) {
		json_put_member_bool(&a->meta, "incomplete", true);
		json_put_member_text(&a->meta, "reason", SPAN("still running"));
	}
	buf_add_char(&a->meta, '}');
	s.metadata = buf_span(&a->meta);
	run_emit(r, &s, again);
	arena_fini(&arena);
}

static void begin_own_exec(struct run *r, const struct effect *x)
{
	struct proc *p = proc_find(r->a, x->pid, x->start_ns);
	uint32_t number = run_number(r), parent = 0;

	if (p && p->parent && p->parent->exec_run == r)
		parent = p->parent->exec_step;
	own_exec(r, x, number, parent, false);
	if (!p)
		return;
	free(p->exec.json);
	p->exec = *x;
	p->exec.json = mem_text(x->json);
	p->exec_run = r;
	p->exec_step = number;
	p->exec_parent = parent;
}

static void end_own_exec(struct proc *p)
{
	p->exec.ended = true;
	p->exec.ended_ns = p->exited_ns;
	p->exec.code = p->code;
	p->exec.signal = p->signal;
	own_exec(p->exec_run, &p->exec, p->exec_step, p->exec_parent, true);
}

static struct effect exec_effect(struct assembler *a, const struct proc *p, const struct cf_exec *e)
{
	struct buf *b = begin(a);

	json_put_member_i64(b, "pid", p->pid);
	json_put_member_text(b, "path", span_str(p->exe));
	if (!a->o.no_inputs)
		json_put_member(b, "argv", span_str(p->argv));
	if (e->argv_cut)
		json_put_member_bool(b, "argv_cut", true);
	json_put_member_text(b, "cwd", span_str(p->cwd));
	return (struct effect){ EFFECT_EXEC, e->h.ts_ns, p->pid, p->start_ns, members(b) };
}

void effect_exec(struct assembler *a, struct proc *p, const struct cf_exec *e)
{
	struct candidates c = find_candidates(a, p, e->h.ts_ns, true);
	struct effect x = exec_effect(a, p, e);

	if (c.n == 1) {
		p->tool = c.one;
		add(&c.one->effects, x);
		return;
	}
	x.shared = c.n > 1;
	if (x.shared)
		mark_shared(a, p, e->h.ts_ns);
	add(&p->tree->held.execs, x);
}

static void note_exit(struct effects *list, const struct proc *p)
{
	for (size_t i = 0; i < list->n; i++) {
		struct effect *x = &list->items[i];
		if (x->kind != EFFECT_EXEC || x->ended || x->pid != p->pid || x->start_ns != p->start_ns)
			continue;
		x->ended = true;
		x->ended_ns = p->exited_ns;
		x->code = p->code;
		x->signal = p->signal;
	}
}

void effect_exit(struct assembler *a, struct proc *p)
{
	(void)a;
	if (p->tool)
		note_exit(&p->tool->effects, p);
	if (p->exec_run && !p->exec.ended)
		end_own_exec(p);
	note_exit(&p->tree->held.execs, p);
}

static const char *const op_names[] = {
	[CF_FILE_WRITE] = "write", [CF_FILE_UNLINK] = "delete", [CF_FILE_RENAME] = "rename", [CF_FILE_MKDIR] = "mkdir",
};

/* Devices and kernel files are no state of the agent's world. */
static bool is_file(struct span path)
{
	return path.len && !span_starts(path, SPAN("/dev/")) && !span_starts(path, SPAN("/proc/")) &&
	       !span_starts(path, SPAN("/sys/"));
}

static void place(struct assembler *a, struct proc *p, struct effect x, struct effects *otherwise)
{
	struct candidates c = find_candidates(a, p, x.ts_ns, false);

	if (c.n > 1)
		mark_shared(a, p, x.ts_ns);
	if (c.n == 1)
		add(&c.one->effects, x);
	else if (otherwise)
		add(otherwise, x);
	else
		free(x.json);
}

void effect_file(struct assembler *a, struct proc *p, const struct cf_file *e)
{
	const char *rest = (const char *)(e + 1);

	if (e->op >= sizeof(op_names) / sizeof(*op_names) || !op_names[e->op] || e->result < 0 ||
	    (size_t)e->path_len + e->path2_len > e->h.size - sizeof(*e))
		return;
	struct span path = span_at(rest, strnlen(rest, e->path_len));
	struct span to = span_at(rest + e->path_len, strnlen(rest + e->path_len, e->path2_len));
	if (!is_file(path))
		return;
	struct buf *b = begin(a);
	json_put_member_text(b, "path", path);
	json_put_member_text(b, "operation", span_of(op_names[e->op]));
	if (to.len)
		json_put_member_text(b, "to", to);
	json_put_member_i64(b, "pid", p->pid);
	uint64_t key = hash_bytes(b->p, b->len, 13) | 1;
	struct effect x = { EFFECT_FILE, e->h.ts_ns, p->pid, p->start_ns, members(b), .key = key };
	place(a, p, x, &p->tree->held.files);
}

static bool peer_text(const struct cf_open *e, char out[64])
{
	char addr[INET6_ADDRSTRLEN];

	if (e->family != AF_INET && e->family != AF_INET6)
		return false;
	if (!e->peer_port || !inet_ntop(e->family, e->peer_addr, addr, sizeof(addr)))
		return false;
	snprintf(out, 64, e->family == AF_INET6 ? "[%s]:%u" : "%s:%u", addr, e->peer_port);
	return true;
}

void effect_open(struct assembler *a, struct proc *p, const struct cf_open *e)
{
	char peer[64];

	if (e->layer != CF_LAYER_SOCKET || !peer_text(e, peer))
		return;
	struct buf *b = begin(a);
	json_put_member_text(b, "peer", span_of(peer));
	json_put_member_text(b, "protocol", e->protocol == IPPROTO_UDP ? SPAN("udp") : SPAN("tcp"));
	json_put_member_i64(b, "pid", p->pid);
	struct effect x = { EFFECT_NET, e->h.ts_ns, p->pid, p->start_ns, members(b) };
	x.key = hash_bytes(x.json, strlen(x.json), 17) | 1;
	x.peer_hash = hash_bytes(peer, strlen(peer), 19);
	place(a, p, x, NULL);
}

/* Later than the end of the call: not its doing after all. */
static void give_back(struct tool *t, struct effect *x)
{
	struct proc *p = proc_find(t->run->a, x->pid, x->start_ns);
	struct held *held = &t->run->tree->held;

	if (p && p->tool == t)
		p->tool = NULL;
	if (x->kind == EFFECT_NET)
		free(x->json);
	else
		add(x->kind == EFFECT_FILE ? &held->files : &held->execs, *x);
}

void effects_settle(struct tool *t, uint64_t end_ns, struct span peer)
{
	struct effects *e = &t->effects;
	uint64_t model = peer.p ? hash_bytes(peer.p, peer.len, 19) : 0;
	size_t kept = 0;

	for (size_t i = 0; i < e->n; i++) {
		struct effect x = e->items[i];
		/* The connection on which the result went back to the model is not the tool's. */
		bool back = x.kind == EFFECT_NET && x.peer_hash == model && x.pid == t->pid;
		if (x.ts_ns >= end_ns || back)
			give_back(t, &x);
		else
			e->items[kept++] = x;
	}
	e->n = kept;
}

static void put_list(struct buf *b, const char *name, const struct effects *e, enum effect_kind kind)
{
	bool any = false;

	for (size_t i = 0; i < e->n; i++) {
		if (e->items[i].kind != kind)
			continue;
		if (!any) {
			json_put_key(b, name);
			buf_add_char(b, '[');
		}
		any = true;
		json_put_comma(b);
		buf_add_char(b, '{');
		buf_add_text(b, e->items[i].json);
		if (kind == EFFECT_EXEC)
			put_exit(b, &e->items[i]);
		buf_add_char(b, '}');
	}
	if (any)
		buf_add_char(b, ']');
}

void effects_write(const struct tool *t, struct buf *b)
{
	const struct effects *e = &t->effects;

	t->run->steps_cut = t->run->steps_cut || e->more;
	if (e->n) {
		json_put_key(b, "effects");
		buf_add_char(b, '{');
		put_list(b, "processes", e, EFFECT_EXEC);
		put_list(b, "files", e, EFFECT_FILE);
		put_list(b, "network", e, EFFECT_NET);
		if (e->more)
			json_put_member_i64(b, "not_listed", (int64_t)e->more);
		buf_add_char(b, '}');
	}
	if (t->shared)
		json_put_member_bool(b, "effects_shared", true);
}

/* Entries before until_ns are put in front; how many they are. */
static size_t older(struct effects *e, uint64_t until_ns)
{
	size_t n = 0;

	/* In order of arrival, which is nearly that of time: what waits behind a later one goes with the next flush. */
	while (n < e->n && e->items[n].ts_ns < until_ns)
		n++;
	return n;
}

static void drop_front(struct effects *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(e->items[i].json);
	e->n -= n;
	if (e->n)
		memmove(e->items, e->items + n, e->n * sizeof(*e->items));
	e->more = 0;
}

static void flush_files(struct run *r, uint64_t until_ns)
{
	struct assembler *a = r->a;
	struct effects *e = &r->tree->held.files;
	size_t n = older(e, until_ns);

	if (!n)
		return;
	struct step s = run_step(r, STEP_STATE_CHANGE, run_number(r), 0, e->items[0].ts_ns);
	buf_clear(&a->value);
	buf_add_char(&a->value, '[');
	for (size_t i = 0; i < n; i++) {
		json_put_comma(&a->value);
		buf_printf(&a->value, "{%s}", e->items[i].json);
	}
	buf_add_char(&a->value, ']');
	s.values[SC_STATE_KEY] = SPAN("\"files\"");
	s.values[SC_NEW_VALUE] = buf_span(&a->value);
	buf_clear(&a->meta);
	buf_add_text(&a->meta, "{\"source\":\"process\",\"provenance\":\"observed\"");
	if (e->more)
		json_put_member_i64(&a->meta, "not_listed", (int64_t)e->more);
	buf_add_char(&a->meta, '}');
	s.metadata = buf_span(&a->meta);
	r->steps_cut = r->steps_cut || e->more;
	run_emit(r, &s, false);
	drop_front(e, n);
}

void held_flush(struct run *r, uint64_t until_ns)
{
	struct effects *e = &r->tree->held.execs;
	size_t n = older(e, until_ns);

	flush_files(r, until_ns);
	r->steps_cut = r->steps_cut || e->more;
	for (size_t i = 0; i < n; i++) {
		struct proc *p = proc_find(r->a, e->items[i].pid, e->items[i].start_ns);
		if (!p || (!p->agent && !p->root)) /* the agent's own start is no step */
			begin_own_exec(r, &e->items[i]);
	}
	if (n)
		drop_front(e, n);
}

/* An answer is known when its exchange has ended, which may be after the agent began to do what it asked for. */
static void claim(struct run *r, struct effects *list, bool by_command)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct effect x = list->items[i];
		struct proc *p = proc_find(r->a, x.pid, x.start_ns);
		struct candidates c = { 0 };
		if (p)
			c = find_candidates(r->a, p, x.ts_ns, by_command);
		if (c.n != 1 || c.one->began_ns > x.ts_ns) {
			list->items[kept++] = x;
			continue;
		}
		if (x.kind == EFFECT_EXEC)
			p->tool = c.one;
		add(&c.one->effects, x);
	}
	list->n = kept;
}

void held_claim(struct run *r)
{
	if (!r->tools)
		return;
	claim(r, &r->tree->held.execs, true);
	claim(r, &r->tree->held.files, false);
}
