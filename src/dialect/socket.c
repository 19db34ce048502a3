#include "dialect/socket.h"

#include "base/limits.h"
#include "base/mem.h"
#include "dialect/read.h"

#include <stdlib.h>

/* One request under way; lanes with the same name are served in order. */
struct lane {
	struct lane *next;
	struct span name; /* stream_id; "" when there is none */
	struct exchange ex;
};

struct socket_session {
	const struct conn_info *conn;
	struct arena arena; /* the upgrade's head */
	struct exchange upgrade;
	socket_on_call on_call;
	void *ctx;
	struct lane *first; /* oldest */
	size_t n_lanes;
	uint64_t n_calls;
	bool client;
	bool known; /* a path whose messages we read; realtime audio and the like pass by */
};

static void copy_fields(struct arena *a, struct http_message *to, const struct http_message *from)
{
	to->fields = arena_alloc(a, from->n_fields * sizeof(*to->fields) + 1);
	to->n_fields = from->n_fields;
	for (size_t i = 0; i < from->n_fields; i++) {
		to->fields[i].name = arena_copy(a, from->fields[i].name);
		to->fields[i].value = arena_copy(a, from->fields[i].value);
	}
}

struct socket_session *socket_new(const struct conn_info *conn, const struct exchange *upgrade,
				  socket_on_call on_call, void *ctx)
{
	struct socket_session *s = mem_alloc(sizeof(*s));

	s->conn = conn;
	s->on_call = on_call;
	s->ctx = ctx;
	s->client = upgrade->client;
	arena_init(&s->arena);
	s->upgrade.target = arena_copy(&s->arena, upgrade->target);
	s->upgrade.authority = arena_copy(&s->arena, upgrade->authority);
	s->upgrade.status = upgrade->status;
	s->upgrade.version = upgrade->version;
	s->known = span_ends(exchange_path(&s->upgrade), SPAN("/responses"));
	copy_fields(&s->arena, &s->upgrade.request, &upgrade->request);
	copy_fields(&s->arena, &s->upgrade.response, &upgrade->response);
	return s;
}

static void drop(struct socket_session *s, struct lane *l)
{
	struct lane **at = &s->first;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	s->n_lanes--;
	arena_fini(&l->ex.arena);
	free(l);
}

static void give(struct socket_session *s, struct lane *l, uint64_t ts_ns, const char *why)
{
	struct call call;

	l->ex.cut = why;
	l->ex.response.ended_ns =
		l->ex.n_frames && why ? l->ex.frames[l->ex.n_frames - 1].ts_ns : ts_ns;
	l->ex.response.complete = !why;
	if (call_from_exchange(&l->ex, &call))
		s->on_call(s->ctx, &l->ex, &call);
	drop(s, l);
}

static void open_lane(struct socket_session *s, const struct frame *f, struct span name)
{
	struct lane *l = mem_alloc(sizeof(*l)), **at = &s->first;

	arena_init(&l->ex.arena);
	l->name = arena_copy(&l->ex.arena, name.p ? name : SPAN(""));
	l->ex.conn = s->conn;
	l->ex.stream_id = s->n_calls++;
	l->ex.client = s->client;
	l->ex.method = SPAN("POST");
	l->ex.target = s->upgrade.target;
	l->ex.authority = s->upgrade.authority;
	l->ex.version = s->upgrade.version;
	l->ex.status = s->upgrade.status;
	l->ex.request = s->upgrade.request;
	l->ex.response = s->upgrade.response;
	l->ex.request.body = arena_copy(&l->ex.arena, f->data);
	l->ex.request.wire_len = f->data.len;
	l->ex.request.began_ns = l->ex.request.head_ns = l->ex.request.ended_ns = f->ts_ns;
	l->ex.request.complete = true;
	while (*at)
		at = &(*at)->next;
	*at = l;
	s->n_lanes++;
	while (s->n_lanes > LIMIT_SOCKET_LANES ||
	       (socket_held(s) > LIMIT_SOCKET_HELD && s->first != l))
		give(s, s->first, f->ts_ns, "too many requests wait");
}

static struct lane *find_lane(struct socket_session *s, struct span name)
{
	for (struct lane *l = s->first; l; l = l->next)
		if (span_eq(l->name, name))
			return l;
	return name.len ? NULL : s->first;
}

static bool is_terminal(struct span type)
{
	static const char *const last[] = { "response.completed", "response.incomplete",
					    "response.failed", "response.cancelled", "error" };

	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++)
		if (json_is(type, last[i]))
			return true;
	return false;
}

void socket_feed(struct socket_session *s, const struct frame *f)
{
	struct span text, type, raw, name;
	struct arena scratch;

	if (!s->known || json_value(f->data, &text, NULL))
		return;
	PICK(text, { "type", &type }, { "stream_id", &raw });
	arena_init(&scratch);
	name = json_text(&scratch, raw);
	if ((f->dir == DIR_OUT) == s->client) {
		if (json_is(type, "response.create"))
			open_lane(s, f, name);
	} else {
		struct lane *l = find_lane(s, name);
		if (l && l->ex.n_frames < LIMIT_FRAMES) {
			struct frame *copy = arena_push(&l->ex.arena, &l->ex.frames,
							&l->ex.n_frames, sizeof(*copy));
			*copy = *f;
			copy->name = copy->id = SPAN_NONE;
			copy->data = arena_copy(&l->ex.arena, f->data);
			if (l->ex.n_frames == 1)
				l->ex.response.began_ns = l->ex.response.head_ns = f->ts_ns;
		}
		if (l && is_terminal(type))
			give(s, l, f->ts_ns, NULL);
		else if (l && l->ex.arena.used > LIMIT_SOCKET_HELD)
			give(s, l, f->ts_ns, "answer too long");
	}
	arena_fini(&scratch);
}

void socket_finish(struct socket_session *s, uint64_t ts_ns, const char *why)
{
	while (s->first)
		give(s, s->first, ts_ns, why);
}

void socket_free(struct socket_session *s)
{
	if (!s)
		return;
	while (s->first)
		drop(s, s->first);
	arena_fini(&s->arena);
	free(s);
}

size_t socket_held(const struct socket_session *s)
{
	size_t held = 0;

	for (const struct lane *l = s->first; l; l = l->next)
		held += l->ex.arena.used;
	return held;
}
