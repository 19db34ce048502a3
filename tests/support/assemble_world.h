/* A world for tests of the assembler: calls and events made by hand go in, runs with their steps as JSON come out. */
#ifndef CF_TESTS_ASSEMBLE_WORLD_H
#define CF_TESTS_ASSEMBLE_WORLD_H

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "feed/fact.h"
#include "trace/assemble.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MS 1000000ull
#define WALL 1768991400000000000ll /* added to boot time: 2026-01-21T10:30:00Z */

struct world_run {
	char *id, *begun, *ended; /* members as told at the beginning and the end */
	char **steps;
	size_t n;
};
struct world {
	struct assembler *a;
	struct assemble_options o;
	struct world_run *runs[256];
	size_t n_runs;
	size_t n_again;
	struct arena arena; /* of the test: for what it builds */
	uint64_t conn_ids;
	struct buf out;
};

/* A message as a test writes it. */
struct say {
	enum role role;
	const char *text;
	const char *ask[4][3];    /* id, name, arguments */
	const char *results[4][3]; /* id, result (raw JSON), "error" or NULL */
	bool server_side;
};
#define SYS(t) { ROLE_SYSTEM, t }
#define USER(t) { ROLE_USER, t }
#define ASST(t) { ROLE_ASSISTANT, t }
#define ASK(...) { ROLE_ASSISTANT, NULL, { __VA_ARGS__ } }
#define GOT(...) { .role = ROLE_TOOL, .results = { __VA_ARGS__ } }

struct talk {
	uint32_t pid;          /* 0: 100 */
	uint64_t at, took;     /* ms */
	struct say in[24];     /* ends at the first that says nothing */
	struct say out;        /* the answer; nothing: none */
	int status;            /* 0: 200 */
	const char *error;     /* message */
	const char *id;        /* of the response */
	const char *previous;
	const char *model;
	const char *finish;
	const char *tool;      /* offered */
	const char *headers[4][2];
	bool incomplete, not_client;
	enum call_kind kind;
	int64_t tokens_in, tokens_out;
	bool usage;
};

static char *world_copy(const struct buf *b)
{
	char *p = mem_alloc(b->len + 1);

	memcpy(p, b->p, b->len);
	return p;
}

static void world_on_run(void *ctx, struct run *run, const struct run_info *info)
{
	struct world *w = ctx;
	struct world_run *r = mem_alloc(sizeof(*r));

	ck_assert_uint_lt(w->n_runs, 256);
	buf_clear(&w->out);
	ck_assert_int_eq(run_write_line(info, &w->out), 0);
	ck_assert_msg(json_valid(buf_span(&w->out)), "%s", buf_text(&w->out));
	r->begun = world_copy(&w->out);
	w->runs[w->n_runs++] = r;
	run_set_user(run, r);
}

static size_t world_find_step(const struct world_run *r, struct span raw)
{
	size_t i = 0;

	while (i < r->n && !span_eq(json_get(span_of(r->steps[i]), "step_id"), json_get(raw, "step_id")))
		i++;
	return i;
}

static void world_on_step(void *ctx, struct run *run, const struct step *step, bool again)
{
	struct world *w = ctx;
	struct world_run *r = run_user(run);
	struct problem why = { "", "" };
	struct arena arena;
	struct step back;
	struct span raw;

	buf_clear(&w->out);
	ck_assert_int_eq(step_write(step, &w->out), 0);
	ck_assert_msg(json_value(buf_span(&w->out), &raw, NULL) == 0, "not JSON: %s", buf_text(&w->out));
	arena_init(&arena);
	ck_assert_msg(step_read(raw, &arena, &back, &why) == 0, "%s: %s in %s", why.place, why.message, buf_text(&w->out));
	arena_fini(&arena);
	size_t i = world_find_step(r, raw);
	ck_assert_msg(again == (i < r->n), "again is wrong: %s", buf_text(&w->out));
	w->n_again += again;
	if (i < r->n) {
		free(r->steps[i]);
	} else {
		r->steps = mem_grow(r->steps, (r->n + 1) * sizeof(*r->steps));
		r->n++;
	}
	r->steps[i] = world_copy(&w->out);
}

static void world_on_run_end(void *ctx, struct run *run, const struct run_info *info)
{
	struct world *w = ctx;
	struct world_run *r = run_user(run);

	buf_clear(&w->out);
	ck_assert_int_eq(run_write_line(info, &w->out), 0);
	ck_assert_msg(json_valid(buf_span(&w->out)), "%s", buf_text(&w->out));
	ck_assert_ptr_null(r->ended);
	r->ended = world_copy(&w->out);
	/* Every parent is a step of this run. */
	for (size_t i = 0; i < r->n; i++) {
		struct span parent = json_get(span_of(r->steps[i]), "parent_step_id");
		bool found = !parent.p;
		for (size_t k = 0; k < r->n && !found; k++)
			found = span_eq(parent, json_get(span_of(r->steps[k]), "step_id"));
		ck_assert_msg(found, "no such parent: %s", r->steps[i]);
	}
}

static inline void world_init(struct world *w)
{
	static const struct run_events events = { world_on_run, world_on_step, world_on_run_end };

	w->o.seed = 1;
	w->o.wall_offset_ns = WALL;
	w->n_runs = w->n_again = 0;
	arena_init(&w->arena);
	buf_init(&w->out, 256 * MIB);
	w->a = assembler_new(&w->o, &events, w);
}

static inline void world_fini(struct world *w)
{
	assembler_free(w->a);
	for (size_t i = 0; i < w->n_runs; i++) {
		for (size_t k = 0; k < w->runs[i]->n; k++)
			free(w->runs[i]->steps[k]);
		free(w->runs[i]->steps);
		free(w->runs[i]->begun);
		free(w->runs[i]->ended);
		free(w->runs[i]);
	}
	arena_fini(&w->arena);
	buf_fini(&w->out);
}

static inline void world_finish(struct world *w, uint64_t at_ms, const char *reason)
{
	assembler_finish(w->a, at_ms * MS, reason);
}

static inline struct span world_text(const char *text)
{
	return text ? span_of(text) : SPAN_NONE;
}

static const char *const world_roles[] = { "system", "user", "assistant", "tool" };

static inline void world_parts(struct buf *b, const struct say *s)
{
	buf_add_char(b, '[');
	if (s->text) {
		buf_add_text(b, "{\"type\":\"text\",\"text\":");
		json_put_text(b, span_of(s->text), NULL);
		buf_add_char(b, '}');
	}
	for (size_t i = 0; i < 4 && s->ask[i][1]; i++) {
		json_put_comma(b);
		buf_printf(b, "{\"type\":\"tool_call\",\"id\":\"%s\",\"name\":\"%s\",\"arguments\":%s}",
			   s->ask[i][0] ? s->ask[i][0] : "", s->ask[i][1], s->ask[i][2]);
	}
	for (size_t i = 0; i < 4 && s->results[i][1]; i++) {
		json_put_comma(b);
		buf_printf(b, "{\"type\":\"tool_result\",\"id\":\"%s\",\"content\":%s}",
			   s->results[i][0] ? s->results[i][0] : "", s->results[i][1]);
	}
	buf_add_char(b, ']');
}

static inline bool world_plain(const struct say *s)
{
	return !s->ask[0][1] && !s->results[0][1];
}

static inline struct message world_message(struct world *w, const struct say *s)
{
	struct message m = { .role = s->role, .text = s->text ? span_of(s->text) : SPAN("") };
	struct buf b;

	buf_init(&b, 128 * MIB);
	buf_printf(&b, "{\"role\":\"%s\",\"content\":", world_roles[s->role]);
	if (world_plain(s))
		json_put_text(&b, m.text, NULL);
	else
		world_parts(&b, s);
	buf_add_char(&b, '}');
	m.json = arena_copy(&w->arena, buf_span(&b));
	m.hash = hash_bytes(b.p, b.len, 99);
	m.has_user_content = s->role == ROLE_USER && s->text;
	buf_fini(&b);
	for (size_t i = 0; i < 4 && s->ask[i][1]; i++) {
		arena_push(&w->arena, &m.requests, &m.n_requests, sizeof(*m.requests));
		m.requests[i] = (struct tool_request){ world_text(s->ask[i][0]), span_of(s->ask[i][1]), span_of(s->ask[i][2]),
						       .server_side = s->server_side };
		if (s->server_side)
			m.requests[i].result = SPAN("{\"found\":1}");
	}
	for (size_t i = 0; i < 4 && s->results[i][1]; i++) {
		arena_push(&w->arena, &m.results, &m.n_results, sizeof(*m.results));
		m.results[i] = (struct tool_result){ .id = world_text(s->results[i][0]), .result = span_of(s->results[i][1]),
						     .is_error = s->results[i][2] };
	}
	return m;
}

static inline void world_answer(struct world *w, struct call *c, const struct say *s)
{
	struct buf b;

	c->answer = world_message(w, s);
	buf_init(&b, 128 * MIB);
	if (world_plain(s)) {
		json_put_text(&b, span_of(s->text), NULL);
	} else {
		buf_add_text(&b, "{\"role\":\"assistant\",\"content\":");
		world_parts(&b, s);
		buf_add_text(&b, ",\"finish_reason\":\"tool_calls\"}");
	}
	c->output = arena_copy(&w->arena, buf_span(&b));
	buf_fini(&b);
}

/* One model call from beginning to end. */
static inline void world_talk(struct world *w, const struct talk *t)
{
	struct conn_info conn = { .id = ++w->conn_ids, .source = SOURCE_TLS, .pid = t->pid ? t->pid : 100,
				  .peer = SPAN("10.0.0.1:443") };
	struct exchange ex = { .conn = &conn, .client = !t->not_client, .method = SPAN("POST"),
			       .target = SPAN("/v1/chat/completions?key=k1&x=2"), .authority = SPAN("api.example"),
			       .version = "1.1", .status = t->status ? t->status : 200 };
	struct call c = { .arena = &w->arena, .kind = t->kind, .dialect = "openai.chat", .provider = SPAN("openai"),
			  .model = span_of(t->model ? t->model : "m-1"), .cost = -1, .tokens_cached = -1,
			  .tokens_cache_write = -1, .tokens_reasoning = -1, .tokens_in = -1, .tokens_out = -1,
			  .tokens_total = -1 };

	conn.proc_start_ns = conn.pid * 10ull;
	for (size_t i = 0; i < 4 && t->headers[i][0]; i++) {
		struct http_message *m = &ex.request;
		arena_push(&w->arena, &m->fields, &m->n_fields, sizeof(*m->fields));
		m->fields[i] = (struct field){ span_of(t->headers[i][0]), span_of(t->headers[i][1]), false };
	}
	for (size_t i = 0; i < 24 && (t->in[i].text || !world_plain(&t->in[i])); i++) {
		arena_push(&w->arena, &c.messages, &c.n_messages, sizeof(*c.messages));
		c.messages[i] = world_message(w, &t->in[i]);
	}
	if (t->out.text || !world_plain(&t->out))
		world_answer(w, &c, &t->out);
	if (t->usage) {
		c.tokens_in = t->tokens_in;
		c.tokens_out = t->tokens_out;
		c.tokens_total = t->tokens_in + t->tokens_out;
	}
	if (t->error) {
		c.error.message = span_of(t->error);
		c.error.type = SPAN("some_error");
		c.error.status = ex.status;
	}
	if (t->tool) {
		arena_push(&w->arena, &c.tools_offered, &c.n_tools_offered, sizeof(*c.tools_offered));
		c.tools_offered[0] = span_of(t->tool);
	}
	c.finish_reason = span_of(t->finish ? t->finish : "stop");
	c.response_id = world_text(t->id);
	c.previous_id = world_text(t->previous);
	c.input_is_delta = t->previous;
	c.incomplete = t->incomplete;
	c.reason = t->incomplete ? "connection closed" : NULL;
	c.began_ns = t->at * MS;
	c.ended_ns = (t->at + (t->took ? t->took : 100)) * MS;
	assembler_call(w->a, &ex, &c);
}
#define TALK(w, ...) world_talk(w, &(struct talk){ __VA_ARGS__ })

/* A tool server was asked. */
static inline void world_tool(struct world *w, uint64_t at, const char *name, const char *args, const char *result)
{
	struct conn_info conn = { .id = ++w->conn_ids, .source = SOURCE_PIPE, .pid = 100, .proc_start_ns = 1000 };
	struct exchange ex = { .conn = &conn, .client = true };
	struct call c = { .kind = CALL_TOOL, .dialect = "mcp", .cost = -1, .tool = { .name = span_of(name),
			  .arguments = span_of(args), .result = world_text(result) } };

	c.began_ns = at * MS;
	c.ended_ns = (at + 5) * MS;
	assembler_call(w->a, &ex, &c);
}

static inline struct cf_event world_head(size_t size, uint32_t kind, uint64_t at, uint32_t pid)
{
	return (struct cf_event){ (uint32_t)size, (uint16_t)kind, 0, at * MS, pid, pid, pid * 10ull };
}

static inline void world_fork(struct world *w, uint64_t at, uint32_t pid, uint32_t child)
{
	struct cf_fork e = { world_head(sizeof(e), CF_EV_FORK, at, pid), child * 10ull, child, child };

	assembler_event(w->a, &e.h);
}

/* argv separated by '|' */
static inline void world_exec(struct world *w, uint64_t at, uint32_t pid, const char *path, const char *argv)
{
	union { struct cf_exec e; char room[4096]; } u = { .e = { .inner_pid = pid } };
	char *p = (char *)(&u.e + 1);

	u.e.path_len = (uint16_t)strlen(path);
	u.e.argv_len = (uint16_t)(strlen(argv) + 1);
	memcpy(p, path, u.e.path_len);
	p += u.e.path_len;
	memcpy(p, argv, u.e.argv_len);
	for (size_t i = 0; i < u.e.argv_len; i++)
		if (p[i] == '|')
			p[i] = 0;
	memcpy(u.e.comm, "comm", 5);
	u.e.h = world_head(sizeof(u.e) + u.e.path_len + u.e.argv_len, CF_EV_EXEC, at, pid);
	assembler_event(w->a, &u.e.h);
}

static inline void world_exit(struct world *w, uint64_t at, uint32_t pid, uint32_t code, uint32_t signal)
{
	struct cf_exit e = { world_head(sizeof(e), CF_EV_EXIT, at, pid), code, signal };

	assembler_event(w->a, &e.h);
}

static inline void world_file(struct world *w, uint64_t at, uint32_t pid, const char *path)
{
	union { struct cf_file e; char room[512]; } u = { .e = { .op = CF_FILE_WRITE, .result = 3 } };

	u.e.path_len = (uint16_t)strlen(path);
	memcpy(&u.e + 1, path, u.e.path_len);
	u.e.h = world_head(sizeof(u.e) + u.e.path_len, CF_EV_FILE, at, pid);
	assembler_event(w->a, &u.e.h);
}

static inline void world_connect(struct world *w, uint64_t at, uint32_t pid, uint8_t last, uint16_t port)
{
	struct cf_open e = { world_head(sizeof(e), CF_EV_OPEN, at, pid), 1, 2, .family = 2, .protocol = 6, .peer_port = port,
			     .layer = CF_LAYER_SOCKET, .peer_addr = { 10, 0, 0, last } };

	assembler_event(w->a, &e.h);
}

static inline void world_fact(struct world *w, uint32_t kind, uint64_t at, uint32_t pid, const char *json)
{
	union { struct cf_fact f; char room[4096]; } u = { .f = { .len = (uint32_t)strlen(json) } };

	memcpy(u.f.json, json, u.f.len);
	u.f.h = world_head(sizeof(u.f) + u.f.len, kind, at, pid);
	assembler_event(w->a, &u.f.h);
}

/* What stands at a path in a step; "" when nothing does. Strings keep their quotes. */
static inline const char *world_at(struct world *w, const char *json, const char *path)
{
	struct span v = json_path(span_of(json), path);

	return v.p ? arena_copy(&w->arena, v).p : "";
}

static inline const char *world_step(struct world *w, size_t run, size_t i)
{
	ck_assert_uint_lt(run, w->n_runs);
	ck_assert_msg(i < w->runs[run]->n, "no step %zu", i);
	return w->runs[run]->steps[i];
}

/* "user_input llm_call tool_call(s2) ..." of a run, in the order of arrival. */
static inline const char *world_shape(struct world *w, size_t run)
{
	struct buf b;

	ck_assert_uint_lt(run, w->n_runs);
	buf_init(&b, MIB);
	for (size_t i = 0; i < w->runs[run]->n; i++) {
		struct span raw = span_of(w->runs[run]->steps[i]);
		struct span type = json_get(raw, "step_type"), parent = json_get(raw, "parent_step_id");
		buf_printf(&b, "%s%.*s", i ? " " : "", (int)type.len - 2, type.p + 1);
		if (parent.p)
			buf_printf(&b, "(%.*s)", (int)parent.len - 2, parent.p + 1);
	}
	const char *out = arena_copy(&w->arena, b.p ? buf_span(&b) : SPAN("")).p;
	buf_fini(&b);
	return out;
}

#endif
