/*
 * Proves that any split of the input gives the same callbacks: a script of operations is played whole, byte by byte and
 * in random pieces, and the transcripts of all callbacks must be the same text. Header only: include in one test file.
 */
#ifndef CF_TESTS_SPLIT_H
#define CF_TESTS_SPLIT_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/text.h"
#include "proto/exchange.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum play_kind { PLAY_DATA, PLAY_GAP, PLAY_EOF };

struct play {
	enum play_kind kind;
	enum dir dir;
	struct span text;
	uint64_t missing;
};

#define IN(lit)                                                  \
	{                                                        \
		PLAY_DATA, DIR_IN, { (lit), sizeof(lit) - 1 }, 0 \
	}
#define OUT(lit)                                                  \
	{                                                         \
		PLAY_DATA, DIR_OUT, { (lit), sizeof(lit) - 1 }, 0 \
	}
#define IN_SPAN(s)                      \
	{                               \
		PLAY_DATA, DIR_IN, s, 0 \
	}
#define OUT_SPAN(s)                      \
	{                                \
		PLAY_DATA, DIR_OUT, s, 0 \
	}
#define GAP_IN(n)                                \
	{                                        \
		PLAY_GAP, DIR_IN, { NULL, 0 }, n \
	}
#define GAP_OUT(n)                                \
	{                                         \
		PLAY_GAP, DIR_OUT, { NULL, 0 }, n \
	}
#define EOF_IN                                   \
	{                                        \
		PLAY_EOF, DIR_IN, { NULL, 0 }, 0 \
	}
#define EOF_OUT                                   \
	{                                         \
		PLAY_EOF, DIR_OUT, { NULL, 0 }, 0 \
	}

struct transcript {
	struct buf text;
	unsigned n_exchanges;
	unsigned n_complete;
	unsigned n_messages;
};

/* Long texts by length and hash. */
static inline void put_bytes(struct buf *b, struct span s)
{
	if (s.len <= 400) {
		buf_add_char(b, '[');
		text_put_safe(b, s);
		buf_add_char(b, ']');
		return;
	}
	uint64_t h = 1469598103934665603u;
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
	buf_printf(b, "<%zu bytes %016" PRIx64 ">", s.len, h);
}

static inline void put_fields(struct buf *b, const char *what, const struct field *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(b, "  %s %s", what, f[i].unresolved ? "(unresolved) " : "");
		put_bytes(b, f[i].name);
		put_bytes(b, f[i].value);
		buf_add_char(b, '\n');
	}
}

static inline void put_message(struct buf *b, const char *what, const struct http_message *m)
{
	buf_printf(b, " %s began %" PRIu64 " head %" PRIu64 " ended %" PRIu64 " wire %" PRIu64,
		   what, m->began_ns, m->head_ns, m->ended_ns, m->wire_len);
	if (m->missing)
		buf_printf(b, " missing %" PRIu64, m->missing);
	buf_printf(b, "%s%s%s%s\n", m->complete ? " complete" : "",
		   m->truncated ? " truncated" : "", m->undecoded ? " undecoded: " : "",
		   m->undecoded ? m->undecoded : "");
	put_fields(b, "field", m->fields, m->n_fields);
	put_fields(b, "trailer", m->trailers, m->n_trailers);
	if (m->body.len) {
		buf_add_text(b, "  body ");
		put_bytes(b, m->body);
		buf_add_char(b, '\n');
	}
}

static inline void put_frame(struct buf *b, const struct frame *f)
{
	static const char *const kinds[] = { "sse", "json-line", "text", "binary", "event-stream" };

	buf_printf(b, "  frame %s %s%s ts %" PRIu64, kinds[f->kind],
		   f->dir == DIR_IN ? "in" : "out", f->after_gap ? " after-gap" : "", f->ts_ns);
	if (f->name.p) {
		buf_add_text(b, " name ");
		put_bytes(b, f->name);
	}
	if (f->id.p) {
		buf_add_text(b, " id ");
		put_bytes(b, f->id);
	}
	buf_add_char(b, ' ');
	put_bytes(b, f->data);
	buf_add_char(b, '\n');
}

static inline void on_exchange(void *ctx, struct exchange *ex)
{
	struct transcript *t = ctx;
	struct buf *b = &t->text;

	t->n_exchanges++;
	t->n_complete += ex->request.complete && ex->response.complete;
	ck_assert_msg((ex->cut == NULL) == (ex->request.complete && ex->response.complete),
		      "cut says %s", ex->cut ? ex->cut : "NULL");
	buf_printf(b, "exchange %" PRIu64 " %s %s ", ex->stream_id,
		   ex->client ? "client" : "server", ex->version);
	put_bytes(b, ex->method);
	put_bytes(b, ex->target);
	put_bytes(b, ex->authority);
	buf_printf(b, " status %d%s%s%s\n", ex->status, ex->upgraded ? " upgraded" : "",
		   ex->cut ? " cut: " : "", ex->cut ? ex->cut : "");
	put_message(b, "request", &ex->request);
	put_message(b, "response", &ex->response);
	for (size_t i = 0; i < ex->n_frames; i++)
		put_frame(b, &ex->frames[i]);
}

static inline void on_message(void *ctx, const struct conn_info *conn,
			      const struct exchange *upgrade, const struct frame *f)
{
	struct transcript *t = ctx;

	(void)conn;
	t->n_messages++;
	buf_add_text(&t->text, "message of ");
	put_bytes(&t->text, upgrade ? upgrade->target : SPAN("-"));
	put_frame(&t->text, f);
}

static inline void on_state(void *ctx, const struct conn_info *conn, enum proto_state state,
			    const char *protocol, const char *reason)
{
	static const char *const states[] = { "unknown", "decoded", "tunnel", "opaque" };
	struct transcript *t = ctx;

	(void)conn;
	buf_printf(&t->text, "state %s %s %s\n", states[state], protocol ? protocol : "-",
		   reason ? reason : "-");
}

static const struct proto_events split_events = { on_exchange, on_message, on_state };

/* Whole operations, single bytes, or random pieces of up to `most` bytes. */
static inline size_t piece(size_t most, size_t left)
{
	size_t n = most <= 1 ? 1 : most == SIZE_MAX ? left : 1 + (size_t)rand() % most;

	return n < left ? n : left;
}

/* Time of an operation: its number, so that each byte has the same time however it is fed. */
static inline struct transcript play(const struct conn_info *info, const struct play *ops, size_t n,
				     size_t most, const char *why)
{
	struct transcript t = { 0 };

	buf_init(&t.text, 64 * MIB);
	struct proto_conn *c = proto_conn_new(info, &split_events, &t);
	for (size_t i = 0; i < n; i++) {
		const struct play *op = &ops[i];
		if (op->kind == PLAY_GAP)
			proto_gap(c, op->dir, op->missing, i + 1);
		else if (op->kind == PLAY_EOF)
			proto_eof(c, op->dir, i + 1);
		for (size_t at = 0, len; op->kind == PLAY_DATA && at < op->text.len; at += len) {
			len = piece(most, op->text.len - at);
			/* A copy of its own: whoever keeps a pointer into it is found by the sanitizer. */
			char *own = malloc(len);
			memcpy(own, op->text.p + at, len);
			proto_feed(c, op->dir, own, len, i + 1);
			free(own);
		}
		ck_assert_uint_lt(proto_conn_held(c), 256 * MIB);
	}
	proto_conn_finish(c, n + 1, why);
	buf_text(&t.text);
	return t;
}

static inline void transcript_fini(struct transcript *t)
{
	buf_fini(&t->text);
}

/* Plays the script in all ways; the transcript is the caller's to free. */
static inline struct transcript split_play(const struct conn_info *info, const struct play *ops,
					   size_t n)
{
	static const size_t most[] = { 1, 2, 3, 7, 30, 200, 5000 };
	struct transcript whole = play(info, ops, n, SIZE_MAX, "observer stopped");

	for (size_t i = 0; i < sizeof(most) / sizeof(*most); i++) {
		struct transcript t = play(info, ops, n, most[i], "observer stopped");
		ck_assert_msg(span_eq(buf_span(&whole.text), buf_span(&t.text)),
			      "pieces of up to %zu bytes differ:\n--- whole\n%s\n--- split\n%s",
			      most[i], buf_text(&whole.text), buf_text(&t.text));
		transcript_fini(&t);
	}
	return whole;
}

static inline bool transcript_has(struct transcript *t, const char *text)
{
	return span_find(buf_span(&t->text), span_of(text)).p;
}

#define ck_has(t, what) \
	ck_assert_msg(transcript_has(t, what), "lacks <%s>:\n%s", what, buf_text(&(t)->text))
#define ck_has_not(t, what) \
	ck_assert_msg(!transcript_has(t, what), "has <%s>:\n%s", what, buf_text(&(t)->text))
#define SPLIT_PLAY(info, ops) split_play(info, ops, sizeof(ops) / sizeof(*(ops)))

static const struct conn_info split_conn
	__attribute__((unused)) = { .id = 7, .source = SOURCE_TLS, .pid = 42 };
static const struct conn_info split_late
	__attribute__((unused)) = { .id = 8, .source = SOURCE_TLS, .pid = 42, .joined_late = true };

#endif
