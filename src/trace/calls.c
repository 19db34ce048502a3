/* A call comes in: which run and conversation it is part of, and the steps that it tells of. */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "trace/react.h"

#include <stdlib.h>

static bool call_failed(const struct call *c)
{
	return c->error.type.p || c->error.message.p || c->error.status;
}

/* A second tip of the same conversation: the old one may be continued too. */
static struct conv *conv_branch(struct conv *old, const struct call *c)
{
	struct conv *v = conv_new(old->run, c);

	old->run->next_conv--;
	v->number = old->number;
	v->parent_step = old->parent_step;
	v->last_step = old->last_step;
	v->whole_input = old->whole_input;
	v->seen = mem_room(NULL, &v->cap, old->n, sizeof(*v->seen));
	v->n = old->n;
	if (v->n)
		memcpy(v->seen, old->seen, v->n * sizeof(*v->seen));
	return v;
}

static void note_history(struct conv *v, const struct conv_match *m, const struct exchange *ex, const struct call *c,
			 size_t was)
{
	struct run *r = v->run;
	struct step s = run_step(r, STEP_STATE_CHANGE, run_number(r), v->parent_step, c->began_ns);
	struct arena arena;
	size_t kept = was > m->gone ? was - m->gone : 0;

	arena_init(&arena);
	buf_clear(&r->a->meta);
	buf_add_char(&r->a->meta, '{');
	meta_origin(&r->a->meta, r->a, ex);
	if (v->number)
		json_put_member_i64(&r->a->meta, "conversation", v->number);
	buf_add_char(&r->a->meta, '}');
	s.values[SC_STATE_KEY] = SPAN("\"conversation.history\"");
	s.values[SC_OLD_VALUE] = arena_printf(&arena, "{\"messages\":%zu}", was);
	s.values[SC_NEW_VALUE] = arena_printf(&arena, "{\"messages\":%zu,\"kept\":%zu}", c->n_messages, kept);
	s.values[SC_REASON] = arena_printf(&arena, "\"%zu messages of the latest request are no longer sent\"", m->gone);
	s.metadata = buf_span(&r->a->meta);
	run_emit(r, &s, false);
	arena_fini(&arena);
}

static void user_input(struct conv *v, const struct exchange *ex, const struct call *c, const struct message *m)
{
	struct run *r = v->run;
	struct assembler *a = r->a;
	struct step s = run_step(r, STEP_USER_INPUT, run_number(r), v->parent_step, c->began_ns);
	struct arena arena;

	arena_init(&arena);
	buf_clear(&a->meta);
	buf_add_char(&a->meta, '{');
	meta_origin(&a->meta, a, ex);
	json_put_member_text(&a->meta, "channel", SPAN("api"));
	if (v->number)
		json_put_member_i64(&a->meta, "conversation", v->number);
	json_put_member(&a->meta, "parts", m->parts);
	buf_add_char(&a->meta, '}');
	s.values[UI_CONTENT] = json_string(&arena, m->text.p ? m->text : SPAN(""));
	if (!m->parts.p)
		s.values[UI_INPUT_TYPE] = SPAN("\"text\"");
	if (!r->first_input.p && m->text.len) {
		struct span first = m->text.len <= LIMIT_TASK ? s.values[UI_CONTENT] : SPAN("");
		r->first_input = span_at(span_dup(first), first.len);
	}
	s.metadata = buf_span(&a->meta);
	r->totals.user_inputs++;
	run_emit(r, &s, false);
	arena_fini(&arena);
	run_remember_text(r, m->text, NULL);
}

/* Index of the first message that may be new. */
static size_t first_new(const struct conv_match *m, const struct call *c)
{
	if (m->conv && !m->compacted && (!c->input_is_delta || !m->by_id))
		return m->same ? c->n_messages : m->common + m->answer;
	if (c->input_is_delta)
		return 0;
	size_t i = c->n_messages;
	while (i && c->messages[i - 1].role != ROLE_ASSISTANT)
		i--;
	return i;
}

static bool known(const struct conv *v, const struct message *m)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->seen[i].hash == m->hash || (v->seen[i].role == m->role && message_grew(&v->seen[i], m)))
			return true;
	return false;
}

static void user_inputs(struct conv *v, const struct conv_match *m, const struct exchange *ex, const struct call *c)
{
	for (size_t i = first_new(m, c); i < c->n_messages; i++) {
		const struct message *msg = &c->messages[i];
		if (msg->role != ROLE_USER || !msg->has_user_content || react_is_observation(msg->text))
			continue;
		if (m->conv && known(v, msg) && (m->compacted || i == m->common))
			continue;
		user_input(v, ex, c, msg);
	}
}

static void final_output(struct conv *v, const struct exchange *ex, const struct call *c, uint32_t parent)
{
	struct run *r = v->run;
	struct assembler *a = r->a;
	struct step s = run_step(r, STEP_FINAL_OUTPUT, run_number(r), parent, c->ended_ns);
	struct arena arena;

	arena_init(&arena);
	buf_clear(&a->meta);
	buf_add_char(&a->meta, '{');
	meta_origin(&a->meta, a, ex);
	if (v->number)
		json_put_member_i64(&a->meta, "conversation", v->number);
	buf_add_char(&a->meta, '}');
	s.values[FO_CONTENT] = c->answer.text.len ? json_string(&arena, c->answer.text) : c->output;
	if (c->answer.text.len)
		s.values[FO_FORMAT] = SPAN("\"text\"");
	s.metadata = buf_span(&a->meta);
	r->totals.final_outputs++;
	run_emit(r, &s, false);
	arena_fini(&arena);
}

/* The whole answer, asking for nothing. pause_turn: the provider's own tools go on in the next call. */
static bool is_final(const struct call *c)
{
	if (!c->answer.json.p || call_failed(c) || c->incomplete || span_is(c->finish_reason, "pause_turn"))
		return false;
	for (size_t i = 0; i < c->answer.n_requests; i++)
		if (!c->answer.requests[i].server_side)
			return false;
	return !react_asks(c);
}

static void mark_agent(struct proc *p)
{
	for (; p && !p->agent; p = p->parent)
		p->agent = true;
}

static void learn_run(struct run *r, const struct exchange *ex, const struct call *c)
{
	agent_headers(r, ex);
	if (!r->session)
		r->session = exchange_session(ex);
	if (!r->trace)
		r->trace = exchange_trace(ex);
	if (!r->conversation_id && c->previous_id.len && c->input_is_delta && !span_starts(c->previous_id, SPAN("resp_")))
		r->conversation_id = span_dup(c->previous_id);
	if (c->ended_ns > r->last_ns)
		r->last_ns = c->ended_ns;
	r->used = ++r->a->tick;
}

/* Finds or begins the run and the conversation. */
static struct conv *place(struct assembler *a, struct proc *p, const struct exchange *ex, const struct call *c,
			  struct conv_match *m)
{
	struct verdict verdict = { 0 };

	conv_find(a, p->tree, c, m);
	if (m->conv) {
		bool cut = m->gone && c->began_ns >= m->conv->last_ended_ns;
		size_t was = m->conv->n;
		struct conv *v = m->gone && !m->compacted ? conv_branch(m->conv, c) : m->conv;
		learn_run(v->run, ex, c);
		held_flush(v->run, c->ended_ns);
		if (cut)
			note_history(v, m, ex, c, was);
		return v;
	}
	evidence_find(a, p, ex, c, &verdict);
	struct run *r = verdict.run ? verdict.run : run_new(a, p, c->began_ns);
	learn_run(r, ex, c);
	held_flush(r, c->ended_ns);
	struct conv *v = conv_new(r, c);
	v->parent_step = verdict.parent ? verdict.parent->step : 0;
	if (verdict.summary_of) {
		struct conv_match gone = { .gone = verdict.summary_of->n };
		for (size_t i = 0; i < c->n_messages && i < verdict.summary_of->n; i++)
			gone.gone -= verdict.summary_of->seen[i].hash == c->messages[i].hash;
		note_history(v, &gone, ex, c, verdict.summary_of->n);
	}
	return v;
}

static void take_llm(struct assembler *a, struct proc *p, const struct exchange *ex, const struct call *c)
{
	struct conv_match m;
	struct conv *v = place(a, p, ex, c, &m);
	struct run *r = v->run;

	tools_results(r, v, ex, c, m.conv && !m.compacted ? m.common : 0);
	user_inputs(v, &m, ex, c);
	uint32_t number = run_number(r);
	uint32_t retry_of = m.same ? v->failed_step : 0;
	llm_emit(r, v, ex, c, number, retry_of);
	totals_call(r, ex, c);
	r->totals.retries += retry_of != 0;
	v->last_step = number;
	v->whole_input = !c->input_is_delta && c->n_messages && !ex->request.missing;
	v->failed_step = call_failed(c) || (c->incomplete && !c->answer.json.p) ? number : 0;
	r->last_failed = v->failed_step;
	tools_requested(r, v, ex, c, number);
	if (is_final(c))
		final_output(v, ex, c, number);
	conv_take(a, v, c);
	if (c->answer.text.len)
		run_remember_text(r, c->answer.text, v);
}

static struct run *some_run(struct assembler *a, struct proc *p, const struct call *c)
{
	struct run *r = p->tool ? p->tool->run : run_current(p->tree);

	return r ? r : run_new(a, p, c->began_ns);
}

static void take_embedding(struct assembler *a, struct proc *p, const struct exchange *ex, const struct call *c)
{
	struct run *r = some_run(a, p, c);

	learn_run(r, ex, c);
	held_flush(r, c->ended_ns);
	llm_emit(r, NULL, ex, c, run_number(r), 0);
	totals_call(r, ex, c);
}

static void take_tool(struct assembler *a, struct proc *p, const struct exchange *ex, const struct call *c)
{
	struct tool *asked = tool_asked(p->tree, c);
	struct run *r = asked ? asked->run : some_run(a, p, c);

	learn_run(r, ex, c);
	tools_served(r, asked, ex, c);
}

/* Retrieval, memory, interrupts: as the dialect says. */
static void take_other(struct assembler *a, struct proc *p, const struct exchange *ex, const struct call *c)
{
	static const struct { enum step_type type; int query, results, count, latency; } rows[] = {
		[CALL_RETRIEVAL] = { STEP_RETRIEVAL, RET_QUERY, RET_RESULTS, RET_MATCH_COUNT, RET_LATENCY_MS },
		[CALL_MEMORY_READ] = { STEP_MEMORY_READ, MR_QUERY, MR_RESULTS, MR_MATCH_COUNT, -1 },
		[CALL_MEMORY_WRITE] = { STEP_MEMORY_WRITE, MW_DATA, -1, -1, -1 },
		[CALL_INTERRUPT] = { STEP_INTERRUPT, INT_PROMPT, INT_RESPONSE, -1, INT_WAIT_MS },
	};
	struct run *r = some_run(a, p, c);
	struct step s = run_step(r, rows[c->kind].type, run_number(r), 0, c->began_ns);
	struct arena arena;

	learn_run(r, ex, c);
	arena_init(&arena);
	s.values[rows[c->kind].query] = c->query;
	if (rows[c->kind].results >= 0)
		s.values[rows[c->kind].results] = c->results;
	if (rows[c->kind].count >= 0 && json_type_of(c->results) == JSON_ARRAY)
		s.values[rows[c->kind].count] = json_whole(&arena, (int64_t)json_count(c->results));
	if (rows[c->kind].latency >= 0 && c->ended_ns >= c->began_ns)
		s.values[rows[c->kind].latency] = json_whole(&arena, (int64_t)((c->ended_ns - c->began_ns) / NS_PER_MS));
	buf_clear(&a->meta);
	buf_add_char(&a->meta, '{');
	meta_origin(&a->meta, a, ex);
	meta_http(&a->meta, ex, c);
	json_put_member_text(&a->meta, "dialect", span_str(c->dialect));
	meta_outcome(&a->meta, c);
	buf_add_char(&a->meta, '}');
	s.metadata = buf_span(&a->meta);
	run_emit(r, &s, false);
	arena_fini(&arena);
}

void exchange_take(struct assembler *a, const struct exchange *ex)
{
	struct proc *p = proc_find(a, ex->conn->pid, ex->conn->proc_start_ns);

	/* Tool servers answer on pipes; who answers on a socket is a server for somebody outside. */
	if (p && !ex->client && (ex->conn->source == SOURCE_TLS || ex->conn->source == SOURCE_SOCKET))
		p->serves = true;
}

void call_take(struct assembler *a, const struct exchange *ex, const struct call *c)
{
	static void (*const table[])(struct assembler *, struct proc *, const struct exchange *, const struct call *) = {
		[CALL_LLM] = take_llm,		[CALL_EMBEDDING] = take_embedding, [CALL_TOOL] = take_tool,
		[CALL_RETRIEVAL] = take_other,	[CALL_MEMORY_READ] = take_other,   [CALL_MEMORY_WRITE] = take_other,
		[CALL_INTERRUPT] = take_other,	[CALL_COUNT] = NULL,
	};
	exchange_take(a, ex);
	/* What the process answered is somebody else's call; what it asked there is seen on its own connection. */
	if (!ex->client || (size_t)c->kind >= sizeof(table) / sizeof(*table) || !table[c->kind])
		return;
	struct proc *p = proc_get(a, ex->conn->pid, ex->conn->proc_start_ns);
	mark_agent(p);
	table[c->kind](a, p, ex, c);
}
