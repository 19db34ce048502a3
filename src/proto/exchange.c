#include "proto/parts.h"

#include "base/mem.h"

#include <stdlib.h>

struct span http_field(const struct http_message *m, const char *name)
{
	struct span want = span_of(name);

	for (size_t i = 0; i < m->n_fields; i++)
		if (span_ieq(m->fields[i].name, want))
			return m->fields[i].value;
	return SPAN_NONE;
}

struct span exchange_path(const struct exchange *ex)
{
	struct span t = ex->target;
	struct span scheme = span_find(t, SPAN("://"));
	const char *end;

	if (!t.len)
		return t;
	if (t.p[0] != '/' && scheme.p) { /* absolute-form, RFC 9112 3.2.2 */
		struct span rest = { scheme.p + 3, scheme.len - 3 };
		const char *slash = rest.len ? memchr(rest.p, '/', rest.len) : NULL;
		if (!slash)
			return SPAN("/");
		t = span_at(slash, rest.len - (size_t)(slash - rest.p));
	}
	for (end = t.p; end < t.p + t.len && *end != '?' && *end != '#'; end++)
		;
	return span_at(t.p, (size_t)(end - t.p));
}

struct xfer *xfer_new(struct proto_conn *c, uint64_t stream_id)
{
	struct xfer *x = mem_alloc(sizeof(*x));

	x->conn = c;
	arena_init(&x->ex.arena);
	x->ex.conn = conn_info(c);
	x->ex.stream_id = stream_id;
	x->ex.method = SPAN("");
	x->ex.version = "";
	x->request = (struct body){ .msg = &x->ex.request, .x = x };
	x->response = (struct body){ .msg = &x->ex.response, .x = x };
	return x;
}

static void body_fini(struct body *b)
{
	coding_close(b->codings);
	framer_close(b->framer);
	buf_fini(&b->wire);
	buf_fini(&b->content);
}

void xfer_free(struct xfer *x)
{
	if (!x)
		return;
	body_fini(&x->request);
	body_fini(&x->response);
	arena_fini(&x->ex.arena);
	free(x);
}

size_t xfer_held(const struct xfer *x)
{
	return sizeof(*x) + x->ex.arena.used + x->request.wire.cap + x->request.content.cap +
	       x->response.wire.cap + x->response.content.cap + framer_held(x->response.framer);
}

void xfer_emit(struct xfer *x, const char *why)
{
	struct exchange *ex = &x->ex;

	/* Idempotent for messages that ended: only what is still open is closed here. */
	body_end(&x->request, false);
	body_end(&x->response, false);
	if (ex->request.complete && ex->response.complete)
		ex->cut = NULL;
	else if (!ex->cut)
		ex->cut = x->request.holed || x->response.holed ? "gap" : why;
	conn_exchange(x->conn, ex);
}

struct frame *xfer_frame(struct xfer *x)
{
	if (x->ex.n_frames >= LIMIT_FRAMES)
		return NULL;
	return arena_push(&x->ex.arena, &x->ex.frames, &x->ex.n_frames, sizeof(*x->ex.frames));
}

enum dir xfer_response_dir(const struct xfer *x)
{
	return x->ex.client ? DIR_IN : DIR_OUT;
}
