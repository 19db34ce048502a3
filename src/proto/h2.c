/* HTTP/2 framing, RFC 9113 4-6. */
#include "proto/h2.h"

#include "base/mem.h"

#include <stdlib.h>

/* While a frame boundary is looked for: searched at a time, and held before the front is dropped. */
#define FIND_SLICE (64 * KIB)
#define FIND_HELD (128 * KIB)

enum at {
	AT_FIRST, /* preface or frame */
	AT_HEAD,
	AT_PAD_LEN,
	AT_DATA,
	AT_PAYLOAD,
	AT_SKIP,
	AT_LOST,
	AT_END,
};

struct cursor {
	const char *p;
	size_t len;
	uint64_t ts_ns;
};

struct side {
	enum dir dir;
	enum at at;
	struct h2_frame frame;
	uint32_t left; /* of the frame, padding included */
	uint32_t pad;
	struct buf hold; /* begun in an earlier feed: preface, frame head, payload; AT_LOST: all */
	size_t scanned;
	bool skipped;	       /* AT_LOST: bytes before `hold` were passed over */
	size_t now_from;       /* AT_LOST: from here on `hold` came at now_ns; what is before it by before_ns */
	uint64_t now_ns, before_ns;
	struct buf block;      /* header block over several frames */
	uint32_t block_stream; /* 0: none open */
	bool block_ends;       /* its HEADERS frame had END_STREAM */
	bool block_pushed;
	uint64_t block_began_ns;
	uint64_t began_ns; /* first byte of the frame */
};

struct h2 {
	struct proto_conn *c;
	struct h2_streams streams;
	struct side side[2];
};

static void side_run(struct h2 *h, struct side *s, struct cursor cur);

static void *h2_open(struct proto_conn *c)
{
	struct h2 *h = mem_alloc(sizeof(*h));
	bool late = proto_conn_late(c);

	h->c = c;
	h2_streams_init(&h->streams, c, late);
	for (int dir = 0; dir < 2; dir++) {
		struct side *s = &h->side[dir];
		s->dir = dir;
		s->at = late ? AT_LOST : AT_FIRST;
		buf_init(&s->hold, LIMIT_HTTP_HEAD);
		buf_init(&s->block, LIMIT_HTTP_HEAD);
	}
	return h;
}

static void advance(struct cursor *cur, size_t n)
{
	cur->p += n;
	cur->len -= n;
}

static uint32_t u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* `need` bytes in one piece, over feeds; NULL: not yet. Clear s->hold after use. */
static const char *gather(struct side *s, struct cursor *cur, size_t need)
{
	size_t n = need - s->hold.len;
	const char *p = cur->p;

	if (!s->hold.len && cur->len >= need) {
		advance(cur, need);
		return p;
	}
	n = cur->len < n ? cur->len : n;
	buf_add(&s->hold, cur->p, n);
	advance(cur, n);
	return s->hold.len == need ? s->hold.p : NULL;
}

/* Strips padding and, of HEADERS, the priority fields. false: they do not fit. */
static bool strip(const struct h2_frame *f, struct span *payload)
{
	size_t pad = 0, skip = 0;

	if (f->flags & H2_PADDED && f->type != H2_CONTINUATION) {
		if (!payload->len)
			return false;
		pad = (unsigned char)payload->p[0];
		skip = 1;
	}
	if (f->type == H2_HEADERS && f->flags & H2_PRIORITY_FLAG)
		skip += 5;
	if (f->type == H2_PUSH_PROMISE)
		skip += 4;
	if (payload->len < skip + pad)
		return false;
	*payload = span_at(payload->p + skip, payload->len - skip - pad);
	return true;
}

static void end_block(struct h2 *h, struct side *s, uint64_t ts_ns)
{
	uint32_t id = s->block_stream;
	/* A promised request is decoded for HPACK's sake only: even streams are not followed. */
	uint32_t target = s->block_pushed ? 0 : id;

	s->block_stream = 0;
	h2_on_block(&h->streams, s->dir, target, buf_span(&s->block), s->block_ends,
		    s->block_began_ns, ts_ns);
	buf_clear(&s->block);
	if (s->block_ends && !conn_left(h->c, h))
		h2_on_end(&h->streams, s->dir, target, ts_ns);
}

static void add_block(struct h2 *h, struct side *s, struct span payload, uint64_t ts_ns)
{
	if (!strip(&s->frame, &payload)) {
		conn_opaque(h->c, "malformed frame", ts_ns);
		return;
	}
	if (buf_add_span(&s->block, payload)) {
		conn_opaque(h->c, "head too long", ts_ns);
		return;
	}
	if (s->frame.flags & H2_END_HEADERS)
		end_block(h, s, ts_ns);
}

static void take_headers(struct h2 *h, struct side *s, struct span payload, uint64_t ts_ns)
{
	s->block_stream = s->frame.stream;
	s->block_ends = s->frame.flags & H2_END_STREAM && s->frame.type == H2_HEADERS;
	s->block_pushed = s->frame.type == H2_PUSH_PROMISE;
	s->block_began_ns = s->began_ns;
	buf_clear(&s->block);
	add_block(h, s, payload, ts_ns);
}

static void take_continuation(struct h2 *h, struct side *s, struct span payload, uint64_t ts_ns)
{
	if (s->block_stream)
		add_block(h, s, payload, ts_ns);
	else if (h->streams.unsure[s->dir])
		hpack_lose(
			h->streams.hpack
				[s->dir]); /* its beginning was lost: so is what it did to the table */
	else
		conn_opaque(h->c, "malformed frame", ts_ns);
}

static void take_reset(struct h2 *h, struct side *s, struct span payload, uint64_t ts_ns)
{
	(void)ts_ns;
	if (payload.len == 4)
		h2_on_reset(&h->streams, s->frame.stream, u32(payload.p));
}

static void take_goaway(struct h2 *h, struct side *s, struct span payload, uint64_t ts_ns)
{
	(void)ts_ns;
	if (payload.len >= 8)
		h2_on_goaway(&h->streams, s->dir, u32(payload.p) & 0x7fffffff);
}

/* Types without a row are skipped. */
static void (*const takers[])(struct h2 *h, struct side *s, struct span payload, uint64_t ts_ns) = {
	[H2_HEADERS] = take_headers,	       [H2_PUSH_PROMISE] = take_headers,
	[H2_RST_STREAM] = take_reset,	       [H2_GOAWAY] = take_goaway,
	[H2_CONTINUATION] = take_continuation,
};

static void end_frame(struct h2 *h, struct side *s, uint64_t ts_ns)
{
	s->at = AT_HEAD;
	if (s->frame.type == H2_DATA && s->frame.flags & H2_END_STREAM)
		h2_on_end(&h->streams, s->dir, s->frame.stream, ts_ns);
}

static bool taken(uint8_t type)
{
	return type < sizeof(takers) / sizeof(*takers) && takers[type];
}

static void begin_frame(struct h2 *h, struct side *s, uint64_t ts_ns)
{
	const struct h2_frame *f = &s->frame;

	s->left = f->len;
	s->pad = 0;
	if (s->block_stream && (f->type != H2_CONTINUATION || f->stream != s->block_stream)) {
		conn_opaque(h->c, "malformed frame", ts_ns);
	} else if (f->type == H2_DATA) {
		s->at = f->flags & H2_PADDED && f->len ? AT_PAD_LEN : AT_DATA;
		if (!f->len)
			end_frame(h, s, ts_ns);
	} else if (!taken(f->type)) {
		s->at = f->len ? AT_SKIP : AT_HEAD;
	} else if (f->len > LIMIT_HTTP_HEAD) {
		conn_opaque(h->c, "head too long", ts_ns);
	} else if (f->len) {
		s->at = AT_PAYLOAD;
	} else {
		s->at = AT_HEAD;
		takers[f->type](h, s, SPAN(""), ts_ns);
	}
}

static void step_first(struct h2 *h, struct side *s, struct cursor *cur)
{
	const struct span preface = SPAN(H2_PREFACE);
	size_t n = preface.len - s->hold.len;

	n = cur->len < n ? cur->len : n;
	if (memcmp(cur->p, preface.p + s->hold.len, n) == 0) {
		const char *p = gather(s, cur, preface.len);
		if (!p)
			return;
		buf_clear(&s->hold);
		h2_set_role(&h->streams, s->dir);
		s->at = AT_HEAD;
		return;
	}
	struct buf held = s->hold; /* what looked like the preface so far */
	s->hold = (struct buf){ .max = LIMIT_HTTP_HEAD };
	s->at = AT_HEAD;
	if (held.len)
		side_run(h, s, (struct cursor){ held.p, held.len, cur->ts_ns });
	buf_fini(&held);
}

static void step_head(struct h2 *h, struct side *s, struct cursor *cur)
{
	if (!s->hold.len)
		s->began_ns = cur->ts_ns;
	const char *p = gather(s, cur, H2_FRAME_HEAD);
	if (!p)
		return;
	s->frame = h2_frame_read(p);
	buf_clear(&s->hold);
	begin_frame(h, s, cur->ts_ns);
}

static void step_pad_len(struct h2 *h, struct side *s, struct cursor *cur)
{
	s->pad = (unsigned char)*cur->p;
	s->left--;
	advance(cur, 1);
	s->at = AT_DATA;
	if (s->pad > s->left)
		conn_opaque(h->c, "malformed frame", cur->ts_ns);
	else if (!s->left)
		end_frame(h, s, cur->ts_ns);
	else if (s->left == s->pad)
		s->at = AT_SKIP;
}

static void step_data(struct h2 *h, struct side *s, struct cursor *cur)
{
	size_t data = s->left - s->pad;
	size_t n = cur->len < data ? cur->len : data;

	h2_on_data(&h->streams, s->dir, s->frame.stream, cur->p, n, cur->ts_ns);
	s->left -= (uint32_t)n;
	advance(cur, n);
	if (conn_left(h->c, h))
		return;
	if (!s->left)
		end_frame(h, s, cur->ts_ns);
	else if (s->left == s->pad)
		s->at = AT_SKIP;
}

static void step_payload(struct h2 *h, struct side *s, struct cursor *cur)
{
	const char *p = gather(s, cur, s->frame.len);

	if (!p)
		return;
	struct buf held = s->hold;
	s->hold = (struct buf){ .max = LIMIT_HTTP_HEAD };
	s->at = AT_HEAD;
	takers[s->frame.type](h, s, span_at(p, s->frame.len), cur->ts_ns);
	buf_fini(&held);
}

static void step_skip(struct h2 *h, struct side *s, struct cursor *cur)
{
	size_t n = cur->len < s->left ? cur->len : s->left;

	s->left -= (uint32_t)n;
	advance(cur, n);
	if (!s->left)
		end_frame(h, s, cur->ts_ns);
}

static void step_lost(struct h2 *h, struct side *s, struct cursor *cur)
{
	size_t n = cur->len < FIND_SLICE ? cur->len : FIND_SLICE;
	size_t at;

	if (cur->ts_ns != s->now_ns) {
		s->before_ns = s->now_ns;
		s->now_ns = cur->ts_ns;
		s->now_from = s->hold.len;
	}
	buf_add(&s->hold, cur->p, n);
	advance(cur, n);
	if (h2_find_start(buf_span(&s->hold), &s->scanned, &at) == VERDICT_YES) {
		struct buf held = s->hold;
		s->hold = (struct buf){ .max = LIMIT_HTTP_HEAD };
		s->at = AT_HEAD;
		if (at || s->skipped)
			h2_on_lost(&h->streams, s->dir, at <= s->now_from ? s->before_ns : s->now_ns);
		s->skipped = false;
		side_run(h, s, (struct cursor){ held.p + at, held.len - at, cur->ts_ns });
		buf_fini(&held);
	} else if (s->hold.len > FIND_HELD) {
		s->now_from -= s->now_from < s->scanned ? s->now_from : s->scanned;
		buf_shift(&s->hold, s->scanned);
		s->skipped = true;
		s->scanned = 0;
	}
}

static void step_end(struct h2 *h, struct side *s, struct cursor *cur)
{
	(void)h, (void)s;
	advance(cur, cur->len);
}

static void (*const steps[])(struct h2 *h, struct side *s, struct cursor *cur) = {
	[AT_FIRST] = step_first, [AT_HEAD] = step_head,	      [AT_PAD_LEN] = step_pad_len,
	[AT_DATA] = step_data,	 [AT_PAYLOAD] = step_payload, [AT_SKIP] = step_skip,
	[AT_LOST] = step_lost,	 [AT_END] = step_end,
};

static void side_run(struct h2 *h, struct side *s, struct cursor cur)
{
	struct proto_conn *c = h->c;

	while (cur.len && !conn_left(c, h))
		steps[s->at](h, s, &cur);
}

static void h2_feed(void *state, enum dir dir, const char *p, size_t len, uint64_t ts_ns)
{
	struct h2 *h = state;

	side_run(h, &h->side[dir], (struct cursor){ p, len, ts_ns });
}

static void h2_gap(void *state, enum dir dir, uint64_t missing, uint64_t ts_ns)
{
	struct h2 *h = state;
	struct side *s = &h->side[dir];

	if (s->at == AT_END)
		return;
	if (s->at == AT_DATA) {
		uint32_t data = s->left - s->pad;
		uint32_t n = missing < data ? (uint32_t)missing : data;
		h2_on_hole(&h->streams, dir, s->frame.stream, n);
		s->left -= n;
		missing -= n;
		if (s->left == s->pad)
			s->at = AT_SKIP;
	}
	if (s->at == AT_SKIP) {
		uint32_t n = missing < s->left ? (uint32_t)missing : s->left;
		s->left -= n;
		missing -= n;
		if (!s->left)
			end_frame(h, s, ts_ns);
	}
	if (!missing || conn_left(h->c, h))
		return;
	buf_clear(&s->hold);
	buf_clear(&s->block);
	s->block_stream = 0;
	s->scanned = 0;
	s->now_from = 0;
	s->at = AT_LOST;
	h2_on_lost(&h->streams, dir, ts_ns);
}

static void h2_eof(void *state, enum dir dir, uint64_t ts_ns)
{
	struct h2 *h = state;

	(void)ts_ns;
	h->side[dir].at = AT_END;
	if (dir != h->streams.requests)
		h2_on_finish(&h->streams, "connection closed");
}

static void h2_finish(void *state, uint64_t ts_ns, const char *why)
{
	struct h2 *h = state;

	(void)ts_ns;
	h2_on_finish(&h->streams, why);
}

static size_t h2_held(const void *state)
{
	const struct h2 *h = state;

	return h2_streams_held(&h->streams) + h->side[0].hold.cap + h->side[0].block.cap +
	       h->side[1].hold.cap + h->side[1].block.cap;
}

static void h2_free(void *state)
{
	struct h2 *h = state;

	h2_streams_fini(&h->streams);
	for (int dir = 0; dir < 2; dir++) {
		buf_fini(&h->side[dir].hold);
		buf_fini(&h->side[dir].block);
	}
	free(h);
}

const struct protocol protocol_h2 = {
	.name = "h2",
	.probe = h2_probe,
	.open = h2_open,
	.feed = h2_feed,
	.gap = h2_gap,
	.eof = h2_eof,
	.finish = h2_finish,
	.held = h2_held,
	.free = h2_free,
};
