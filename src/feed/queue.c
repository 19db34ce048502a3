#include "feed/feed.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>

#define BLOCK_ROOM (1 * MIB)
#define DRAIN_BYTES (1 * MIB) /* copied before the room is given back to the kernel */

struct queue_block {
	struct queue_block *next;
	size_t from;
	size_t len;
	size_t cap;
	_Alignas(8) char p[];
};

static size_t padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

void queue_init(struct queue *q, size_t max)
{
	*q = (struct queue){ .max = max };
}

void queue_fini(struct queue *q)
{
	while (q->first) {
		struct queue_block *next = q->first->next;
		free(q->first);
		q->first = next;
	}
	*q = (struct queue){ .max = q->max };
}

bool queue_push(struct queue *q, const struct cf_event *e)
{
	size_t need = padded(e->size);

	if (q->bytes + need > q->max)
		return false;
	struct queue_block *b = q->last;
	if (!b || b->cap - b->len < need) {
		size_t cap = need > BLOCK_ROOM ? need : BLOCK_ROOM;
		b = mem_grow(NULL, sizeof(*b) + cap);
		*b = (struct queue_block){ .cap = cap };
		if (q->last)
			q->last->next = b;
		else
			q->first = b;
		q->last = b;
	}
	memcpy(b->p + b->len, e, e->size);
	b->len += need;
	q->bytes += need;
	return true;
}

const struct cf_event *queue_pop(struct queue *q)
{
	struct queue_block *b = q->first;

	/* A used-up block is kept until the next call: its last record was just lent out. */
	if (b && b->from == b->len) {
		if (!b->next) {
			b->from = b->len = 0;
			return NULL;
		}
		q->first = b->next;
		free(b);
		b = q->first;
	}
	if (!b || b->from == b->len)
		return NULL;
	const struct cf_event *e = (const void *)(b->p + b->from);
	size_t n = padded(e->size);
	b->from += n;
	q->bytes -= n;
	return e;
}

bool queue_drain(struct queue *q, struct ring *r, unsigned long end)
{
	unsigned long kept = r->at, released = r->at;
	const struct cf_event *e;
	bool room = true;

	while (room && r->at < end && (e = ring_next(r))) {
		room = queue_push(q, e);
		if (!room)
			break;
		kept = r->at;
		if (kept - released >= DRAIN_BYTES) {
			ring_release(r);
			released = kept;
		}
	}
	r->at = room ? r->at : kept;
	ring_release(r);
	return room;
}
