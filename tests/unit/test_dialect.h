/* Exchanges from readable text, for the tests of the dialects. */
#ifndef TEST_DIALECT_H
#define TEST_DIALECT_H

#include "base/json.h"
#include "dialect/call.h"
#include "dialect/dump.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAMES 256

struct fixture {
	struct exchange ex;
	struct call call;
	struct frame frames[MAX_FRAMES];
	struct field request_fields[8], response_fields[8];
	bool known; /* call_from_exchange's answer */
};

static inline struct fixture *fixture_new(const char *path, const char *request)
{
	struct fixture *f = calloc(1, sizeof(*f));

	arena_init(&f->ex.arena);
	f->ex.client = true;
	f->ex.method = SPAN("POST");
	f->ex.target = span_of(path);
	f->ex.authority = SPAN("127.0.0.1:8000");
	f->ex.version = "1.1";
	f->ex.status = 200;
	f->ex.request = (struct http_message){ .fields = f->request_fields,
					       .began_ns = 1000,
					       .head_ns = 1001,
					       .ended_ns = 1002,
					       .complete = true,
					       .body = span_of(request) };
	f->ex.response = (struct http_message){ .fields = f->response_fields,
						.began_ns = 2000,
						.head_ns = 2001,
						.ended_ns = 9000,
						.complete = true };
	return f;
}

static inline void fixture_field(struct http_message *m, const char *name, const char *value)
{
	m->fields[m->n_fields++] = (struct field){ .name = span_of(name), .value = span_of(value) };
}

/* One event a line; the n-th arrives at 3000 + n. */
static inline void fixture_events(struct fixture *f, const char *lines)
{
	struct span rest = span_of(lines), line;

	f->ex.frames = f->frames;
	while (span_split(&rest, '\n', &line)) {
		if (!line.len)
			continue;
		ck_assert_uint_lt(f->ex.n_frames, MAX_FRAMES);
		f->frames[f->ex.n_frames] = (struct frame){ .kind = FRAME_SSE,
							    .ts_ns = 3000 + f->ex.n_frames,
							    .data = line };
		f->ex.n_frames++;
	}
}

static inline struct call *fixture_read(struct fixture *f)
{
	f->known = call_from_exchange(&f->ex, &f->call);
	return &f->call;
}

static inline void fixture_free(struct fixture *f)
{
	arena_fini(&f->ex.arena);
	free(f);
}

/* Both at once: an answer that came whole, or in events. */
static inline struct fixture *read_whole(const char *path, const char *request, const char *body)
{
	struct fixture *f = fixture_new(path, request);

	f->ex.response.body = span_of(body);
	fixture_read(f);
	ck_assert(f->known);
	return f;
}

static inline struct fixture *read_events(const char *path, const char *request, const char *lines)
{
	struct fixture *f = fixture_new(path, request);

	fixture_events(f, lines);
	fixture_read(f);
	ck_assert(f->known);
	return f;
}

#define assert_span(a, text)                                                          \
	do {                                                                          \
		struct span span_ = (a);                                              \
		ck_assert_msg(span_is(span_, text), "%s: \"%.*s\" is not \"%s\"", #a, \
			      SPAN_FMT(span_), text);                                 \
	} while (0)

static inline void assert_same(struct span a, struct span b, const char *what)
{
	ck_assert_msg(span_eq(a, b), "%s: streamed %.*s, whole %.*s", what, SPAN_FMT(a),
		      SPAN_FMT(b));
}

/* What a reader of the trace would see is equal, however it came. */
static inline void assert_same_call(const struct call *a, const struct call *b)
{
	ck_assert_str_eq(a->dialect, b->dialect);
	ck_assert_int_eq(a->kind, b->kind);
	assert_same(a->model, b->model, "model");
	assert_same(a->response_id, b->response_id, "response_id");
	assert_same(a->output, b->output, "output");
	assert_same(a->answer.json, b->answer.json, "answer");
	assert_same(a->answer.text, b->answer.text, "text");
	assert_same(a->finish_reason, b->finish_reason, "finish_reason");
	ck_assert_uint_eq(a->answer.hash, b->answer.hash);
	ck_assert_uint_eq(a->answer.n_requests, b->answer.n_requests);
	for (size_t i = 0; i < a->answer.n_requests; i++) {
		assert_same(a->answer.requests[i].id, b->answer.requests[i].id, "id");
		assert_same(a->answer.requests[i].name, b->answer.requests[i].name, "name");
		assert_same(a->answer.requests[i].arguments, b->answer.requests[i].arguments,
			    "arguments");
		assert_same(a->answer.requests[i].result, b->answer.requests[i].result, "result");
	}
	ck_assert_int_eq(a->tokens_in, b->tokens_in);
	ck_assert_int_eq(a->tokens_out, b->tokens_out);
	ck_assert_int_eq(a->tokens_total, b->tokens_total);
	ck_assert_int_eq(a->tokens_cached, b->tokens_cached);
	ck_assert_int_eq(a->tokens_reasoning, b->tokens_reasoning);
	ck_assert_int_eq(a->refusal, b->refusal);
	ck_assert_int_eq(a->incomplete, b->incomplete);
}

/* Everything that a call claims to be JSON is JSON. */
static inline void assert_sound(const struct call *c)
{
	struct buf b;
	struct span value;

	buf_init(&b, 1u << 30);
	ck_assert_int_eq(call_dump(c, &b), 0);
	ck_assert_msg(json_value(buf_span(&b), &value, NULL) == 0 && value.len == b.len,
		      "not JSON: %s", buf_text(&b));
	buf_fini(&b);
}

static inline int run_suite(Suite *s)
{
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}

#endif
