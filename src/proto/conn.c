/*
 * A connection: finds out which protocol it speaks, then passes bytes on.
 *
 * Until the protocol is known, operations of both directions are held with their times and replayed in order to the
 * protocol that recognised them.
 */
#include "proto/parts.h"

#include "base/mem.h"

#include <stdlib.h>

static const struct protocol *const protocols[] = {
	&protocol_http1,
	&protocol_h2,
	&protocol_jsonrpc,
};
#define N_PROTOCOLS (sizeof(protocols) / sizeof(*protocols))

/* Probed at a time: a bound on what one feed adds to the window. */
#define SLICE (16 * KIB)

/* http/1.1 -> another -> none is the longest chain of changes. */
#define MAX_LEFT 4

enum op_kind { OP_DATA, OP_GAP, OP_EOF };
struct op {
	enum op_kind kind;
	enum dir dir;
	uint64_t len; /* data: bytes in pending[dir]; gap: bytes missing */
	uint64_t ts_ns;
};

struct detect {
	struct buf text[2]; /* by dir */
	bool anchored[2];   /* text begins where the connection began */
	size_t from[2][N_PROTOCOLS];
	struct op *ops;
	size_t n_ops;
	size_t room;
	uint64_t seen;
};

struct proto_conn {
	const struct conn_info *info;
	const struct proto_events *events;
	void *ctx;
	const struct protocol *proto; /* NULL: not known (yet) */
	void *state;
	struct {
		const struct protocol *proto;
		void *state;
	} left[MAX_LEFT]; /* replaced during the current call, which may still be inside them */
	unsigned n_left;
	enum proto_state how;
	bool late;
	unsigned depth; /* of calls into protocols */
	struct detect *detect;
};

const struct conn_info *conn_info(const struct proto_conn *c)
{
	return c->info;
}

void conn_exchange(struct proto_conn *c, struct exchange *ex)
{
	c->events->on_exchange(c->ctx, ex);
}

void conn_message(struct proto_conn *c, const struct exchange *upgrade, const struct frame *f)
{
	c->events->on_message(c->ctx, c->info, upgrade, f);
}

void conn_state(struct proto_conn *c, enum proto_state state, const char *protocol,
		const char *reason)
{
	c->how = state;
	c->events->on_state(c->ctx, c->info, state, protocol, reason);
}

bool conn_left(const struct proto_conn *c, const void *state)
{
	return c->state != state;
}

static void leave(struct proto_conn *c)
{
	while (c->n_left) {
		c->n_left--;
		c->left[c->n_left].proto->free(c->left[c->n_left].state);
	}
}

void conn_become(struct proto_conn *c, const struct protocol *p, void *state)
{
	if (c->proto && c->n_left < MAX_LEFT) {
		c->left[c->n_left].proto = c->proto;
		c->left[c->n_left].state = c->state;
		c->n_left++;
	}
	c->proto = p;
	c->state = state;
}

void conn_tunnel(struct proto_conn *c, const char *reason)
{
	const char *name = c->proto ? c->proto->name : NULL;

	conn_become(c, NULL, NULL);
	conn_state(c, PROTO_TUNNEL, name, reason);
}

void conn_opaque(struct proto_conn *c, const char *reason, uint64_t ts_ns)
{
	const char *name = c->proto ? c->proto->name : NULL;

	if (c->proto)
		c->proto->finish(c->state, ts_ns, reason);
	conn_become(c, NULL, NULL);
	conn_state(c, PROTO_OPAQUE, name, reason);
}

static void detect_free(struct detect *d)
{
	if (!d)
		return;
	buf_fini(&d->text[DIR_IN]);
	buf_fini(&d->text[DIR_OUT]);
	free(d->ops);
	free(d);
}

struct proto_conn *proto_conn_new(const struct conn_info *info, const struct proto_events *events,
				  void *ctx)
{
	struct proto_conn *c = mem_alloc(sizeof(*c));

	*c = (struct proto_conn){ .info = info, .events = events, .ctx = ctx, .late = info->joined_late };
	c->detect = mem_alloc(sizeof(*c->detect));
	for (int dir = 0; dir < 2; dir++) {
		buf_init(&c->detect->text[dir], LIMIT_DETECT + SLICE);
		c->detect->anchored[dir] = !info->joined_late;
	}
	return c;
}

bool proto_conn_late(const struct proto_conn *c)
{
	return c->late;
}

static void pass(struct proto_conn *c, const struct op *op, const char *p)
{
	if (!c->proto)
		return;
	c->depth++;
	if (op->kind == OP_DATA)
		c->proto->feed(c->state, op->dir, p, op->len, op->ts_ns);
	else if (op->kind == OP_GAP)
		c->proto->gap(c->state, op->dir, op->len, op->ts_ns);
	else
		c->proto->eof(c->state, op->dir, op->ts_ns);
	if (!--c->depth)
		leave(c);
}

static void note(struct detect *d, const struct op *op)
{
	struct op *last = d->n_ops ? &d->ops[d->n_ops - 1] : NULL;

	if (last && op->kind == OP_DATA && last->kind == OP_DATA && last->dir == op->dir &&
	    last->ts_ns == op->ts_ns) {
		last->len += op->len;
		return;
	}
	d->ops = mem_room(d->ops, &d->room, d->n_ops + 1, sizeof(*d->ops));
	d->ops[d->n_ops++] = *op;
}

/* Forgets the first `n` bytes of a direction. */
static void drop(struct detect *d, enum dir dir, size_t n)
{
	size_t to = 0, left = n;

	buf_shift(&d->text[dir], n);
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		d->from[dir][i] -= d->from[dir][i] < n ? d->from[dir][i] : n;
	for (size_t i = 0; i < d->n_ops; i++) {
		struct op op = d->ops[i];
		if (op.kind == OP_DATA && op.dir == dir && left) {
			size_t cut = op.len < left ? op.len : left;
			op.len -= cut;
			left -= cut;
		}
		if (op.kind != OP_DATA || op.len)
			d->ops[to++] = op;
	}
	d->n_ops = to;
}

static void found(struct proto_conn *c, const struct protocol *p)
{
	struct detect *d = c->detect;
	size_t at[2] = { 0, 0 };

	c->detect = NULL;
	c->proto = p;
	c->state = p->open(c);
	conn_state(c, PROTO_DECODED, p->name, NULL);
	for (size_t i = 0; i < d->n_ops; i++) {
		const struct op *op = &d->ops[i];
		const char *text = NULL;
		if (op->kind == OP_DATA) {
			text = d->text[op->dir].p + at[op->dir];
			at[op->dir] += op->len;
		}
		pass(c, op, text);
	}
	detect_free(d);
}

static const char *opaque_reason(struct span text)
{
	if (text.len && text.p[0] == 0x16) /* a handshake record */
		return "TLS that is not read at its library";
	return "not a protocol that is read";
}

/* Bytes that were enough for a protocol that says yes now. */
static size_t needed(const struct protocol *proto, struct probe p, const struct conn_info *info)
{
	size_t low = 0, high = p.text.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct probe part = p;
		part.text.len = middle;
		if (middle && proto->probe(&part, info) == VERDICT_YES)
			high = middle;
		else
			low = middle + 1;
	}
	return high;
}

/* The protocol that needed the fewest bytes wins, so that longer feeds decide alike. */
static const struct protocol *recognise(struct proto_conn *c, enum dir dir, bool *more)
{
	struct detect *d = c->detect;
	const struct protocol *best = NULL;
	size_t least = SIZE_MAX;

	*more = false;
	for (size_t i = 0; i < N_PROTOCOLS; i++) {
		struct probe p = { buf_span(&d->text[dir]), d->anchored[dir], d->from[dir][i] };
		struct probe before = p;
		enum verdict v = protocols[i]->probe(&p, c->info);
		d->from[dir][i] = p.from;
		*more |= v == VERDICT_MORE;
		size_t n = v == VERDICT_YES ? needed(protocols[i], before, c->info) : SIZE_MAX;
		if (n < least) {
			best = protocols[i];
			least = n;
		}
	}
	return best;
}

static void decide(struct proto_conn *c, enum dir dir)
{
	struct detect *d = c->detect;
	bool more;
	const struct protocol *best = recognise(c, dir, &more);

	if (!best && !more && d->anchored[dir] && c->info->maybe_late) {
		/* Not the beginning of anything that we know: we came when it was under way. */
		c->late = true;
		d->anchored[DIR_IN] = d->anchored[DIR_OUT] = false;
		best = recognise(c, dir, &more);
	}
	if (best) {
		found(c, best);
		return;
	}
	if (!more || d->seen >= LIMIT_DETECT_TOTAL) {
		conn_opaque(c, opaque_reason(buf_span(&d->text[dir])), 0);
		detect_free(d);
		c->detect = NULL;
	} else if (d->text[dir].len > LIMIT_DETECT && d->seen % SLICE == 0) {
		drop(d, dir, d->text[dir].len - LIMIT_DETECT);
		d->anchored[dir] = false;
	}
}

/* Everything of a direction before a gap is useless for recognising it; earlier gaps are summed up. */
static void detect_gap(struct detect *d, struct op op)
{
	size_t to = 0;

	drop(d, op.dir, d->text[op.dir].len);
	d->anchored[op.dir] = false;
	for (size_t i = 0; i < d->n_ops; i++) {
		if (d->ops[i].kind == OP_GAP && d->ops[i].dir == op.dir)
			op.len += d->ops[i].len;
		else
			d->ops[to++] = d->ops[i];
	}
	d->n_ops = to;
	note(d, &op);
}

static void detect_op(struct proto_conn *c, const struct op *op, const char *p)
{
	struct detect *d = c->detect;

	if (op->kind == OP_GAP) {
		detect_gap(d, *op);
		return;
	}
	if (op->kind == OP_EOF) {
		note(d, op);
		return;
	}
	d->seen += op->len;
	buf_add(&d->text[op->dir], p, op->len);
	note(d, op);
	decide(c, op->dir);
}

static void take(struct proto_conn *c, const struct op *op, const char *p)
{
	size_t n;

	for (size_t at = 0; c->detect && at < op->len && op->kind == OP_DATA; at += n) {
		struct op part = *op;
		/* Slices end on a grid, so that limits are met at the same byte however the input was cut. */
		size_t cell = SLICE - c->detect->seen % SLICE;
		n = op->len - at < cell ? op->len - at : cell;
		part.len = n;
		detect_op(c, &part, p + at);
		if (c->detect)
			continue;
		part.len = op->len - at - n;
		pass(c, &part, p + at + n);
		return;
	}
	if (!c->detect)
		pass(c, op, p);
	else if (op->kind != OP_DATA)
		detect_op(c, op, p);
}

void proto_feed(struct proto_conn *c, enum dir dir, const char *p, size_t len, uint64_t ts_ns)
{
	struct op op = { OP_DATA, dir, len, ts_ns };

	if (len)
		take(c, &op, p);
}

void proto_gap(struct proto_conn *c, enum dir dir, uint64_t missing, uint64_t ts_ns)
{
	struct op op = { OP_GAP, dir, missing, ts_ns };

	if (missing)
		take(c, &op, NULL);
}

void proto_eof(struct proto_conn *c, enum dir dir, uint64_t ts_ns)
{
	struct op op = { OP_EOF, dir, 0, ts_ns };

	take(c, &op, NULL);
}

void proto_conn_finish(struct proto_conn *c, uint64_t ts_ns, const char *why)
{
	c->depth++;
	if (c->proto)
		c->proto->finish(c->state, ts_ns, why);
	leave(c);
	if (c->proto)
		c->proto->free(c->state);
	detect_free(c->detect);
	free(c);
}

size_t proto_conn_held(const struct proto_conn *c)
{
	if (c->proto)
		return c->proto->held(c->state);
	return c->detect ? c->detect->text[DIR_IN].cap + c->detect->text[DIR_OUT].cap : 0;
}
