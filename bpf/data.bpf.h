/*
 * Bytes of the target into the ring. Records are reserved in size classes, by need; a call larger than the largest class
 * goes out in slices. Reads of the target's memory never fault: under a held reservation a page that has to be fetched
 * would stall everybody, so a page that is not there is a counted gap.
 */
#ifndef CF_DATA_BPF_H
#define CF_DATA_BPF_H

#include "common.bpf.h"

struct piece {
	u64 stream;
	u64 pos;
	u64 began_ns;
	u64 start_ns;
	u64 from; /* address in the target */
	u64 len;  /* bytes left */
};

/*
 * `len` bytes at `from` moved in this direction, the first of them at position `pos`. Not inlined, and checked by the
 * verifier once instead of at every caller: with it inlined, loading took four times as long.
 */
int put_data(struct piece *p);

static __always_inline void put_moved(u64 stream, u64 pos, u64 began_ns, u64 start_ns, const void *from, u64 len)
{
	struct piece p = { stream, pos, began_ns, start_ns, (u64)from, len };

	put_data(&p);
}

/* Final positions. When the ring is full the object is kept aside, so that its tail is not lost silently. */
static __always_inline void put_close(struct cf_object *o, u32 why, u64 start_ns)
{
	struct cf_close *c = bpf_ringbuf_reserve(&ring, sizeof(*c), 0);

	if (!c) {
		count(CF_CNT_LOST_RING, 1);
		u64 id = o->in ? o->in : o->out;
		if (bpf_map_update_elem(&closed, &id, o, BPF_ANY))
			count(CF_CNT_LOST_MAP, 1);
		return;
	}
	fill_header(&c->h, CF_EV_CLOSE, sizeof(*c), start_ns);
	c->h.pid = o->pid;
	c->in = o->in;
	c->out = o->out;
	c->in_pos = o->in_pos;
	c->out_pos = o->out_pos;
	c->why = why;
	c->pad = 0;
	submit(c, 0);
}

static __always_inline void put_bind(u64 a, u64 b, u32 kind, u64 start_ns)
{
	struct cf_bind *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count(CF_CNT_LOST_RING, 1);
		return;
	}
	fill_header(&e->h, CF_EV_BIND, sizeof(*e), start_ns);
	e->a = a;
	e->b = b;
	e->bind = kind;
	e->pad = 0;
	submit(e, 0);
}

#endif
