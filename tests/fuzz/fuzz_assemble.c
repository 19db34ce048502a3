/*
 * Any sequence of calls and events: never a crash, every step can be written and read back, every run ends once.
 * Input: pairs of bytes; the first says what happens, the second with whom.
 */
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "feed/fact.h"
#include "trace/assemble.h"

#include <stdlib.h>

struct state {
	struct assembler *a;
	uint64_t now;
	size_t open;
	struct buf out;
	char *user; /* set on every run: a step of a run that ended would not carry it */
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void on_run(void *ctx, struct run *run, const struct run_info *info)
{
	struct state *s = ctx;

	buf_clear(&s->out);
	require(run_write_line(info, &s->out) == 0 && json_valid(buf_span(&s->out)));
	run_set_user(run, s);
	s->open++;
}

static void on_step(void *ctx, struct run *run, const struct step *step, bool again)
{
	struct state *s = ctx;
	struct problem why;
	struct arena arena;
	struct step back;
	struct span raw;

	(void)again;
	require(run_user(run) == s);
	buf_clear(&s->out);
	require(step_write(step, &s->out) == 0 && json_value(buf_span(&s->out), &raw, NULL) == 0);
	arena_init(&arena);
	require(step_read(raw, &arena, &back, &why) == 0);
	arena_fini(&arena);
}

static void on_run_end(void *ctx, struct run *run, const struct run_info *info)
{
	on_run(ctx, run, info);
	((struct state *)ctx)->open -= 2;
	run_set_user(run, NULL);
}

static const char *const texts[] = {
	"hello there, how are you today?", "Action: f\nAction Input: {\"a\":1}", "Observation: 7 of them, all well",
	"Final Answer: the long answer to it", "hello there, how are you today?\nObservation: it grew", "", "x",
	"the long answer to it, and more of it",
};
static const char *const ids[] = { "c1", "c2", "", "resp_1" };

static struct message message(struct arena *a, uint8_t b)
{
	struct message m = { .role = (enum role)(b & 3), .text = span_of(texts[(b >> 2) & 7]) };
	struct buf json;

	buf_init(&json, KIB);
	buf_printf(&json, "{\"role\":\"%s\",\"content\":", b & 1 ? "user" : "assistant");
	json_put_text(&json, m.text, NULL);
	buf_add_char(&json, '}');
	m.json = arena_copy(a, buf_span(&json));
	buf_fini(&json);
	m.hash = hash_bytes(m.json.p, m.json.len, b & 31);
	m.has_user_content = m.role == ROLE_USER;
	if (m.role == ROLE_ASSISTANT && b & 32) {
		struct tool_request *q = arena_push(a, &m.requests, &m.n_requests, sizeof(*q));
		*q = (struct tool_request){ .id = span_of(ids[(b >> 6) & 3]), .name = SPAN("f"), .arguments = SPAN("{\"a\":1}"),
					    .server_side = (b & 0xc4) == 0xc4 };
	}
	if (m.role == ROLE_TOOL) {
		struct tool_result *r = arena_push(a, &m.results, &m.n_results, sizeof(*r));
		*r = (struct tool_result){ .id = span_of(ids[(b >> 6) & 3]), .result = SPAN("[1]"), .is_error = b & 32 };
	}
	return m;
}

static void call(struct state *s, const uint8_t *p, size_t len)
{
	struct conn_info conn = { .id = p[0], .pid = 100 + (p[0] & 3), .proc_start_ns = 5, .peer = SPAN("1.2.3.4:443") };
	struct exchange ex = { .conn = &conn, .client = p[0] & 0x40 || p[0] & 0x10, .method = SPAN("POST"),
			       .target = SPAN("/v1?key=1&b"), .status = 200 };
	struct arena arena;
	struct call c = { .arena = &arena, .kind = p[0] & 0x20 ? (enum call_kind)(p[1] & 7) : CALL_LLM, .dialect = "d",
			  .tokens_in = p[1], .cost = p[1] & 1 ? 0.5 : -1, .began_ns = s->now - (p[1] & 15) };

	arena_init(&arena);
	for (size_t i = 2; i < len; i++) {
		struct message *m = arena_push(&arena, &c.messages, &c.n_messages, sizeof(*m));
		*m = message(&arena, p[i]);
	}
	if (p[1] & 16) {
		c.answer = message(&arena, (uint8_t)((p[1] & 0xfc) | ROLE_ASSISTANT));
		c.output = SPAN("\"said\"");
	}
	if (p[1] & 32)
		c.error.message = SPAN("bad");
	if (p[1] & 64) {
		c.previous_id = SPAN("resp_1");
		c.input_is_delta = p[1] & 128;
	}
	c.response_id = p[0] & 8 ? SPAN("resp_1") : SPAN_NONE;
	c.tool = (struct tool_request){ .name = SPAN("f"), .arguments = SPAN("{\"a\": 1}"), .result = SPAN("2") };
	c.query = SPAN("{\"q\":1}");
	c.results = SPAN("[]");
	c.ended_ns = s->now;
	assembler_call(s->a, &ex, &c);
	arena_fini(&arena);
}

static void event(struct state *s, uint8_t what, uint8_t who)
{
	static const char *const facts[] = {
		"{\"pid\":101,\"ppid\":100,\"argv\":[\"python3\",\"a.py\"],\"exe\":\"/usr/bin/python3\"}",
		"{\"events\":3,\"data_events\":1,\"bytes\":0,\"lost_ring\":0}", "{\"name\":\"crewai\",\"kind\":\"framework\"}",
		"{\"pid\":100,\"path\":\"/x\",\"hooked\":false}", "{", "[]",
	};
	union { struct cf_event h; struct cf_fork fork; struct cf_exec exec; struct cf_exit exit; struct cf_file file;
		struct cf_open open; struct cf_blind blind; struct cf_fact fact; char room[512]; } u = { .h = { 0 } };
	uint32_t pid = 100 + (who & 3);

	u.h = (struct cf_event){ 256, (uint16_t)(what % 11), 0, s->now, pid, pid, 5 };
	if (what & 0x40) {
		u.h.kind = (uint16_t)(CF_FACT_FIRST + what % 10);
		u.fact.len = (uint32_t)strlen(facts[(who >> 2) % 6]);
		memcpy(u.fact.json, facts[(who >> 2) % 6], u.fact.len);
	} else if (u.h.kind == CF_EV_FORK) {
		u.fork.child_pid = 100 + ((who >> 2) & 3);
		u.fork.child_start_ns = 5;
	} else if (u.h.kind == CF_EV_EXEC) {
		u.exec.path_len = who;
		u.exec.argv_len = what;
		memcpy(u.room + sizeof(u.exec), "/bin/sh\0f\0{}", 12);
	} else if (u.h.kind == CF_EV_FILE) {
		u.file.op = who & 7;
		u.file.path_len = who & 15;
		memcpy(u.room + sizeof(u.file), "/tmp/abcdefghijklm", 18);
	} else if (u.h.kind == CF_EV_OPEN) {
		u.open = (struct cf_open){ .h = u.h, .layer = CF_LAYER_SOCKET, .family = 2, .peer_port = who };
	}
	assembler_event(s->a, &u.h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct run_events events = { on_run, on_step, on_run_end };
	struct assemble_options o = { .seed = 1, .no_inputs = size & 1, .no_outputs = size & 2 };
	struct state s = { .now = 1000 };

	buf_init(&s.out, 256 * MIB);
	s.a = assembler_new(&o, &events, &s);
	for (size_t i = 0; i + 1 < size && i < 4096;) {
		s.now += (uint64_t)data[i] * 7000000;
		if (data[i] & 0x80) {
			size_t len = 2 + (data[i] & 7);
			if (i + len > size)
				break;
			call(&s, data + i, len);
			i += len;
		} else {
			event(&s, data[i], data[i + 1]);
			i += 2;
		}
	}
	assembler_finish(s.a, s.now, "end");
	require(s.open == 0);
	assembler_free(s.a);
	buf_fini(&s.out);
	return 0;
}
