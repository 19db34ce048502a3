/*
 * rustls 0.23 at its record layer: an object that encrypts and one that decrypts, each a half of a connection. Their
 * socket joins them: decrypting follows a read of it on the same thread, encrypting precedes a write. What their arguments
 * look like is said in src/capture/locate/rustls.c.
 */
#include "tls.bpf.h"

#define APPLICATION_DATA 3 /* of enum ContentType */
#define MAX_RECORD (1 << 16)
#define MAX_CHUNKS 4096 /* of one record, which has at most 16384 bytes */

struct outbound {
	u64 slices; /* 0: one slice, that of the next two words */
	u64 n;      /* or its address */
	u64 begin;  /* or its length */
	u64 end;
	u8 type;
};

/* Result<InboundPlainMessage, Error>: Ok is the number behind those of Error, which are more in each release. */
struct inbound {
	u64 result; /* low byte */
	u64 data;
	u64 len;
	u64 type; /* low byte */
};

/* Record `seq` of the object at this pointer; a number that was passed already means another object. */
static __always_inline struct cf_object *half_of(u64 self, u64 seq, u64 type, u32 dir, u64 cookie, struct cf_target *t)
{
	struct cf_object *o = tls_find(self, t);

	if (o && seq < o->seq) {
		tls_end(self, o, CF_CLOSE_REUSED);
		o = NULL;
	}
	if (!o && type == APPLICATION_DATA)
		o = tls_object(self, cookie, dir, ~0u, t);
	if (o)
		o->seq = seq + 1;
	return type == APPLICATION_DATA ? o : NULL;
}

struct gather {
	u64 slices, skip, left;
	u64 stream, pos, now, start_ns;
};

static long put_slice(u32 index, struct gather *g)
{
	struct {
		u64 data, len;
	} s;

	if (!g->left || bpf_probe_read_user(&s, sizeof(s), (void *)(g->slices + index * sizeof(s))))
		return 1;
	if (g->skip >= s.len) {
		g->skip -= s.len;
		return 0;
	}
	u64 len = s.len - g->skip < g->left ? s.len - g->skip : g->left;
	put_moved(g->stream, g->pos, g->now, g->start_ns, (void *)(s.data + g->skip), len);
	g->skip = 0;
	g->pos += len;
	g->left -= len;
	return 0;
}

/* The bytes are encrypted in place: copied before that happens. */
SEC("uprobe")
int BPF_KPROBE(rustls_encrypt, u64 result, u64 self, u64 message, u64 seq)
{
	struct cf_target *t = current_target();
	struct outbound m;

	if (!t || bpf_probe_read_user(&m, sizeof(m), (void *)message))
		return 0;
	struct cf_object *o = half_of(self, seq, m.type, DIR_OUT, bpf_get_attach_cookie(ctx), t);
	if (!o)
		return 0;
	u64 len = m.slices ? m.end - m.begin : m.begin;
	if (!len || len > MAX_RECORD)
		return 0;
	u64 at = __sync_fetch_and_add(&o->out_pos, len), now = bpf_ktime_get_boot_ns();
	tls_bind_neighbour(self, o, true);
	if (!m.slices) {
		put_moved(o->out, at, now, t->start_ns, (void *)m.n, len);
		return 0;
	}
	struct gather g = { m.slices, m.begin, len, o->out, at, now, t->start_ns };
	bpf_loop(m.n < MAX_CHUNKS ? m.n : MAX_CHUNKS, put_slice, &g, 0);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(rustls_decrypt, u64 result, u64 self, u64 message, u64 seq)
{
	struct cf_thread *n = current_target() ? this_thread() : NULL;
	if (!n)
		return 0;
	u64 room[2];
	if (bpf_probe_read_user(room, sizeof(room), (void *)message))
		return 0;
	n->call[0] = (struct tls_call){
		.object = self,
		.data = result,
		.count = seq,
		.began_ns = bpf_ktime_get_boot_ns(),
		.cookie = bpf_get_attach_cookie(ctx),
		.room = room[0],
		.room_len = room[1],
	};
	return 0;
}

/* Plaintext lies where its record was; an error leaves something else there, or what the last success left. */
static __always_inline bool is_inside(const struct inbound *m, const struct tls_call *c)
{
	return m->len <= MAX_RECORD && m->data >= c->room && m->data + m->len <= c->room + c->room_len;
}

SEC("uretprobe")
int BPF_KPROBE(rustls_decrypted)
{
	struct cf_target *t = current_target();
	struct inbound m;
	struct tls_call c;

	if (!t || !tls_take_call(false, &c))
		return 0;
	if (bpf_probe_read_user(&m, sizeof(m), (void *)c.data) || !is_inside(&m, &c))
		return 0;
	struct cf_object *o = half_of(c.object, c.count, (u8)m.type, DIR_IN, c.cookie, t);
	if (!o || !m.len)
		return 0;
	if (!o->in_pos)
		o->ok = m.result;
	if (o->ok != (u8)m.result)
		return 0;
	tls_bind_neighbour(c.object, o, false);
	u64 at = __sync_fetch_and_add(&o->in_pos, m.len);
	put_moved(o->in, at, c.began_ns, t->start_ns, (void *)m.data, m.len);
	return 0;
}
