/*
 * Fuzzing a connection: the input is a list of operations {op, length (2 bytes, low first), bytes}. The same operations
 * are played twice, once byte by byte, and the two must tell the same story. Header only.
 */
#ifndef CF_TESTS_FUZZ_CONN_H
#define CF_TESTS_FUZZ_CONN_H

#include "base/limits.h"
#include "base/map.h"
#include "proto/exchange.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

/* Low bits of op: 0, 1 bytes of a direction; 2 a gap; 3 the end of a direction. Next bit: direction of those. */
#define FUZZ_OP_GAP 2
#define FUZZ_OP_EOF 3

static uint64_t fuzz_story;

static void tell(struct span s)
{
	fuzz_story = hash_bytes(s.p, s.len, fuzz_story);
}

static void tell_number(uint64_t n)
{
	fuzz_story = hash_mix(fuzz_story ^ n);
}

static void tell_frame(const struct frame *f)
{
	tell_number(f->kind * 4u + f->dir * 2u + f->after_gap);
	tell_number(f->ts_ns);
	tell(f->name);
	tell(f->id);
	tell(f->data);
}

static void tell_message(const struct http_message *m)
{
	for (size_t i = 0; i < m->n_fields; i++) {
		tell(m->fields[i].name);
		tell(m->fields[i].value);
	}
	for (size_t i = 0; i < m->n_trailers; i++)
		tell(m->trailers[i].value);
	tell(m->body);
	tell_number(m->wire_len);
	tell_number(m->missing);
	tell_number(m->began_ns ^ m->head_ns << 20 ^ m->ended_ns << 40);
	tell_number(m->complete + 2u * m->truncated + 4u * (m->undecoded != NULL));
	if (m->complete && m->missing)
		abort();
}

static void tell_exchange(void *ctx, struct exchange *ex)
{
	(void)ctx;
	tell_number(ex->stream_id);
	tell(ex->method);
	tell(ex->target);
	tell(ex->authority);
	tell(exchange_path(ex));
	tell_number((unsigned)ex->status * 4u + ex->upgraded * 2u + ex->client);
	tell_message(&ex->request);
	tell_message(&ex->response);
	for (size_t i = 0; i < ex->n_frames; i++)
		tell_frame(&ex->frames[i]);
	tell(span_of(ex->cut));
	if (!ex->cut != (ex->request.complete && ex->response.complete))
		abort();
}

static void tell_loose(void *ctx, const struct conn_info *conn, const struct exchange *upgrade,
		       const struct frame *f)
{
	(void)ctx, (void)conn;
	if (upgrade)
		tell(upgrade->target);
	tell_frame(f);
}

static void tell_state(void *ctx, const struct conn_info *conn, enum proto_state state,
		       const char *protocol, const char *reason)
{
	(void)ctx, (void)conn;
	tell_number(state);
	tell(span_of(protocol));
	tell(span_of(reason));
}

static uint64_t fuzz_play(const struct conn_info *info, const uint8_t *p, size_t len, size_t most)
{
	static const struct proto_events events = { tell_exchange, tell_loose, tell_state };
	uint64_t ts = 0;

	fuzz_story = 0;
	struct proto_conn *c = proto_conn_new(info, &events, NULL);
	while (len >= 3) {
		unsigned op = p[0] & 3;
		enum dir dir = op < 2 ? op : p[0] >> 2 & 1;
		size_t n = p[1] + 256u * p[2];
		p += 3;
		len -= 3;
		ts++;
		if (op == FUZZ_OP_GAP)
			proto_gap(c, dir, n, ts);
		else if (op == FUZZ_OP_EOF)
			proto_eof(c, dir, ts);
		if (op >= 2)
			continue;
		n = n < len ? n : len;
		for (size_t at = 0, piece; at < n; at += piece) {
			piece = n - at < most ? n - at : most;
			char *own = malloc(piece);
			memcpy(own, p + at, piece);
			proto_feed(c, dir, own, piece, ts);
			free(own);
		}
		p += n;
		len -= n;
		if (proto_conn_held(c) > 1024 * MIB)
			abort();
	}
	proto_conn_finish(c, ts + 1, "the input ended");
	return fuzz_story;
}

static int fuzz_conn(const struct conn_info *info, const uint8_t *p, size_t len)
{
	uint64_t whole = fuzz_play(info, p, len, SIZE_MAX);

	if (fuzz_play(info, p, len, 1) != whole) {
		fprintf(stderr, "split by bytes tells another story\n");
		abort();
	}
	return 0;
}

#endif
