/* Streams: header blocks and data of interleaved exchanges. */
#include "proto/h2.h"

#include <stdlib.h>

void h2_streams_init(struct h2_streams *s, struct proto_conn *c, bool late)
{
	*s = (struct h2_streams){ .c = c, .requests = DIR_OUT };
	map_init(&s->by_id);
	s->end = &s->first;
	for (int dir = 0; dir < 2; dir++) {
		s->hpack[dir] = hpack_new(late);
		s->unsure[dir] = late;
	}
}

void h2_streams_fini(struct h2_streams *s)
{
	struct xfer *next;

	for (struct xfer *x = s->first; x; x = next) {
		next = x->next;
		xfer_free(x);
	}
	map_fini(&s->by_id);
	hpack_free(s->hpack[DIR_IN]);
	hpack_free(s->hpack[DIR_OUT]);
}

static struct xfer *find(const struct h2_streams *s, uint32_t id)
{
	return map_get(&s->by_id, id);
}

/* NULL: a stream that is over, was pushed, or cannot have been opened. */
static struct xfer *find_or_open(struct h2_streams *s, uint32_t id, bool head, const char *cut)
{
	struct xfer *x = find(s, id);

	if (x || id % 2 == 0)
		return x;
	for (unsigned i = 0; i < H2_CLOSED_REMEMBERED && i < s->n_closed; i++)
		if (s->closed[i] == id)
			return NULL;
	bool unsure = s->unsure[DIR_IN] || s->unsure[DIR_OUT];
	if (!unsure && (id <= s->highest || !head))
		return NULL;
	if (s->by_id.n >= LIMIT_PIPELINE) {
		conn_opaque(s->c, "too many requests wait for an answer", 0);
		return NULL;
	}
	if (id > s->highest)
		s->highest = id;
	x = xfer_new(s->c, id);
	x->ex.version = "2";
	x->ex.client = s->requests == DIR_OUT;
	x->ex.cut = cut;
	map_set(&s->by_id, id, x);
	*s->end = x;
	s->end = &x->next;
	return x;
}

static void hand_out(struct h2_streams *s, struct xfer *x, const char *why)
{
	struct xfer **at = &s->first;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	if (s->end == &x->next)
		s->end = at;
	map_del(&s->by_id, x->ex.stream_id);
	s->closed[s->n_closed++ % H2_CLOSED_REMEMBERED] = (uint32_t)x->ex.stream_id;
	xfer_emit(x, why);
	xfer_free(x);
}

/* The role was guessed for streams without heads: what they hold changes sides. */
static void swap_sides(struct xfer *x)
{
	struct http_message message = x->ex.request;
	struct body body = x->request;
	bool done = x->request_done;

	x->ex.request = x->ex.response;
	x->ex.response = message;
	x->request = x->response;
	x->response = body;
	x->request.msg = &x->ex.request;
	x->response.msg = &x->ex.response;
	x->request_done = x->response_done;
	x->response_done = done;
	x->ex.client = !x->ex.client;
	x->request.headless = false;
}

void h2_set_role(struct h2_streams *s, enum dir requests)
{
	if (!s->role_known && s->requests != requests)
		for (struct xfer *x = s->first; x; x = x->next)
			if (!x->response
				     .framer) /* which knows its body by address; only servers send events anyway */
				swap_sides(x);
	if (!s->role_known)
		s->requests = requests;
	s->role_known = true;
}

struct head {
	struct arena *arena;
	struct field *fields;
	size_t n_fields;
	struct span method;
	struct span path;
	struct span authority;
	struct span protocol; /* RFC 8441 */
	struct span scheme;
	struct span status;
	bool too_many;
};

static void take_field(void *ctx, struct span name, struct span value, bool unresolved)
{
	static const struct {
		const char *name;
		size_t offset;
	} pseudo[] = {
		{ ":method", offsetof(struct head, method) },
		{ ":path", offsetof(struct head, path) },
		{ ":authority", offsetof(struct head, authority) },
		{ ":protocol", offsetof(struct head, protocol) },
		{ ":scheme", offsetof(struct head, scheme) },
		{ ":status", offsetof(struct head, status) },
	};
	struct head *h = ctx;

	for (size_t i = 0; i < sizeof(pseudo) / sizeof(*pseudo); i++) {
		if (!span_is(name, pseudo[i].name))
			continue;
		*(struct span *)((char *)h + pseudo[i].offset) = arena_copy(h->arena, value);
		return;
	}
	if (h->n_fields >= LIMIT_HTTP_FIELDS) {
		h->too_many = true;
		return;
	}
	struct field *f = arena_push(h->arena, &h->fields, &h->n_fields, sizeof(*f));
	f->name = arena_copy(h->arena, name);
	f->value = arena_copy(h->arena, value);
	f->unresolved = unresolved;
}

static struct body *body_of(const struct h2_streams *s, struct xfer *x, enum dir dir)
{
	return dir == s->requests ? &x->request : &x->response;
}

static void begin_request(struct xfer *x, const struct head *h)
{
	struct exchange *ex = &x->ex;

	ex->request.fields = h->fields;
	ex->request.n_fields = h->n_fields;
	if (h->method.p)
		ex->method = h->method;
	ex->target = h->path;
	ex->authority = h->authority.p ? h->authority : http_field(&ex->request, "host");
	x->request_begun = true;
	body_begin(&x->request, SPAN_NONE);
}

static void begin_response(struct xfer *x, const struct head *h)
{
	uint64_t status = 0;

	span_u64(h->status, &status);
	x->ex.response.fields = h->fields;
	x->ex.response.n_fields = h->n_fields;
	x->ex.status = (int)status;
	x->response_begun = true;
	body_begin(&x->response, SPAN_NONE);
}

/* false: an interim answer, which leaves no trace. */
static bool take_head(struct h2_streams *s, struct xfer *x, enum dir dir, const struct head *h,
		      bool end)
{
	struct body *b = body_of(s, x, dir);
	bool request = dir == s->requests;
	bool begun = request ? x->request_begun : x->response_begun;
	/* Of a stream joined in the middle a last block without :status can only be trailers. */
	bool trailers = begun || (b->begun && !h->status.p) ||
			(!request && end && !h->status.p && x->ex.cut);

	if (!request && h->status.len == 3 && h->status.p[0] == '1')
		return false;
	if (trailers) {
		b->msg->trailers = h->fields;
		b->msg->n_trailers = h->n_fields;
	} else if (request) {
		begin_request(x, h);
	} else {
		begin_response(x, h);
	}
	return true;
}

void h2_on_block(struct h2_streams *s, enum dir dir, uint32_t id, struct span block, bool end,
		 uint64_t began_ns, uint64_t ts_ns)
{
	struct xfer *x = find(s, id);
	struct arena scratch;
	struct head h = { .arena = x ? &x->ex.arena : &scratch };

	arena_init(&scratch);
	int err = hpack_block(s->hpack[dir], block, take_field, &h);
	if ((err && !s->unsure[dir]) || h.too_many) {
		conn_opaque(s->c, err ? "malformed header block" : "too many header fields", ts_ns);
		arena_fini(&scratch);
		return;
	}
	bool asks = h.method.p || h.path.p || h.scheme.p;
	if (asks != (h.status.p != NULL))
		h2_set_role(s, asks == (dir == DIR_OUT) ? DIR_OUT : DIR_IN);
	bool request = dir == s->requests;
	if (!x) {
		x = find_or_open(s, id, request, request ? NULL : "request not seen");
		if (!x) {
			arena_fini(&scratch);
			return;
		}
		x->ex.arena = scratch; /* still empty there */
	}
	if (!take_head(s, x, dir, &h, end))
		return;
	struct http_message *m = body_of(s, x, dir)->msg;
	if (!m->began_ns)
		m->began_ns = began_ns;
	if (!m->head_ns && (request ? x->request_begun : x->response_begun))
		m->head_ns = ts_ns;
	m->ended_ns = ts_ns;
}

void h2_on_data(struct h2_streams *s, enum dir dir, uint32_t id, const char *p, size_t len,
		uint64_t ts_ns)
{
	struct xfer *x = find_or_open(s, id, false, "joined in the middle");

	if (!x)
		return;
	struct body *b = body_of(s, x, dir);
	if (!b->begun)
		body_begin_headless(b);
	if (!b->msg->began_ns)
		b->msg->began_ns = ts_ns;
	b->msg->ended_ns = ts_ns;
	body_feed(b, p, len, ts_ns);
}

void h2_on_hole(struct h2_streams *s, enum dir dir, uint32_t id, uint64_t missing)
{
	struct xfer *x = find_or_open(s, id, false, "joined in the middle");

	if (x)
		body_gap(body_of(s, x, dir), missing);
}

void h2_on_lost(struct h2_streams *s, enum dir dir, uint64_t until_ns)
{
	s->unsure[dir] = true;
	hpack_lose(s->hpack[dir]);
	for (struct xfer *x = s->first; x; x = x->next) {
		bool request = dir == s->requests;
		if (request ? x->request_done : x->response_done)
			continue;
		if (x->ex.request.began_ns > until_ns) /* what was lost had come before it was asked */
			continue;
		body_gap(body_of(s, x, dir), 0);
		x->request_loose |= request;
	}
}

void h2_on_end(struct h2_streams *s, enum dir dir, uint32_t id, uint64_t ts_ns)
{
	struct xfer *x = find(s, id);

	if (!x)
		return;
	struct body *b = body_of(s, x, dir);
	bool request = dir == s->requests;
	b->msg->ended_ns = ts_ns;
	body_end(b, request ? x->request_begun : x->response_begun);
	if (request)
		x->request_done = true;
	else
		x->response_done = true;
	/* Of a request that was not seen, nobody can tell whether it goes on. */
	if (x->response_done && (x->request_done || !x->request_begun || x->request_loose))
		hand_out(s, x, "request not seen");
}

/* RFC 9113 7. */
static const char *const resets[] = {
	"reset: NO_ERROR",
	"reset: PROTOCOL_ERROR",
	"reset: INTERNAL_ERROR",
	"reset: FLOW_CONTROL_ERROR",
	"reset: SETTINGS_TIMEOUT",
	"reset: STREAM_CLOSED",
	"reset: FRAME_SIZE_ERROR",
	"reset: REFUSED_STREAM",
	"reset: CANCEL",
	"reset: COMPRESSION_ERROR",
	"reset: CONNECT_ERROR",
	"reset: ENHANCE_YOUR_CALM",
	"reset: INADEQUATE_SECURITY",
	"reset: HTTP_1_1_REQUIRED",
};

void h2_on_reset(struct h2_streams *s, uint32_t id, uint32_t code)
{
	struct xfer *x = find(s, id);
	const char *why = code < sizeof(resets) / sizeof(*resets) ? resets[code] : "reset";

	if (!x)
		return;
	if (!x->ex.cut)
		x->ex.cut = why;
	hand_out(s, x, why);
}

void h2_on_goaway(struct h2_streams *s, enum dir dir, uint32_t last)
{
	struct xfer *next;

	if (dir == s->requests || !s->role_known)
		return;
	for (struct xfer *x = s->first; x; x = next) {
		next = x->next;
		if (x->ex.stream_id > last)
			hand_out(s, x, "refused: GOAWAY");
	}
}

void h2_on_finish(struct h2_streams *s, const char *why)
{
	while (s->first)
		hand_out(s, s->first, why);
}

size_t h2_streams_held(const struct h2_streams *s)
{
	size_t held = 0;

	for (const struct xfer *x = s->first; x; x = x->next)
		held += xfer_held(x);
	return held;
}
