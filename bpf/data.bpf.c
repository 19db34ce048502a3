/* The bytes themselves: see data.bpf.h. */
#include "data.bpf.h"

#define SLICE (64 << 10)
#define MAX_SLICES 8192 /* 512 MiB in one call; the rest is a counted gap */

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
	submit_as(d, 0, 1);
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
			submit_as(d, 0, 1);                                            \
			return 0;                                                      \
		}                                                                      \
		fill_data(d, p, len, len, 0);                                          \
		submit_as(d, len, 1);                                                  \
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

int put_data(struct piece *caller)
{
	if (!caller)
		return 0;
	struct piece p = *caller; /* bpf_loop takes only the stack */
	if (p.len <= SLICE) {
		put_piece(&p, p.len);
		return 0;
	}
	bpf_loop(MAX_SLICES, put_slice, &p, 0);
	if (p.len) {
		count(CF_CNT_LOST_CLAMP, 1);
		count(CF_CNT_LOST_CLAMP_BYTES, p.len);
		put_empty(&p, (u32)p.len, CF_FL_CLAMPED);
	}
	return 0;
}
