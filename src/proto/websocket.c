#include "proto/websocket.h"

#include "base/mem.h"

#include <stdlib.h>
#include <zlib.h>

#define OUT_LEN 32768
#define HEAD_MAX 14

enum opcode { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };
#define FLAG_FIN 0x80
#define FLAG_DEFLATED 0x40 /* RSV1, RFC 7692 6 */
#define FLAG_RESERVED 0x30
#define FLAG_MASKED 0x80

struct side {
	unsigned char head[HEAD_MAX];
	size_t n_head;
	uint64_t left; /* of the payload */
	uint64_t at;   /* in the payload: where the mask stands */
	bool in_payload;
	bool control;
	bool last; /* FIN of the current frame */
	bool open; /* a message is begun */
	bool text;
	bool deflated;
	bool spoiled; /* this message lacks bytes or is too long: it is dropped */
	bool after_gap;
	bool masked;
	unsigned char mask[4];
	struct buf message;
	z_stream z;
	bool inflating; /* inflateInit2 done */
	bool takeover;	/* the window lives over messages */
};

struct websocket {
	struct proto_conn *c;
	const struct exchange *upgrade;
	bool deflate; /* negotiated */
	struct side side[2];
};

static bool has(struct span list, const char *what)
{
	return span_find(list, span_of(what)).p;
}

struct websocket *websocket_new(struct proto_conn *c, const struct exchange *upgrade)
{
	struct websocket *w = mem_alloc(sizeof(*w));
	struct span ext = http_field(&upgrade->response, "sec-websocket-extensions");
	enum dir asker = upgrade->client ? DIR_OUT : DIR_IN;

	w->c = c;
	w->upgrade = upgrade;
	w->deflate = has(ext, "permessage-deflate");
	for (int dir = 0; dir < 2; dir++) {
		struct side *s = &w->side[dir];
		bool client = dir == (int)asker;
		buf_init(&s->message, LIMIT_FRAME);
		s->takeover = !has(ext, client ? "client_no_context_takeover"
					       : "server_no_context_takeover");
	}
	return w;
}

void websocket_free(struct websocket *w)
{
	if (!w)
		return;
	for (int dir = 0; dir < 2; dir++) {
		buf_fini(&w->side[dir].message);
		if (w->side[dir].inflating)
			inflateEnd(&w->side[dir].z);
	}
	free(w);
}

size_t websocket_held(const struct websocket *w)
{
	return w->side[0].message.cap + w->side[1].message.cap;
}

/* Undoes the message into `out`; past its maximum the rest is decoded only for the window's sake. */
static const char *inflate_message(struct side *s, struct buf *out)
{
	static const unsigned char tail[] = { 0, 0, 0xff, 0xff }; /* RFC 7692 7.2.2 */
	unsigned char piece[OUT_LEN];
	int err = Z_OK;

	if (!s->inflating && inflateInit2(&s->z, -15) != Z_OK)
		abort(); /* only for lack of memory */
	s->inflating = true;
	buf_add(&s->message, tail, sizeof(tail));
	s->z.next_in = (unsigned char *)s->message.p;
	s->z.avail_in = (uInt)s->message.len;
	do {
		s->z.next_out = piece;
		s->z.avail_out = OUT_LEN;
		err = inflate(&s->z, Z_SYNC_FLUSH);
		if (err != Z_OK && err != Z_BUF_ERROR && err != Z_STREAM_END)
			return "malformed compressed message";
		s->spoiled |= buf_add(out, piece, OUT_LEN - s->z.avail_out) != 0;
		if (err == Z_STREAM_END)
			inflateReset(&s->z);
	} while (s->z.avail_out == 0 || (err == Z_STREAM_END && s->z.avail_in));
	if (!s->takeover)
		inflateReset(&s->z);
	return NULL;
}

static const char *end_message(struct websocket *w, struct side *s, enum dir dir, uint64_t ts_ns)
{
	struct frame f = { .kind = s->text ? FRAME_TEXT : FRAME_BINARY,
			   .dir = dir,
			   .ts_ns = ts_ns };
	struct buf plain;
	const char *why = NULL;

	buf_init(&plain, LIMIT_FRAME);
	if (s->deflated && !s->spoiled)
		why = inflate_message(s, &plain);
	else if (s->deflated && s->takeover)
		why = "the compression context was lost";
	f.data = buf_span(s->deflated ? &plain : &s->message);
	f.after_gap = s->after_gap;
	if (!why && !s->spoiled)
		conn_message(w->c, w->upgrade, &f);
	s->after_gap = s->spoiled;
	s->spoiled = false;
	s->open = false;
	buf_clear(&s->message);
	buf_fini(&plain);
	return why;
}

static const char *end_frame(struct websocket *w, struct side *s, enum dir dir, uint64_t ts_ns)
{
	s->n_head = 0;
	s->in_payload = false;
	return s->control || !s->last ? NULL : end_message(w, s, dir, ts_ns);
}

/* Bytes of the head that is being read, as far as that can be told. */
static size_t head_len(const struct side *s)
{
	if (s->n_head < 2)
		return 2;
	unsigned len = s->head[1] & 0x7f;
	return 2u + (len == 126 ? 2 : len == 127 ? 8 : 0) + (s->head[1] & FLAG_MASKED ? 4 : 0);
}

static const char *begin_frame(struct websocket *w, struct side *s)
{
	unsigned op = s->head[0] & 15;
	unsigned n = s->head[1] & 0x7f;
	size_t wide = n == 126 ? 2 : n == 127 ? 8 : 0;

	s->left = wide ? 0 : n;
	for (size_t i = 0; i < wide; i++)
		s->left = s->left << 8 | s->head[2 + i];
	s->at = 0;
	s->in_payload = true;
	s->masked = s->head[1] & FLAG_MASKED;
	if (s->masked)
		memcpy(s->mask, s->head + 2 + wide, 4);
	s->control = op >= OP_CLOSE;
	s->last = s->head[0] & FLAG_FIN;
	if (s->head[0] & FLAG_RESERVED || (op > OP_BINARY && op < OP_CLOSE) || op > OP_PONG ||
	    s->left >> 63)
		return "malformed frame";
	if (s->control)
		return s->left > 125 || !s->last ? "malformed frame" : NULL;
	if (s->open != (op == OP_CONTINUATION) ||
	    (s->head[0] & FLAG_DEFLATED && (s->open || !w->deflate)))
		return "malformed frame";
	if (!s->open) {
		s->open = true;
		s->text = op == OP_TEXT;
		s->deflated = s->head[0] & FLAG_DEFLATED;
	}
	return NULL;
}

static void take_payload(struct side *s, const char *p, size_t n)
{
	char *to = s->spoiled ? NULL : buf_reserve(&s->message, n + 4); /* and deflate's tail */

	if (!to) {
		s->spoiled = true;
		return;
	}
	if (!s->masked) {
		memcpy(to, p, n);
	} else {
		for (size_t i = 0; i < n; i++)
			to[i] = (char)(p[i] ^ s->mask[(s->at + i) & 3]);
	}
	s->message.len += n;
}

const char *websocket_feed(struct websocket *w, enum dir dir, const char *p, size_t len,
			   uint64_t ts_ns)
{
	struct side *s = &w->side[dir];
	const char *why = NULL;

	while (len && !why) {
		if (!s->in_payload) {
			s->head[s->n_head++] = (unsigned char)*p++;
			len--;
			if (s->n_head < head_len(s))
				continue;
			why = begin_frame(w, s);
		} else {
			size_t n = len < s->left ? len : (size_t)s->left;
			if (!s->control)
				take_payload(s, p, n);
			s->left -= n;
			s->at += n;
			p += n;
			len -= n;
		}
		if (!why && !s->left)
			why = end_frame(w, s, dir, ts_ns);
	}
	return why;
}

const char *websocket_gap(struct websocket *w, enum dir dir, uint64_t missing)
{
	struct side *s = &w->side[dir];

	/* Heads cannot be told from payload: only what stays inside one frame can be survived. */
	if (!s->in_payload || missing > s->left)
		return "gap";
	s->left -= missing;
	s->at += missing;
	s->spoiled |= !s->control;
	return s->left ? NULL : end_frame(w, s, dir, 0);
}

/* ---- over HTTP/1.1, as a protocol of its own ---- */

struct state {
	struct proto_conn *c;
	struct xfer *x;
	struct websocket *w;
};

void *websocket_open(struct proto_conn *c, struct xfer *x)
{
	struct state *s = mem_alloc(sizeof(*s));

	s->c = c;
	s->x = x;
	s->w = websocket_new(c, &x->ex);
	return s;
}

static void ws_feed(void *state, enum dir dir, const char *p, size_t len, uint64_t ts_ns)
{
	struct state *s = state;
	const char *why = websocket_feed(s->w, dir, p, len, ts_ns);

	if (why)
		conn_opaque(s->c, why, ts_ns);
}

static void ws_gap(void *state, enum dir dir, uint64_t missing, uint64_t ts_ns)
{
	struct state *s = state;
	const char *why = websocket_gap(s->w, dir, missing);

	if (why)
		conn_opaque(s->c, why, ts_ns);
}

static void ws_eof(void *state, enum dir dir, uint64_t ts_ns)
{
	(void)state, (void)dir, (void)ts_ns;
}

/* A message that was cut has no way to say so: it is left out. */
static void ws_finish(void *state, uint64_t ts_ns, const char *why)
{
	(void)state, (void)ts_ns, (void)why;
}

static size_t ws_held(const void *state)
{
	const struct state *s = state;

	return websocket_held(s->w) + xfer_held(s->x);
}

static void ws_free(void *state)
{
	struct state *s = state;

	websocket_free(s->w);
	xfer_free(s->x);
	free(s);
}

const struct protocol protocol_websocket = {
	.name = "websocket",
	.feed = ws_feed,
	.gap = ws_gap,
	.eof = ws_eof,
	.finish = ws_finish,
	.held = ws_held,
	.free = ws_free,
};
