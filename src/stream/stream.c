#include "stream/stream.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Bytes that wait for the other half of their connection. */
struct waiting {
	struct waiting *next;
	int dir;
	uint64_t missing; /* a gap of this size, when bytes is empty */
	uint64_t began_ns, ts_ns;
	size_t len;
	char bytes[];
};

struct conn {
	struct conn_facts facts;
	void *user;
	uint64_t next_pos[2];
	bool seen[2];          /* a record of this direction came */
	bool told;             /* on_open was called */
	bool ended[2];         /* released alone, by direction */
	bool half;             /* one direction only: waits for its partner */
	struct waiting *first, *last;
	size_t n_waiting;
};

struct streams {
	const struct stream_events *events;
	void *ctx;
	struct map by_stream; /* stream id -> conn */
	size_t n;
	uint64_t refused;
};

struct streams *streams_new(const struct stream_events *events, void *ctx)
{
	struct streams *s = mem_alloc(sizeof(*s));

	s->events = events;
	s->ctx = ctx;
	return s;
}

static void drop_waiting(struct conn *c)
{
	while (c->first) {
		struct waiting *next = c->first->next;
		free(c->first);
		c->first = next;
	}
	c->last = NULL;
	c->n_waiting = 0;
}

static void tell_open(struct streams *s, struct conn *c)
{
	if (c->told)
		return;
	c->told = true;
	s->events->on_open(s->ctx, c);
}

/* What waited goes on, in order. */
static void release(struct streams *s, struct conn *c)
{
	c->half = false;
	tell_open(s, c);
	for (struct waiting *w = c->first; w; w = w->next) {
		if (w->missing)
			s->events->on_gap(s->ctx, c, w->dir, w->missing, w->ts_ns);
		else
			s->events->on_chunk(s->ctx, c, w->dir, span_at(w->bytes, w->len), w->began_ns, w->ts_ns);
	}
	drop_waiting(c);
}

static void wait_for_partner(struct streams *s, struct conn *c, int dir, struct span bytes, uint64_t missing,
			     uint64_t began_ns, uint64_t ts_ns)
{
	struct waiting *w = mem_alloc(sizeof(*w) + bytes.len);

	w->dir = dir;
	w->missing = missing;
	w->began_ns = began_ns;
	w->ts_ns = ts_ns;
	w->len = bytes.len;
	if (bytes.len)
		memcpy(w->bytes, bytes.p, bytes.len);
	if (c->last)
		c->last->next = w;
	else
		c->first = w;
	c->last = w;
	c->n_waiting += bytes.len + sizeof(*w);
	if (c->n_waiting > LIMIT_REORDER)
		release(s, c);
}

static void give_chunk(struct streams *s, struct conn *c, int dir, struct span bytes, uint64_t began_ns, uint64_t ts_ns)
{
	if (c->half)
		wait_for_partner(s, c, dir, bytes, 0, began_ns, ts_ns);
	else
		s->events->on_chunk(s->ctx, c, dir, bytes, began_ns, ts_ns);
}

static void give_gap(struct streams *s, struct conn *c, int dir, uint64_t missing, uint64_t ts_ns)
{
	if (c->half)
		wait_for_partner(s, c, dir, SPAN_NONE, missing, ts_ns, ts_ns);
	else
		s->events->on_gap(s->ctx, c, dir, missing, ts_ns);
}

static struct conn *new_conn(struct streams *s, const struct cf_event *e, uint64_t in, uint64_t out)
{
	if (s->n >= LIMIT_CONNS) {
		s->refused++;
		return NULL;
	}
	struct conn *c = mem_alloc(sizeof(*c));
	c->facts.id = in && (in < out || !out) ? in : out;
	c->facts.in = in;
	c->facts.out = out;
	c->facts.pid = e->pid;
	c->facts.start_ns = e->start_ns;
	c->half = !in || !out;
	if (in)
		map_set(&s->by_stream, in, c);
	if (out)
		map_set(&s->by_stream, out, c);
	s->n++;
	return c;
}

static struct conn *find(const struct streams *s, uint64_t in, uint64_t out)
{
	struct conn *c = in ? map_get(&s->by_stream, in) : NULL;

	return c || !out ? c : map_get(&s->by_stream, out);
}

static void close_conn(struct streams *s, struct conn *c, const char *why, uint64_t ts_ns)
{
	if (c->half)
		release(s, c);
	tell_open(s, c);
	s->events->on_close(s->ctx, c, why, ts_ns);
	if (c->facts.in)
		map_del(&s->by_stream, c->facts.in);
	if (c->facts.out)
		map_del(&s->by_stream, c->facts.out);
	s->n--;
	free(c);
}

static void format_address(char *out, size_t room, uint16_t family, const uint8_t *addr, uint16_t port)
{
	char text[INET6_ADDRSTRLEN] = "";

	out[0] = 0;
	if (family == AF_INET && inet_ntop(AF_INET, addr, text, sizeof(text)))
		snprintf(out, room, "%s:%u", text, port);
	if (family == AF_INET6) {
		static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
		if (memcmp(addr, mapped, sizeof(mapped)) == 0 && inet_ntop(AF_INET, addr + 12, text, sizeof(text)))
			snprintf(out, room, "%s:%u", text, port);
		else if (inet_ntop(AF_INET6, addr, text, sizeof(text)))
			snprintf(out, room, "[%s]:%u", text, port);
	}
}

static void on_open(struct streams *s, const struct cf_open *e)
{
	struct conn *c = find(s, e->in, e->out);

	if (!c)
		c = new_conn(s, &e->h, e->in, e->out);
	if (!c)
		return;
	c->facts.layer = e->layer;
	c->facts.library = e->library;
	c->facts.mode = e->mode;
	c->facts.tls = e->tls;
	c->facts.late = c->facts.late || e->h.flags & CF_FL_LATE;
	struct conn *other = e->h.size >= sizeof(*e) ? map_get(&s->by_stream, e->other_end) : NULL;
	if (other && e->other_end)
		c->facts.internal = other->facts.internal = true;
	c->facts.family = e->family;
	c->facts.protocol = e->protocol;
	format_address(c->facts.peer, sizeof(c->facts.peer), e->family, e->peer_addr, e->peer_port);
	format_address(c->facts.local, sizeof(c->facts.local), e->family, e->local_addr, e->local_port);
	if (!c->half)
		tell_open(s, c);
}

/* The record of a stream whose open was lost: ids come in pairs, even for reading. */
static struct conn *conn_of(struct streams *s, const struct cf_event *e, uint64_t stream)
{
	struct conn *c = map_get(&s->by_stream, stream);

	if (c || !stream)
		return c;
	c = new_conn(s, e, stream & ~1ull, stream | 1);
	if (c)
		tell_open(s, c);
	return c;
}

/* Bytes up to `pos` that never came. */
static void catch_up(struct streams *s, struct conn *c, int dir, uint64_t pos, uint64_t ts_ns)
{
	if (pos <= c->next_pos[dir])
		return;
	uint64_t missing = pos - c->next_pos[dir];
	c->next_pos[dir] = pos;
	if (pos > c->facts.moved[dir])
		c->facts.moved[dir] = pos;
	if (c->facts.mode == CF_MODE_COUNT) {
		c->facts.uncopied[dir] += missing;
		return;
	}
	c->facts.missing[dir] += missing;
	give_gap(s, c, dir, missing, ts_ns);
}

static void on_data(struct streams *s, const struct cf_data *e)
{
	if (e->captured > e->h.size - sizeof(*e) || e->captured > e->len)
		return;
	struct conn *c = conn_of(s, &e->h, e->stream);
	if (!c)
		return;
	int dir = e->stream == c->facts.out;
	struct span bytes = span_at((const char *)(e + 1), e->captured);
	catch_up(s, c, dir, e->pos, e->h.ts_ns);
	c->seen[dir] = true;
	if (e->pos < c->next_pos[dir])
		return; /* already passed as a gap: a record that came late adds nothing certain */
	c->next_pos[dir] = e->pos + e->captured;
	if (c->next_pos[dir] > c->facts.moved[dir])
		c->facts.moved[dir] = c->next_pos[dir];
	if (bytes.len)
		give_chunk(s, c, dir, bytes, e->began_ns, e->h.ts_ns);
	catch_up(s, c, dir, e->pos + e->len, e->h.ts_ns);
}

static const char *close_why(uint32_t why)
{
	static const char *const texts[] = {
		[CF_CLOSE_FREED] = "connection closed",
		[CF_CLOSE_EOF] = "connection closed",
		[CF_CLOSE_REUSED] = "connection closed",
		[CF_CLOSE_EXIT] = "process exited",
		[CF_CLOSE_DRAIN] = "observer stopped",
	};

	return why < sizeof(texts) / sizeof(texts[0]) && texts[why] ? texts[why] : "connection closed";
}

/* One of two objects that were joined is released: the connection ends with the other one. */
static void close_half(struct streams *s, struct conn *c, const struct cf_close *e)
{
	int dir = e->out != 0;

	c->ended[dir] = true;
	if (c->ended[!dir]) {
		close_conn(s, c, close_why(e->why), e->h.ts_ns);
		return;
	}
	s->events->on_eof(s->ctx, c, dir, e->h.ts_ns);
}

static void on_close(struct streams *s, const struct cf_close *e)
{
	struct conn *c = find(s, e->in, e->out);

	if (!c)
		c = conn_of(s, &e->h, e->in ? e->in : e->out);
	if (!c)
		return;
	if (e->in && e->in == c->facts.in)
		catch_up(s, c, 0, e->in_pos, e->h.ts_ns);
	if (e->out && e->out == c->facts.out)
		catch_up(s, c, 1, e->out_pos, e->h.ts_ns);
	if (e->why == CF_CLOSE_EOF) {
		if (!c->half)
			s->events->on_eof(s->ctx, c, e->out != 0, e->h.ts_ns);
		return;
	}
	if (c->facts.in && c->facts.out && !(e->in && e->out)) {
		close_half(s, c, e);
		return;
	}
	close_conn(s, c, close_why(e->why), e->h.ts_ns);
}

/* b becomes the other half of a. Bytes of both go on in the order of their times. */
static void pair(struct streams *s, struct conn *a, struct conn *b)
{
	if (a == b || !a->half || !b->half)
		return;
	int dir = b->facts.out ? 1 : 0;
	if ((dir ? a->facts.out : a->facts.in) != 0)
		return;
	if (dir)
		a->facts.out = b->facts.out;
	else
		a->facts.in = b->facts.in;
	a->next_pos[dir] = b->next_pos[dir];
	a->facts.moved[dir] = b->facts.moved[dir];
	a->facts.missing[dir] = b->facts.missing[dir];
	map_set(&s->by_stream, dir ? b->facts.out : b->facts.in, a);
	struct waiting *x = a->first, *y = b->first, **to = &a->first;
	while (x || y) {
		struct waiting **from = !y || (x && x->ts_ns <= y->ts_ns) ? &x : &y;
		*to = *from;
		*from = (*from)->next;
		to = &(*to)->next;
	}
	b->first = NULL;
	s->n--;
	free(b);
	release(s, a);
}

static void on_bind(struct streams *s, const struct cf_bind *e)
{
	struct conn *a = map_get(&s->by_stream, e->a), *b = map_get(&s->by_stream, e->b);

	if (!a || !b)
		return;
	if (e->bind == CF_BIND_PAIR) {
		pair(s, a, b);
		return;
	}
	if (a->facts.bound_surely && e->bind != CF_BIND_NESTED)
		return;
	a->facts.bound = b->facts.bound = true;
	a->facts.late = a->facts.late || (b->facts.late && !a->seen[0] && !a->seen[1]);
	a->facts.bound_surely = e->bind == CF_BIND_NESTED;
	memcpy(a->facts.peer, b->facts.peer, sizeof(a->facts.peer));
	memcpy(a->facts.local, b->facts.local, sizeof(a->facts.local));
	a->facts.family = b->facts.family;
}

void streams_event(struct streams *s, const struct cf_event *e)
{
	static const struct {
		size_t size;
		int kind;
	} known[] = { { offsetof(struct cf_open, other_end), CF_EV_OPEN }, { sizeof(struct cf_data), CF_EV_DATA },
		      { sizeof(struct cf_close), CF_EV_CLOSE }, { sizeof(struct cf_bind), CF_EV_BIND } };
	size_t i = 0;

	while (i < 4 && known[i].kind != e->kind)
		i++;
	if (i == 4 || e->size < known[i].size)
		return;
	if (e->kind == CF_EV_OPEN)
		on_open(s, (const void *)e);
	else if (e->kind == CF_EV_DATA)
		on_data(s, (const void *)e);
	else if (e->kind == CF_EV_CLOSE)
		on_close(s, (const void *)e);
	else
		on_bind(s, (const void *)e);
}

static int by_id(const void *a, const void *b)
{
	const struct conn *x = *(struct conn *const *)a, *y = *(struct conn *const *)b;

	return x->facts.id < y->facts.id ? -1 : x->facts.id > y->facts.id;
}

void streams_finish(struct streams *s, uint64_t ts_ns, const char *why)
{
	struct conn **all = mem_alloc((s->by_stream.n + 1) * sizeof(struct conn *));
	size_t n = 0;
	uint64_t key;
	void *value;

	for (size_t i = 0; map_next(&s->by_stream, &i, &key, &value);)
		if (((struct conn *)value)->facts.id == key)
			all[n++] = value;
	/* The order of a hash table is nobody's business: ended in the order they began. */
	qsort(all, n, sizeof(struct conn *), by_id);
	for (size_t i = 0; i < n; i++)
		close_conn(s, all[i], why, ts_ns);
	free(all);
}

void streams_free(struct streams *s)
{
	void *value;

	if (!s)
		return;
	for (size_t i = 0; map_next(&s->by_stream, &i, NULL, &value);) {
		struct conn *c = value;
		map_del(&s->by_stream, c->facts.in);
		map_del(&s->by_stream, c->facts.out);
		drop_waiting(c);
		free(c);
		i = 0;
	}
	map_fini(&s->by_stream);
	free(s);
}

uint64_t streams_refused(const struct streams *s)
{
	return s->refused;
}

const struct conn_facts *conn_facts(const struct conn *c)
{
	return &c->facts;
}

void conn_set_user(struct conn *c, void *user)
{
	c->user = user;
}

void *conn_user(const struct conn *c)
{
	return c->user;
}
