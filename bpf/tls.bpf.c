/*
 * Plaintext at TLS libraries that take (object, buffer, length): OpenSSL, BoringSSL, GnuTLS. The bytes are copied when
 * the call returns, with the length it returned: a call that fails or asks to be repeated moves nothing.
 */
#include "data.bpf.h"

static __always_inline u64 call_key(u32 tid, u32 call)
{
	return (u64)tid << 1 | (call == CF_CALL_WRITE || call == CF_CALL_WRITE_EX);
}

static __always_inline struct cf_object *tls_object(u64 object, u32 library, struct cf_target *t)
{
	u64 id = bpf_get_current_pid_tgid();
	struct cf_tls_key key = { object, id >> 32, 0 };
	struct cf_object *o = bpf_map_lookup_elem(&tls_objects, &key);

	if (o && o->start_ns == t->start_ns)
		return o;
	if (o) {
		put_close(o, CF_CLOSE_REUSED, o->start_ns);
		bpf_map_delete_elem(&tls_objects, &key);
	}
	struct cf_object fresh = { .start_ns = t->start_ns, .pid = id >> 32, .mode = CF_MODE_FULL };
	fresh.in = new_ids();
	fresh.out = fresh.in + 1;
	if (bpf_map_update_elem(&tls_objects, &key, &fresh, BPF_NOEXIST)) {
		count(CF_CNT_LOST_MAP, 1);
		return NULL;
	}
	t->flags |= CF_TARGET_TLS;
	struct cf_open *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(CF_CNT_LOST_RING, 1);
	} else {
		__builtin_memset(e, 0, sizeof(*e));
		fill_header(&e->h, CF_EV_OPEN, sizeof(*e), t->start_ns);
		e->in = fresh.in;
		e->out = fresh.out;
		e->object = object;
		e->fd = ~0u;
		e->layer = CF_LAYER_TLS;
		e->mode = CF_MODE_FULL;
		e->library = library;
		submit(e, 0);
	}
	return bpf_map_lookup_elem(&tls_objects, &key);
}

SEC("uprobe")
int BPF_KPROBE(tls_enter, u64 object, u64 data, u64 len, u64 counted)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	u64 cookie = bpf_get_attach_cookie(ctx);
	struct tls_call c = {
		.object = object,
		.data = data,
		.count = counted,
		.began_ns = bpf_ktime_get_boot_ns(),
		.library = CF_COOKIE_LIBRARY(cookie),
		.call = CF_COOKIE_CALL(cookie),
	};
	u64 key = call_key((u32)bpf_get_current_pid_tgid(), c.call);
	if (bpf_map_update_elem(&tls_calls, &key, &c, BPF_ANY))
		count(CF_CNT_LOST_MAP, 1);
	return 0;
}

/* Bytes that the call moved; 0 when it failed. */
static __always_inline u64 moved(const struct tls_call *c, long result)
{
	u64 n = 0;

	if (c->call == CF_CALL_READ || c->call == CF_CALL_WRITE)
		return (int)result > 0 ? (u32)result : 0;
	if ((int)result != 1)
		return 0;
	if (bpf_probe_read_user(&n, sizeof(n), (void *)c->count)) {
		count(CF_CNT_LOST_FAULT, 1);
		return 0;
	}
	return n;
}

/* The socket of a memory BIO was read just before on this thread, or will be written just after. */
static __always_inline void bind_neighbour(struct cf_object *o, bool written, u64 start_ns)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();

	if (o->socket)
		return;
	struct neighbour *n = bpf_map_lookup_elem(&neighbours, &tid);
	if (!n) {
		struct neighbour fresh = { .written_object = written ? o->in : 0 };
		bpf_map_update_elem(&neighbours, &tid, &fresh, BPF_ANY);
		return;
	}
	if (written) {
		n->written_object = o->in;
		return;
	}
	if (n->read_socket) {
		o->socket = n->read_socket;
		put_bind(o->in, n->read_socket, CF_BIND_ADJACENT, start_ns);
		n->read_socket = 0;
	}
}

SEC("uretprobe")
int BPF_KRETPROBE(tls_return, long result)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	u64 cookie = bpf_get_attach_cookie(ctx);
	u64 key = call_key((u32)bpf_get_current_pid_tgid(), CF_COOKIE_CALL(cookie));
	struct tls_call *pending = bpf_map_lookup_elem(&tls_calls, &key);
	if (!pending)
		return 0;
	struct tls_call c = *pending;
	bpf_map_delete_elem(&tls_calls, &key);
	u64 len = moved(&c, result);
	if (!len)
		return 0;
	struct cf_object *o = tls_object(c.object, c.library, t);
	if (!o)
		return 0;
	bool written = key & 1;
	if (c.socket && o->socket != c.socket) {
		o->socket = c.socket;
		put_bind(o->in, c.socket, CF_BIND_NESTED, t->start_ns);
	}
	u64 *pos = written ? &o->out_pos : &o->in_pos;
	u64 at = __sync_fetch_and_add(pos, len);
	u64 stream = written ? o->out : o->in;
	bind_neighbour(o, written, t->start_ns);
	put_moved(stream, at, c.began_ns, t->start_ns, (void *)c.data, len);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(tls_free, u64 object)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	struct cf_tls_key key = { object, bpf_get_current_pid_tgid() >> 32, 0 };
	struct cf_object *o = bpf_map_lookup_elem(&tls_objects, &key);
	if (!o)
		return 0;
	put_close(o, CF_CLOSE_FREED, t->start_ns);
	bpf_map_delete_elem(&tls_objects, &key);
	return 0;
}
