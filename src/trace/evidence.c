/*
 * To which run does a conversation belong that nobody saw before? The rule: plainly separate conversations are runs
 * of their own; one that is tied to a run by any row of the table below is part of it. Strongest evidence first.
 */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"

/* A shorter text ("Paris.") is found in unrelated prompts too. */
#define TELLING_TEXT 16
/* Calls since the last one of a run after which a new prompt is no longer compared with it. */
#define RECENT_CALLS 512

struct question {
	struct assembler *a;
	struct proc *p;
	const struct exchange *ex;
	const struct call *c;
	uint64_t session, trace, system;
	struct proc *scope;
};

static uint64_t header_hash(const struct exchange *ex, const char *name)
{
	struct span v = http_field(&ex->request, name);

	return v.len ? hash_bytes(v.p, v.len, 5) : 0;
}

/* Ids that agents send with every request of one session. */
uint64_t exchange_session(const struct exchange *ex)
{
	static const char *const names[] = { "x-claude-code-session-id", "session-id", "session_id", "x-qwen-code-session-id",
					     "x-session-id", NULL };
	for (size_t i = 0; names[i]; i++) {
		uint64_t h = header_hash(ex, names[i]);
		if (h)
			return h;
	}
	return 0;
}

/* The trace id of W3C Trace Context: 00-<32 hex>-<16 hex>-01. */
uint64_t exchange_trace(const struct exchange *ex)
{
	struct span v = http_field(&ex->request, "traceparent");

	return v.len >= 55 && v.p[2] == '-' && v.p[35] == '-' ? hash_bytes(v.p + 3, 32, 6) : 0;
}

static bool by_trace(const struct question *q, struct run *r, struct verdict *v)
{
	(void)v;
	return q->trace && q->trace == r->trace;
}

static bool by_session(const struct question *q, struct run *r, struct verdict *v)
{
	(void)v;
	return q->session && q->session == r->session;
}

/* In a process that an open tool call started. */
static bool by_tool_process(const struct question *q, struct run *r, struct verdict *v)
{
	if (!q->p->tool || q->p->tool->run != r)
		return false;
	v->parent = q->p->tool;
	return true;
}

static bool said(const struct call *c, struct span text)
{
	for (size_t i = 0; i < c->n_messages; i++)
		if (span_find(c->messages[i].text, text).p)
			return true;
	return false;
}

/* A text among the arguments stands in the new prompt. */
static bool arguments_said(struct assembler *a, const struct tool *t, const struct call *c)
{
	struct json_iter it = json_iter(span_str(t->arguments));
	struct arena scratch;
	struct span key, value;
	bool found = false;

	(void)a;
	arena_init(&scratch);
	while (!found && json_next(&it, &key, &value)) {
		struct span text = span_trim(json_text(&scratch, value));
		found = text.len >= TELLING_TEXT && said(c, text);
	}
	arena_fini(&scratch);
	return found;
}

/* A prompt that was an argument of an open tool call: a sub-agent in the same process. */
static bool by_tool_prompt(const struct question *q, struct run *r, struct verdict *v)
{
	struct tool *found = NULL;

	for (struct tool *t = r->tools; t; t = t->next)
		if (t->began_ns <= q->c->began_ns && arguments_said(q->a, t, q->c)) {
			if (found) { /* two calls with the same words: in this run, but in which call is open */
				v->parent = NULL;
				return true;
			}
			found = t;
		}
	v->parent = found;
	return found;
}

/* An answer or a user's words of the run stand in the new prompt: crews, title generation, summaries. */
static bool by_content(const struct question *q, struct run *r, struct verdict *v)
{
	for (size_t i = 0; i < RUN_TEXTS; i++) {
		struct span text = span_at(r->texts[i].text, r->texts[i].len);
		if (!text.len || !said(q->c, text))
			continue;
		struct conv *from = r->texts[i].answer_of;
		if (from && from->system_hash == q->system && from->n > q->c->n_messages)
			v->summary_of = from;
		return true;
	}
	return false;
}

/* A run that has no conversation yet: what came before the first model call. */
static bool by_beginning(const struct question *q, struct run *r, struct verdict *v)
{
	(void)q;
	(void)v;
	return !r->next_conv && r->tree->n_runs == 1;
}

/* One invocation of a program that was started before our eyes and serves nobody. */
static bool by_invocation(const struct question *q, struct run *r, struct verdict *v)
{
	(void)v;
	return q->scope && q->scope == r->scope && !q->p->serves;
}

/* While exactly one run of a process waits for a tool, another prompt: its sub-agent, unless the process is a server. */
static bool by_open_tool(const struct question *q, struct run *r, struct verdict *v)
{
	struct tool *open = NULL;
	size_t n = 0;

	if (r->tree->served || q->p->serves)
		return false;
	for (struct tool *t = r->tools; t; t = t->next)
		if (t->pid == q->p->pid && t->start_ns == q->p->start_ns && t->began_ns <= q->c->began_ns) {
			open = t;
			n++;
		}
	v->parent = n == 1 ? open : NULL;
	return n;
}

static const struct row {
	const char *why;
	bool (*says)(const struct question *q, struct run *r, struct verdict *v);
	bool any_session; /* also when the agent names another session */
	bool any_tree;
} rows[] = {
	{ "trace id", by_trace, true, true },
	{ "session id", by_session, true, false },
	{ "process of a tool call", by_tool_process, true, false },
	{ "arguments of a tool call", by_tool_prompt, true, false },
	{ "content", by_content, false, false },
	{ "beginning", by_beginning, true, false },
	{ "invocation", by_invocation, false, false },
	{ "open tool call", by_open_tool, false, false },
};

static bool other_session(const struct question *q, const struct run *r)
{
	return q->session && r->session && q->session != r->session;
}

static void ask(const struct row *row, const struct question *q, struct tree *t, struct verdict *best)
{
	for (struct run *r = t->runs; r; r = r->next) {
		struct verdict v = { r, row->why, NULL, NULL };
		if (r->ended || (!row->any_session && other_session(q, r)))
			continue;
		if (q->a->tick - r->used > RECENT_CALLS || (best->run && best->run->used >= r->used))
			continue;
		if (row->says(q, r, &v))
			*best = v;
	}
}

void evidence_find(struct assembler *a, struct proc *p, const struct exchange *ex, const struct call *c,
		   struct verdict *out)
{
	struct question q = { a, p, ex, c, exchange_session(ex), exchange_trace(ex), system_hash_of(c), proc_scope(p) };

	*out = (struct verdict){ 0 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows) && !out->run; i++) {
		if (!rows[i].any_tree) {
			ask(&rows[i], &q, p->tree, out);
			continue;
		}
		for (struct tree *t = a->trees; t; t = t->next)
			ask(&rows[i], &q, t, out);
	}
}

/* What is worth looking for in later prompts: the first words, of an answer in a text protocol the final part. */
void run_remember_text(struct run *r, struct span text, struct conv *answer_of)
{
	struct span final = span_find(text, SPAN("Final Answer:"));

	if (final.p)
		text = span_at(final.p + 13, final.len - 13);
	text = span_trim(text);
	const char *line = text.len ? memchr(text.p, '\n', text.len) : NULL;
	if (line && line - text.p >= 40)
		text.len = (size_t)(line - text.p);
	if (text.len > RUN_TEXT_LEN)
		text.len = RUN_TEXT_LEN;
	text = span_trim(text);
	if (text.len < TELLING_TEXT)
		return;
	size_t i = r->n_texts++ % RUN_TEXTS;
	memcpy(r->texts[i].text, text.p, text.len);
	r->texts[i].len = (uint16_t)text.len;
	r->texts[i].answer_of = answer_of;
}
