/*
 * HTTP/1.x in both roles. Each direction is a small machine over heads and bodies; answers are paired with requests in
 * order. Which direction asks is learned from its first start line.
 */
#include "proto/http1.h"

#include "base/mem.h"

#include <stdlib.h>

/* A chunk-size line with its extensions, or one trailer line. */
#define CHUNK_LINE_MAX (16 * KIB)
/* While a message start is looked for: searched at a time, and held before the front is dropped. */
#define FIND_SLICE (64 * KIB)
#define FIND_HELD (128 * KIB)

enum at {
	AT_START,  /* between messages, or inside a head */
	AT_LENGTH, /* body of known length */
	AT_CLOSE,  /* body until the end of the connection */
	AT_CHUNK_SIZE,
	AT_CHUNK_DATA,
	AT_CHUNK_END,
	AT_TRAILER,
	AT_WAIT, /* an upgrade was asked for: bytes wait for the answer */
	AT_LOST, /* position unknown: the next message start is looked for */
	AT_END,
};

struct cursor {
	const char *p;
	size_t len;
	uint64_t ts_ns;
};

struct side {
	enum dir dir;
	enum wanted role; /* WANT_EITHER until known */
	enum at at;
	bool lost;	/* a whole message may have been lost since the last head */
	struct xfer *x; /* of the message whose body is being read */
	struct body *body;
	uint64_t left; /* of the body or the chunk */
	struct buf
		line; /* what of a head or a line came in earlier feeds; AT_WAIT, AT_LOST: all that is held */
	size_t chunk_scanned;
	bool headed;	/* a head was seen */
	size_t scanned; /* of `line` */
	struct buf trailer;
	uint64_t began_ns;
	uint64_t last_ns; /* last byte seen */
};

struct http1 {
	struct proto_conn *c;
	struct side side[2]; /* by dir */
	struct xfer *first;
	size_t n_open;
	uint64_t n_exchanges;
};

static void side_run(struct http1 *h, struct side *s, struct cursor cur);
static void end_lost(struct http1 *h, struct side *s);

static struct side *other(struct http1 *h, struct side *s)
{
	return &h->side[s->dir == DIR_IN ? DIR_OUT : DIR_IN];
}

static void *http1_open(struct proto_conn *c)
{
	struct http1 *h = mem_alloc(sizeof(*h));

	h->c = c;
	for (int dir = 0; dir < 2; dir++) {
		struct side *s = &h->side[dir];
		s->dir = dir;
		s->role = WANT_EITHER;
		s->at = proto_conn_late(c) ? AT_LOST : AT_START;
		buf_init(&s->line, LIMIT_HTTP_HEAD);
		buf_init(&s->trailer, LIMIT_HTTP_HEAD);
	}
	return h;
}

static struct xfer *open_exchange(struct http1 *h, bool client)
{
	struct xfer **to = &h->first;

	while (*to)
		to = &(*to)->next;
	*to = xfer_new(h->c, h->n_exchanges++);
	(*to)->ex.client = client;
	h->n_open++;
	return *to;
}

static void unlink_exchange(struct http1 *h, struct xfer *x)
{
	struct xfer **at = &h->first;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	x->next = NULL;
	h->n_open--;
	for (int dir = 0; dir < 2; dir++)
		if (h->side[dir].x == x)
			h->side[dir].x = NULL;
}

static void hand_out(struct http1 *h, struct xfer *x, const char *why)
{
	unlink_exchange(h, x);
	xfer_emit(x, why);
	xfer_free(x);
}

static void maybe_done(struct http1 *h, struct xfer *x)
{
	if (x->request_done && x->response_done)
		hand_out(h, x, "incomplete");
}

/* Ends the message being read; `why` when that is before its time. */
static void end_message(struct http1 *h, struct side *s, const char *why)
{
	struct xfer *x = s->x;

	s->body->msg->ended_ns = s->last_ns;
	body_end(s->body, !why);
	if (why && !x->ex.cut)
		x->ex.cut = why;
	if (s->body == &x->request)
		x->request_done = true;
	else
		x->response_done = true;
	s->at = s->body == &x->request && x->wants_upgrade && !x->response_begun ? AT_WAIT
										 : AT_START;
	s->x = NULL;
	struct side *o = other(h, s);
	if (x->response_done && o->at == AT_LOST && o->x == x)
		end_lost(h, o); /* answered: nobody needs to wait for more of the request */
	else
		maybe_done(h, x);
}

/* What was waiting for its framing to be found again has ended unseen. */
static void end_lost(struct http1 *h, struct side *s)
{
	if (s->at != AT_LOST || !s->x)
		return;
	end_message(h, s, "gap");
	s->at = AT_LOST;
}

/* Requests without any answer so far are given up. */
static void cut_waiting(struct http1 *h, const char *why)
{
	struct xfer *next;

	for (struct xfer *x = h->first; x; x = next) {
		next = x->next;
		if (x->response_begun)
			continue;
		x->response_done = true;
		if (!x->ex.cut)
			x->ex.cut = why;
		maybe_done(h, x);
	}
}

static void begin_body(struct http1 *h, struct side *s, struct xfer *x, bool none)
{
	struct body *b = s->role == WANT_RESPONSE ? &x->response : &x->request;
	struct span codings;
	enum framing f = http1_framing(b->msg, s->role == WANT_RESPONSE, &s->left, &codings);

	b->msg->began_ns = s->began_ns;
	b->msg->head_ns = s->last_ns;
	s->x = x;
	s->body = b;
	if (f == FRAMING_BAD && !none) {
		conn_opaque(h->c, "contradictory message length", s->last_ns);
		return;
	}
	if (none || f == FRAMING_NONE || (f == FRAMING_LENGTH && !s->left)) {
		end_message(h, s, NULL);
		return;
	}
	body_begin(b, codings);
	s->at = f == FRAMING_LENGTH ? AT_LENGTH : f == FRAMING_CHUNKED ? AT_CHUNK_SIZE : AT_CLOSE;
}

static struct span authority_of(struct exchange *ex)
{
	struct span rest = span_find(ex->target, SPAN("://"));

	if (span_is(ex->method, "CONNECT"))
		return ex->target;
	if (ex->target.p[0] == '/' || !rest.p)
		return http_field(&ex->request, "host");
	rest = span_at(rest.p + 3, rest.len - 3);
	struct span host = SPAN_NONE;
	span_split(&rest, '/', &host);
	return host;
}

/* `whole`: the head was seen to its end. */
static void begin_request(struct http1 *h, struct side *s, struct span head, bool whole)
{
	end_lost(h, other(h, s));
	if (other(h, s)->lost)
		cut_waiting(
			h,
			"gap"); /* who asks again has been answered: that answer is what was lost */
	if (h->n_open >= LIMIT_PIPELINE) {
		conn_opaque(h->c, "too many requests wait for an answer", s->last_ns);
		return;
	}
	struct xfer *x = open_exchange(h, s->dir == DIR_OUT);
	struct exchange *ex = &x->ex;
	struct start_line start;
	struct span line;

	head = arena_copy(&ex->arena, head);
	http1_line(&head, &line);
	http1_start_line(line, &start);
	ex->method = start.method;
	ex->target = start.target;
	ex->version = start.minor ? "1.1" : "1.0";
	s->lost = false;
	if (http1_fields(&ex->arena, head, &ex->request.fields, &ex->request.n_fields)) {
		conn_opaque(h->c, "too many header fields", s->last_ns);
		return;
	}
	ex->authority = authority_of(ex);
	x->wants_upgrade = span_is(ex->method, "CONNECT") || http_field(&ex->request, "upgrade").p;
	if (whole) {
		begin_body(h, s, x, false);
		return;
	}
	ex->request.began_ns = s->began_ns;
	s->x = x;
	s->body = &x->request;
}

/* The request that the answer beginning now belongs to; NULL when that was not seen or cannot be told. */
static struct xfer *match(struct http1 *h, struct side *s)
{
	struct xfer *x = h->first;
	size_t waiting = 0;

	for (struct xfer *i = h->first; i; i = i->next)
		waiting += !i->response_begun && !i->response_done;
	if (s->lost && waiting > 1) {
		cut_waiting(h, "gap");
		return NULL;
	}
	while (x && (x->response_begun || x->response_done))
		x = x->next;
	return x;
}

static void upgrade(struct http1 *h, struct side *s, struct xfer *x)
{
	struct side *asker = other(h, s);
	struct buf early = asker->line;
	uint64_t early_ns = asker->last_ns;
	struct proto_conn *c = h->c;
	bool websocket = x->ex.status == 101 &&
			 span_ieq(http_field(&x->ex.response, "upgrade"), SPAN("websocket"));

	asker->line = (struct buf){ .max = LIMIT_HTTP_HEAD };
	x->ex.upgraded = true;
	x->ex.response.ended_ns = s->last_ns;
	body_end(&x->response, true);
	unlink_exchange(h, x);
	while (h->first)
		hand_out(h, h->first, "the connection was upgraded");
	xfer_emit(x, "incomplete");
	if (websocket) {
		conn_become(c, &protocol_websocket, websocket_open(c, x));
		conn_state(c, PROTO_DECODED, protocol_websocket.name, NULL);
	} else {
		xfer_free(x);
		conn_tunnel(c, "upgraded");
	}
	if (early.len)
		proto_feed(c, asker->dir, early.p, early.len, early_ns);
	buf_fini(&early);
}

/* The asker's bytes that waited are requests after all. */
static void no_upgrade(struct http1 *h, struct side *s)
{
	struct buf held = s->line;

	if (s->at != AT_WAIT)
		return;
	s->at = AT_START;
	s->line = (struct buf){ .max = LIMIT_HTTP_HEAD };
	side_run(h, s, (struct cursor){ held.p, held.len, s->last_ns });
	buf_fini(&held);
}

static void begin_response(struct http1 *h, struct side *s, struct span head,
			   const struct start_line *first, bool whole)
{
	if (first->status < 200 && first->status != 101)
		return; /* interim answers, RFC 9110 15.2 */
	struct xfer *x = match(h, s);
	struct start_line start;
	struct span line;

	s->lost = false;
	if (!x) {
		x = open_exchange(h, s->dir == DIR_IN);
		x->request_done = true;
		x->ex.cut = "request not seen";
		x->ex.version = first->minor ? "1.1" : "1.0";
	}
	struct exchange *ex = &x->ex;
	struct http_message *m = &ex->response;

	head = arena_copy(&ex->arena, head);
	http1_line(&head, &line);
	http1_start_line(line, &start);
	ex->status = start.status;
	x->response_begun = true;
	if (http1_fields(&ex->arena, head, &m->fields, &m->n_fields)) {
		conn_opaque(h->c, "too many header fields", s->last_ns);
		return;
	}
	m->began_ns = s->began_ns;
	if (!whole) {
		s->x = x;
		s->body = &x->response;
		return;
	}
	m->head_ns = s->last_ns;
	bool connected = span_is(ex->method, "CONNECT") && ex->status >= 200 && ex->status < 300;
	if (ex->status == 101 || connected) {
		upgrade(h, s, x);
		return;
	}
	bool none = span_is(ex->method, "HEAD") || ex->status == 204 || ex->status == 304;
	bool asked = x->wants_upgrade;
	begin_body(h, s, x, none);
	if (asked && !conn_left(h->c, h))
		no_upgrade(h, other(h, s));
}

/* false: it cannot be a head at this place, and the connection became opaque. */
static bool take_head(struct http1 *h, struct side *s, struct span head, bool whole)
{
	struct start_line start;
	struct span rest = head, line;

	if (!http1_line(&rest, &line) || !http1_start_line(line, &start)) {
		conn_opaque(h->c, "malformed start line", s->last_ns);
		return false;
	}
	enum wanted role = start.response ? WANT_RESPONSE : WANT_REQUEST;
	if (!(s->role & role)) {
		conn_opaque(h->c,
			    start.response ? "an answer where a request was expected"
					   : "a request where an answer was expected",
			    s->last_ns);
		return false;
	}
	s->role = role;
	s->headed = true;
	other(h, s)->role = role ^ WANT_EITHER;
	if (start.response)
		begin_response(h, s, head, &start, whole);
	else
		begin_request(h, s, head, whole);
	return true;
}

static void advance(struct cursor *cur, size_t n)
{
	cur->p += n;
	cur->len -= n;
}

static void step_start(struct http1 *h, struct side *s, struct cursor *cur)
{
	if (!s->line.len) {
		while (cur->len && (*cur->p == '\r' || *cur->p == '\n')) /* RFC 9112 2.2 */
			advance(cur, 1);
		if (!cur->len)
			return;
		s->began_ns = cur->ts_ns;
		s->scanned = 0;
		size_t n = http1_head_len(
			cur->p, cur->len < LIMIT_HTTP_HEAD ? cur->len : LIMIT_HTTP_HEAD, 0);
		if (n) {
			struct span head = { cur->p, n };
			advance(cur, n);
			take_head(h, s, head, true);
			return;
		}
	}
	size_t old = s->line.len;
	size_t room = s->line.max - old;
	size_t n = cur->len < room ? cur->len : room;

	buf_add(&s->line, cur->p, n);
	size_t end = http1_head_len(s->line.p, s->line.len, s->scanned);
	s->scanned = s->line.len;
	if (!end) {
		advance(cur, n);
		if (s->line.len == s->line.max)
			conn_opaque(h->c, "head too long", s->last_ns);
		return;
	}
	advance(cur, end - old);
	struct buf head = s->line;
	s->line = (struct buf){ .max = LIMIT_HTTP_HEAD };
	take_head(h, s, span_at(head.p, end), true);
	buf_fini(&head);
}

static void step_length(struct http1 *h, struct side *s, struct cursor *cur)
{
	size_t n = cur->len < s->left ? cur->len : (size_t)s->left;

	body_feed(s->body, cur->p, n, cur->ts_ns);
	s->left -= n;
	advance(cur, n);
	if (!s->left)
		end_message(h, s, NULL);
}

static void step_close(struct http1 *h, struct side *s, struct cursor *cur)
{
	(void)h;
	body_feed(s->body, cur->p, cur->len, cur->ts_ns);
	advance(cur, cur->len);
}

/* A line without its end; clear s->line after use. false: it has not ended yet (or is too long: opaque). */
static bool take_line(struct http1 *h, struct side *s, struct cursor *cur, struct span *line)
{
	const char *lf = memchr(cur->p, '\n', cur->len);
	size_t n = lf ? (size_t)(lf - cur->p) : cur->len;

	if (s->line.len + n > CHUNK_LINE_MAX) {
		conn_opaque(h->c, "chunk line too long", s->last_ns);
		return false;
	}
	if (!lf || s->line.len)
		buf_add(&s->line, cur->p, n);
	*line = s->line.len ? buf_span(&s->line) : span_at(cur->p, n);
	advance(cur, lf ? n + 1 : n);
	if (line->len && line->p[line->len - 1] == '\r')
		line->len--;
	return lf;
}

static void step_chunk_size(struct http1 *h, struct side *s, struct cursor *cur)
{
	struct span line;

	if (!take_line(h, s, cur, &line))
		return;
	bool ok = http1_chunk_size(line, &s->left);
	buf_clear(&s->line);
	if (!ok)
		conn_opaque(h->c, "malformed chunk", s->last_ns);
	else
		s->at = s->left ? AT_CHUNK_DATA : AT_TRAILER;
}

static void step_chunk_data(struct http1 *h, struct side *s, struct cursor *cur)
{
	size_t n = cur->len < s->left ? cur->len : (size_t)s->left;

	(void)h;
	body_feed(s->body, cur->p, n, cur->ts_ns);
	s->left -= n;
	advance(cur, n);
	if (!s->left)
		s->at = AT_CHUNK_END;
}

static void step_chunk_end(struct http1 *h, struct side *s, struct cursor *cur)
{
	char c = *cur->p;

	advance(cur, 1);
	if (c == '\n')
		s->at = AT_CHUNK_SIZE;
	else if (c != '\r')
		conn_opaque(h->c, "malformed chunk", s->last_ns);
}

static void end_trailer(struct http1 *h, struct side *s)
{
	struct http_message *m = s->body->msg;
	struct arena *a = &s->x->ex.arena;

	http1_fields(a, arena_copy(a, buf_span(&s->trailer)), &m->trailers, &m->n_trailers);
	buf_clear(&s->trailer);
	end_message(h, s, NULL);
}

static void step_trailer(struct http1 *h, struct side *s, struct cursor *cur)
{
	struct span line;

	if (!take_line(h, s, cur, &line))
		return;
	if (!line.len)
		end_trailer(h, s);
	else if (buf_add_span(&s->trailer, line) || buf_add_char(&s->trailer, '\n'))
		conn_opaque(h->c, "trailers too long", s->last_ns);
	buf_clear(&s->line);
}

static void step_wait(struct http1 *h, struct side *s, struct cursor *cur)
{
	if (buf_add(&s->line, cur->p, cur->len))
		conn_opaque(h->c, "too much was sent before the upgrade was answered", s->last_ns);
	advance(cur, cur->len);
}

static void run_held(struct http1 *h, struct side *s, size_t at, uint64_t ts_ns)
{
	struct buf held = s->line;

	s->line = (struct buf){ .max = LIMIT_HTTP_HEAD };
	s->scanned = 0;
	s->chunk_scanned = 0;
	side_run(h, s, (struct cursor){ held.p + at, held.len - at, ts_ns });
	buf_fini(&held);
}

/* The body goes on behind the hole; without a head it is the rest of an answer that nobody saw begin. */
static void resume_chunks(struct http1 *h, struct side *s)
{
	s->at = AT_CHUNK_SIZE;
	s->lost = false;
	if (s->x)
		return;
	s->headed = true;
	s->role = WANT_RESPONSE;
	other(h, s)->role = WANT_REQUEST;
	s->x = open_exchange(h, s->dir == DIR_IN);
	s->x->request_done = true;
	s->x->response_begun = true;
	s->x->ex.cut = "joined in the middle";
	s->x->ex.version = "1.1";
	s->body = &s->x->response;
	s->body->msg->began_ns = s->last_ns;
	body_begin_headless(s->body);
	body_gap(s->body, 0);
}

static void step_lost(struct http1 *h, struct side *s, struct cursor *cur)
{
	/* Inside a chunked body that lost its framing, or of an answer that was under way when we joined. */
	bool chunks =
		s->x || (!s->headed && conn_info(h->c)->joined_late && s->role & WANT_RESPONSE);
	/* With two things to look for, what comes first must not depend on how the input was cut. */
	size_t most = chunks ? 1 : FIND_SLICE;
	size_t n = cur->len < most ? cur->len : most;
	size_t at;

	buf_add(&s->line, cur->p, n);
	advance(cur, n);
	if (http1_find_start(buf_span(&s->line), s->role, &s->scanned, &at) == VERDICT_YES) {
		end_lost(h, s);
		s->at = AT_START;
		run_held(h, s, at, cur->ts_ns);
	} else if (chunks && http1_find_chunk(buf_span(&s->line), !s->x, &s->chunk_scanned, &at) ==
				     VERDICT_YES) {
		resume_chunks(h, s);
		run_held(h, s, at, cur->ts_ns);
	} else if (s->line.len > FIND_HELD) {
		size_t from = s->scanned > HTTP1_LINE_MAX ? s->scanned - HTTP1_LINE_MAX : 0;
		if (chunks && s->chunk_scanned < from)
			from = s->chunk_scanned;
		buf_shift(&s->line, from);
		s->scanned -= from;
		s->chunk_scanned -= chunks ? from : s->chunk_scanned;
	}
}

static void step_end(struct http1 *h, struct side *s, struct cursor *cur)
{
	(void)h, (void)s;
	advance(cur, cur->len);
}

static void (*const steps[])(struct http1 *h, struct side *s, struct cursor *cur) = {
	[AT_START] = step_start,
	[AT_LENGTH] = step_length,
	[AT_CLOSE] = step_close,
	[AT_CHUNK_SIZE] = step_chunk_size,
	[AT_CHUNK_DATA] = step_chunk_data,
	[AT_CHUNK_END] = step_chunk_end,
	[AT_TRAILER] = step_trailer,
	[AT_WAIT] = step_wait,
	[AT_LOST] = step_lost,
	[AT_END] = step_end,
};

static void side_run(struct http1 *h, struct side *s, struct cursor cur)
{
	struct proto_conn *c = h->c;

	while (cur.len && !conn_left(c, h)) {
		s->last_ns = cur.ts_ns;
		steps[s->at](h, s, &cur);
	}
	if (cur.len)
		proto_feed(c, s->dir, cur.p, cur.len, cur.ts_ns); /* to whoever took over */
}

static void http1_feed(void *state, enum dir dir, const char *p, size_t len, uint64_t ts_ns)
{
	struct http1 *h = state;

	side_run(h, &h->side[dir], (struct cursor){ p, len, ts_ns });
}

/* A head that breaks off: what its whole lines say is kept, so that pairing stays right. */
static void take_partial_head(struct http1 *h, struct side *s)
{
	struct buf head = s->line;
	struct start_line start;
	struct span rest = buf_span(&head), line;

	s->line = (struct buf){ .max = LIMIT_HTTP_HEAD };
	if (http1_line(&rest, &line) && http1_start_line(line, &start))
		take_head(h, s, buf_span(&head), false);
	buf_fini(&head);
}

static void lose(struct http1 *h, struct side *s, uint64_t missing)
{
	bool chunked = s->at == AT_CHUNK_SIZE || s->at == AT_CHUNK_DATA || s->at == AT_CHUNK_END ||
		       s->at == AT_LOST;

	if (s->at == AT_START && s->line.len)
		take_partial_head(h, s);
	if (conn_left(h->c, h))
		return;
	if (s->x) {
		body_gap(s->body, missing);
		if (!chunked)
			end_message(h, s, "gap");
		else if (!s->x->ex.cut)
			s->x->ex.cut = "gap";
	}
	buf_clear(&s->line);
	buf_clear(&s->trailer);
	s->scanned = 0;
	s->chunk_scanned = 0;
	s->at = AT_LOST;
	s->lost = true;
}

static void http1_gap(void *state, enum dir dir, uint64_t missing, uint64_t ts_ns)
{
	struct http1 *h = state;
	struct side *s = &h->side[dir];
	bool counted = s->at == AT_LENGTH || s->at == AT_CHUNK_DATA;

	(void)ts_ns;
	if (s->at == AT_CLOSE) {
		body_gap(s->body, missing);
		return;
	}
	if (counted && (missing <= s->left || s->at == AT_LENGTH)) {
		uint64_t n = missing < s->left ? missing : s->left;
		body_gap(s->body, n);
		s->left -= n;
		missing -= n;
		if (!s->left && s->at == AT_LENGTH)
			end_message(h, s, NULL);
		else if (!s->left)
			s->at = AT_CHUNK_END;
	}
	if (missing && s->at != AT_END)
		lose(h, s, missing);
}

static void end_side(struct http1 *h, struct side *s, const char *why)
{
	if (s->at == AT_START && s->line.len)
		take_partial_head(h, s);
	if (conn_left(h->c, h))
		return;
	if (s->x)
		end_message(h, s, s->at == AT_CLOSE ? NULL : why);
	buf_clear(&s->line);
	s->at = AT_END;
}

static void http1_eof(void *state, enum dir dir, uint64_t ts_ns)
{
	struct http1 *h = state;
	struct side *s = &h->side[dir];

	(void)ts_ns;
	end_side(h, s, "connection closed");
	if (!conn_left(h->c, h) && s->role == WANT_RESPONSE)
		cut_waiting(h, "connection closed");
}

static void http1_finish(void *state, uint64_t ts_ns, const char *why)
{
	struct http1 *h = state;

	(void)ts_ns;
	for (int dir = 0; dir < 2; dir++) {
		struct side *s = &h->side[dir];
		if (s->x) {
			if (s->at == AT_CLOSE)
				s->at = AT_END; /* no end was seen */
			end_message(h, s, why);
		}
		s->at = AT_END;
	}
	while (h->first)
		hand_out(h, h->first, why);
}

static size_t http1_held(const void *state)
{
	const struct http1 *h = state;
	size_t held = h->side[0].line.cap + h->side[1].line.cap;

	for (const struct xfer *x = h->first; x; x = x->next)
		held += xfer_held(x);
	return held;
}

static void http1_free(void *state)
{
	struct http1 *h = state;
	struct xfer *next;

	for (struct xfer *x = h->first; x; x = next) {
		next = x->next;
		xfer_free(x);
	}
	for (int dir = 0; dir < 2; dir++) {
		buf_fini(&h->side[dir].line);
		buf_fini(&h->side[dir].trailer);
	}
	free(h);
}

const struct protocol protocol_http1 = {
	.name = "http/1.1",
	.probe = http1_probe,
	.open = http1_open,
	.feed = http1_feed,
	.gap = http1_gap,
	.eof = http1_eof,
	.finish = http1_finish,
	.held = http1_held,
	.free = http1_free,
};
