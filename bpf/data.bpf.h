/*
 * Bytes of the target into the ring. Records are reserved in size classes, by need; a call larger than the largest class
 * goes out in slices. Reads of the target's memory never fault: under a held reservation a page that has to be fetched
 * would stall everybody, so a page that is not there is a counted gap.
 */
#ifndef CF_DATA_BPF_H
#define CF_DATA_BPF_H

#include "common.bpf.h"

#define SLICE (64 << 10)
#define MAX_SLICES 8192 /* 512 MiB in one call; the rest is a counted gap */

struct piece {
	u64 stream;
	u64 pos;
	u64 began_ns;
	u64 start_ns;
	u64 from; /* address in the target */
	u64 len;  /* bytes left */
};

static __always_inline void fill_data(struct cf_data *d, const struct piece *p, u32 len, u32 captured, u16 flags)
{
	fill_header(&d->h, CF_EV_DATA, sizeof(*d) + captured, p->start_ns);
	d->h.flags = flags;
	d->stream = p->stream;
	d->pos = p->pos;
	d->began_ns = p->began_ns;
	d->len = len;
	d->captured = captured;
}

static __always_inline void lost_ring(u32 len)
{
	count(CF_CNT_LOST_RING, 1);
	count(CF_CNT_LOST_RING_BYTES, len);
}

/* A record without bytes: the position moves on. */
static __noinline int put_empty(struct piece *p, u32 len, u16 flags)
{
	if (!p)
		return 0;
	struct cf_data *d = bpf_ringbuf_reserve(&ring, sizeof(*d), 0);
	if (!d) {
		lost_ring(len);
		return 0;
	}
	fill_data(d, p, len, 0, flags);
	submit(d, 0);
	return 0;
}

#define PUT_CLASS(class)                                                               \
	static __noinline int put_##class(struct piece *p, u32 len)                    \
	{                                                                              \
		if (!p || len > class)                                                 \
			return 0;                                                      \
		struct cf_data *d = bpf_ringbuf_reserve(&ring, sizeof(*d) + class, 0); \
		if (!d) {                                                              \
			lost_ring(len);                                                \
			return 0;                                                      \
		}                                                                      \
		if (bpf_probe_read_user(d + 1, len, (void *)p->from)) {                \
			count(CF_CNT_LOST_FAULT, 1);                                   \
			count(CF_CNT_LOST_FAULT_BYTES, len);                           \
			fill_data(d, p, len, 0, CF_FL_FAULT);                          \
			submit(d, 0);                                                  \
			return 0;                                                      \
		}                                                                      \
		fill_data(d, p, len, len, 0);                                          \
		submit(d, len);                                                        \
		return 0;                                                              \
	}

PUT_CLASS(256)
PUT_CLASS(1024)
PUT_CLASS(2048)
PUT_CLASS(4096)
PUT_CLASS(8192)
PUT_CLASS(16384)
PUT_CLASS(32768)
PUT_CLASS(65536)

static __always_inline void put_piece(struct piece *p, u32 len)
{
	if (len <= 256)
		put_256(p, len);
	else if (len <= 1024)
		put_1024(p, len);
	else if (len <= 2048)
		put_2048(p, len);
	else if (len <= 4096)
		put_4096(p, len);
	else if (len <= 8192)
		put_8192(p, len);
	else if (len <= 16384)
		put_16384(p, len);
	else if (len <= 32768)
		put_32768(p, len);
	else
		put_65536(p, len);
}

static long put_slice(u32 index, void *ctx)
{
	struct piece *p = ctx;
	u32 len = p->len > SLICE ? SLICE : (u32)p->len;

	if (!len)
		return 1;
	put_piece(p, len);
	p->pos += len;
	p->from += len;
	p->len -= len;
	return 0;
}

/* `len` bytes at `from` moved in this direction, the first of them at position `pos`. */
static __always_inline void put_data(u64 stream, u64 pos, u64 began_ns, u64 start_ns, const void *from, u64 len)
{
	struct piece p = { stream, pos, began_ns, start_ns, (u64)from, len };

	if (len <= SLICE) {
		put_piece(&p, len);
		return;
	}
	bpf_loop(MAX_SLICES, put_slice, &p, 0);
	if (p.len) {
		count(CF_CNT_LOST_CLAMP, 1);
		count(CF_CNT_LOST_CLAMP_BYTES, p.len);
		put_empty(&p, (u32)p.len, CF_FL_CLAMPED);
	}
}

/* Final positions. When the ring is full the object is kept aside, so that its tail is not lost silently. */
static __always_inline void put_close(struct cf_object *o, u32 why, u64 start_ns)
{
	struct cf_close *c = bpf_ringbuf_reserve(&ring, sizeof(*c), 0);

	if (!c) {
		count(CF_CNT_LOST_RING, 1);
		u64 id = o->in;
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
