/* Runs: begun with the first thing that is known of them, ended when their processes are gone. */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "trace/model_redact.h"

#include <stdio.h>
#include <stdlib.h>

/* How long what no tool call caused waits for one that is not known yet. */
#define HOLD_NS (2 * NS_PER_S)

int64_t wall_ns(const struct assembler *a, uint64_t boot_ns)
{
	return (int64_t)boot_ns + a->o.wall_offset_ns;
}

uint32_t run_number(struct run *r)
{
	return ++r->next_step;
}

struct step run_step(struct run *r, enum step_type type, uint32_t number, uint32_t parent, uint64_t began_ns)
{
	struct assembler *a = r->a;
	struct step s = { .type = type, .began_ns = wall_ns(a, began_ns) };

	snprintf(a->step_id, sizeof(a->step_id), "s%u", number);
	s.id = span_of(a->step_id);
	if (parent) {
		snprintf(a->parent_id, sizeof(a->parent_id), "s%u", parent);
		s.parent_id = span_of(a->parent_id);
	}
	return s;
}

/* The one door for steps on their way out: what must not be stored is taken out here, or nothing of it is. */
static void clean(struct assembler *a, struct step *s, struct arena *arena)
{
	if (step_redact(a->redactor, s, arena) >= 0)
		return;
	for (size_t i = 0; i < STEP_MAX_FIELDS; i++)
		s->values[i] = SPAN_NONE;
	s->metadata = SPAN("{\"incomplete\":true,\"reason\":\"longer than a step may be\"}");
}

void run_emit(struct run *r, struct step *s, bool again)
{
	struct assembler *a = r->a;
	struct arena arena;

	arena_init(&arena);
	clean(a, s, &arena);
	if (a->events.on_step)
		a->events.on_step(a->ctx, r, s, again);
	arena_fini(&arena);
}

struct run *run_current(struct tree *t)
{
	struct run *best = NULL;

	for (struct run *r = t->runs; r; r = r->next)
		if (!r->ended && (!best || r->used > best->used))
			best = r;
	return best;
}

/* Ended by itself with an error; asked to end (INT, TERM, HUP) is no failure. */
static bool ended_badly(const struct proc *p)
{
	static const uint32_t asked[] = { 0, 1, 2, 15 };
	bool bad = true;

	if (!p || !p->exited)
		return false;
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
		bad = bad && p->signal != asked[i];
	return bad || (!p->signal && p->code && p->code != 130 && p->code != 143);
}

static const char *state_of(const struct run *r)
{
	const struct proc *p = proc_find(r->a, r->pid, r->proc_start_ns);

	if (r->last_failed)
		return "failed";
	return run_current(r->tree) == r && (ended_badly(p) || ended_badly(r->tree->root)) ? "failed" : "completed";
}

static void write_meta(struct run *r, struct buf *b, bool open)
{
	buf_add_char(b, '{');
	json_put_member_text(b, "schema", SPAN("contextforge-trace/1"));
	json_put_member_text(b, "state", span_of(open ? "running" : state_of(r)));
	json_put_member_text(b, "conversation_id", span_str(r->conversation_id));
	if (!open) {
		json_put_key(b, "totals");
		totals_write(r, b);
	}
	json_put_key(b, "capture");
	completeness_write(r, b, open);
	buf_add_char(b, '}');
}

static void write_task(const struct run *r, struct buf *b)
{
	if (!r->first_input.len || r->a->o.no_inputs)
		return;
	buf_add_text(b, "{\"description\":");
	buf_add_span(b, r->first_input);
	buf_add_text(b, ",\"input\":{\"content\":");
	buf_add_span(b, r->first_input);
	buf_add_text(b, "}}");
}

static void tell(struct run *r, uint64_t ended_ns)
{
	struct assembler *a = r->a;
	struct run_info info = { .run_id = span_of(r->id), .started_ns = wall_ns(a, r->started_ns) };
	struct buf agent, task, meta;
	struct arena arena;

	buf_init(&agent, 64 * KIB);
	buf_init(&task, 2 * LIMIT_BODY);
	buf_init(&meta, 16 * MIB);
	agent_write(r, &agent);
	write_task(r, &task);
	write_meta(r, &meta, !ended_ns);
	info.agent_info = buf_span(&agent);
	info.task_info = task.len ? buf_span(&task) : SPAN_NONE;
	info.metadata = buf_span(&meta);
	arena_init(&arena);
	if (run_redact(a->redactor, &info, &arena) < 0)
		info.task_info = SPAN_NONE;
	if (ended_ns) {
		info.ended_ns = wall_ns(a, ended_ns > r->started_ns ? ended_ns : r->started_ns);
		if (a->events.on_run_end)
			a->events.on_run_end(a->ctx, r, &info);
	} else if (a->events.on_run) {
		a->events.on_run(a->ctx, r, &info);
	}
	arena_fini(&arena);
	buf_fini(&agent);
	buf_fini(&task);
	buf_fini(&meta);
}

static void make_room(struct assembler *a)
{
	struct run *oldest = NULL;

	for (struct tree *t = a->trees; t; t = t->next)
		for (struct run *r = t->runs; r; r = r->next)
			if (!r->ended && (!oldest || r->used < oldest->used))
				oldest = r;
	if (oldest)
		run_end(oldest, oldest->last_ns);
}

struct run *run_new(struct assembler *a, struct proc *p, uint64_t began_ns)
{
	if (a->n_runs >= LIMIT_RUNS)
		make_room(a);
	struct run *r = mem_alloc(sizeof(*r)), **end = &p->tree->runs;
	struct tree *t = p->tree;
	while (*end)
		end = &(*end)->next;
	*end = r;
	if (t->n_runs++)
		t->served = true;
	a->n_runs++;
	r->a = a;
	r->tree = t;
	r->pid = p->pid;
	r->proc_start_ns = p->start_ns;
	r->scope = proc_scope(p);
	id_uuid(&a->ids, r->id);
	r->started_ns = began_ns;
	/* The first run of a program that started before our eyes begins with it. */
	if (!t->ever_run && r->scope && r->scope->exec_ns < began_ns)
		r->started_ns = r->scope->exec_ns;
	r->last_ns = r->started_ns;
	t->ever_run = true;
	r->used = ++a->tick;
	tell(r, 0);
	return r;
}

void run_free(struct run *r)
{
	void *p;

	for (struct conv *v = r->convs, *next; v; v = next) {
		next = v->next;
		conv_free(v);
	}
	for (struct tool *t = r->tools, *next; t; t = next) {
		next = t->next;
		tool_free(t);
	}
	for (size_t i = 0; map_next(&r->a->procs, &i, NULL, &p);)
		if (((struct proc *)p)->exec_run == r)
			((struct proc *)p)->exec_run = NULL;
	free((char *)r->first_input.p);
	free(r->conversation_id);
	free(r->sdk);
	free(r->sdk_version);
	free(r->agent_name);
	free(r->agent_version);
	free(r);
}

void run_end(struct run *r, uint64_t now_ns)
{
	struct tree *t = r->tree;
	struct run **at = &t->runs;

	tools_finish(r, r->a->stop_reason ? "the observer stopped first" : "no result was seen");
	held_flush(r, UINT64_MAX);
	tell(r, now_ns);
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	t->n_runs--;
	r->a->n_runs--;
	run_free(r);
}

void runs_tick(struct assembler *a)
{
	for (struct tree *t = a->trees; t; t = t->next) {
		struct run *r = run_current(t);
		if (r && a->now_ns > HOLD_NS)
			held_flush(r, a->now_ns - HOLD_NS);
	}
}

void runs_settle(struct assembler *a)
{
	for (struct tree **at = &a->trees, *t; (t = *at);) {
		if (!t->exited_ns || !counters_settled(a, t)) {
			at = &t->next;
			continue;
		}
		if (!t->ever_run)
			run_new(a, t->root, t->root->exec_ns ? t->root->exec_ns : t->root->start_ns);
		while (t->runs)
			run_end(t->runs, t->exited_ns);
		if (procs_of_tree_free(a, t)) {
			*at = t->next;
			tree_free(t);
		} else {
			at = &t->next;
		}
	}
}

void tree_free(struct tree *t)
{
	while (t->runs) {
		struct run *next = t->runs->next;
		run_free(t->runs);
		t->runs = next;
	}
	effects_fini(&t->held.files);
	effects_fini(&t->held.execs);
	tree_facts_free(t);
	free(t);
}
