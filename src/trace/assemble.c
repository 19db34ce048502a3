/* The doors of the assembler. What it does with what comes in: process.c, calls.c, completeness.c. */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "feed/fact.h"

#include <stdlib.h>

/* Nothing leaves without passing one. */
static struct redactor *own_redactor(struct assembler *a)
{
	struct redact_options o = {
		.salt = { hash_mix(a->o.seed ^ 0x5a17), hash_mix(a->o.seed + 0x5a18) },
		.inputs = a->o.no_inputs,
		.outputs = a->o.no_outputs,
	};
	char why[REDACT_WHY];

	if (redactor_new(&o, &a->own_redactor, why))
		abort(); /* without patterns of the user it can only be out of memory */
	return a->own_redactor;
}

struct assembler *assembler_new(const struct assemble_options *options, const struct run_events *events, void *ctx)
{
	struct assembler *a = mem_alloc(sizeof(*a));

	a->o = *options;
	a->events = *events;
	a->ctx = ctx;
	a->redactor = options->redactor ? options->redactor : own_redactor(a);
	id_init(&a->ids, options->seed);
	map_init(&a->procs);
	map_init(&a->responses);
	/* One request and its escapes. */
	buf_init(&a->value, 4 * LIMIT_BODY);
	buf_init(&a->meta, 4 * LIMIT_BODY);
	buf_init(&a->scratch, 4 * LIMIT_BODY);
	return a;
}

void assembler_exchange(struct assembler *a, const struct exchange *ex)
{
	exchange_take(a, ex);
}

void assembler_call(struct assembler *a, const struct exchange *ex, const struct call *call)
{
	if (call->ended_ns > a->now_ns)
		a->now_ns = call->ended_ns;
	call_take(a, ex, call);
}

/* Records of the kernel, counted in a way that no cutting or joining of data records changes. */
static void count(struct assembler *a, const struct cf_event *e)
{
	if (e->kind >= CF_FACT_FIRST || (e->kind == CF_EV_CLOSE && e->flags & CF_FL_READ)) {
		a->seen_sent++;
		return;
	}
	if (e->kind != CF_EV_DATA) {
		a->seen_records++;
		return;
	}
	a->saw_data = true;
	if (e->size >= sizeof(struct cf_data))
		a->seen_bytes += ((const struct cf_data *)(const void *)e)->captured;
}

void assembler_event(struct assembler *a, const struct cf_event *e)
{
	if (e->size < sizeof(*e))
		return;
	if (e->ts_ns > a->now_ns)
		a->now_ns = e->ts_ns;
	count(a, e);
	if (e->kind >= CF_FACT_FIRST)
		process_fact(a, e);
	else
		process_event(a, e);
	if (e->kind == CF_FACT_TICK) {
		runs_tick(a);
		procs_forget(a);
	}
	if (e->kind == CF_FACT_COUNTERS)
		runs_settle(a);
}

void assembler_conn(struct assembler *a, const struct conn_account *account)
{
	conn_take(a, account);
}

void assembler_finish(struct assembler *a, uint64_t now_ns, const char *reason)
{
	if (now_ns > a->now_ns)
		a->now_ns = now_ns;
	if (!a->stop_reason && reason)
		a->stop_reason = mem_text(reason);
	a->finishing = true;
	for (struct tree *t = a->trees; t; t = t->next) {
		/* A target that asked no model has a trace too: what it did, and what of it could not be read. */
		if (!t->ever_run)
			run_new(a, t->root, t->root->exec_ns ? t->root->exec_ns : t->root->start_ns);
		while (t->runs)
			run_end(t->runs, t->exited_ns ? t->exited_ns : a->now_ns);
	}
}

void assembler_free(struct assembler *a)
{
	if (!a)
		return;
	while (a->trees) {
		struct tree *next = a->trees->next;
		tree_free(a->trees);
		a->trees = next;
	}
	procs_free(a);
	redactor_free(a->own_redactor);
	map_fini(&a->responses);
	buf_fini(&a->value);
	buf_fini(&a->meta);
	buf_fini(&a->scratch);
	free(a->version);
	free(a->host);
	free(a->kernel);
	free(a->arch);
	free(a->command);
	free(a->stop_reason);
	free(a);
}

void run_set_user(struct run *run, void *user)
{
	run->user = user;
}

void *run_user(const struct run *run)
{
	return run->user;
}
