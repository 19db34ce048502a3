/*
 * Plaintext at TLS libraries that take (object, buffer, length): OpenSSL, BoringSSL, GnuTLS, rustls with symbols. The bytes
 * are copied when the call returns, with the length it returned: a call that fails or asks to be repeated moves nothing.
 */
#include "tls.bpf.h"

int tls_bind(u64 object, u64 socket, u32 kind)
{
	struct cf_tls_key key = { object, bpf_get_current_pid_tgid() >> 32, 0 };
	struct cf_object *o = bpf_map_lookup_elem(&tls_objects, &key);

	if (!o)
		return 0;
	struct bound *b = bpf_map_lookup_elem(&bound, &socket);
	if (!b) {
		struct bound fresh = { .pid = key.pid };
		if (bpf_map_update_elem(&bound, &socket, &fresh, BPF_ANY))
			count(CF_CNT_LOST_MAP, 1);
		b = bpf_map_lookup_elem(&bound, &socket);
		if (!b)
			return 0;
	}
	u32 dir = o->in ? 0 : 1;
	struct cf_tls_key other = { b->object[!dir], key.pid, 0 };
	if (b->object[dir] != object && (!o->in || !o->out)) {
		struct cf_tls_key now = { b->object[dir], key.pid, 0 };
		struct cf_object *has = now.object ? bpf_map_lookup_elem(&tls_objects, &now) : NULL;
		if (has && has->socket == socket)
			return 0; /* likely only, and it has one: a write that found the socket full came from another connection */
	}
	o->socket = socket;
	put_bind(o->in ? o->in : o->out, socket, kind, o->start_ns);
	b->object[dir] = object;
	if (o->in && o->out) {
		b->object[1] = object;
		return 0;
	}
	struct cf_object *half = other.object ? bpf_map_lookup_elem(&tls_objects, &other) : NULL;
	if (half && half->socket == socket)
		put_bind(o->in ? o->in : half->in, o->out ? o->out : half->out, CF_BIND_PAIR, o->start_ns);
	return 0;
}

static __always_inline void end_with_socket(u64 object, u32 pid, u64 socket)
{
	struct cf_tls_key key = { object, pid, 0 };
	struct cf_object *o = bpf_map_lookup_elem(&tls_objects, &key);

	if (o && o->unfreed && o->socket == socket)
		tls_end(object, o, CF_CLOSE_FREED);
}

int tls_unbind(u64 socket, u32 ends)
{
	struct bound *b = bpf_map_lookup_elem(&bound, &socket);

	if (!b)
		return 0;
	if (ends) {
		end_with_socket(b->object[0], b->pid, socket);
		end_with_socket(b->object[1], b->pid, socket);
	}
	bpf_map_delete_elem(&bound, &socket);
	return 0;
}

static __always_inline bool writes(u32 call)
{
	return call == CF_CALL_WRITE || call == CF_CALL_WRITE_EX || call == CF_CALL_WRITE_EX2 || call == CF_CALL_WRITE_RESULT;
}

SEC("uprobe")
int BPF_KPROBE(tls_enter, u64 object, u64 data, u64 len, u64 counted)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	u64 cookie = bpf_get_attach_cookie(ctx);
	u32 call = CF_COOKIE_CALL(cookie);
	/* rustls' reader is a short-lived pair of pointers; what it reads from is the first of them. */
	if (call == CF_CALL_READ_RESULT && bpf_probe_read_user(&object, sizeof(object), (void *)object))
		return 0;
	struct cf_thread *n = this_thread();
	if (!n)
		return 0;
	n->call[writes(call)] = (struct tls_call){
		.object = object,
		.data = data,
		.count = call == CF_CALL_WRITE_EX2 ? PT_REGS_PARM5(ctx) : counted,
		.began_ns = bpf_ktime_get_boot_ns(),
		.cookie = cookie,
	};
	return 0;
}

#if defined(__TARGET_ARCH_x86)
#define SECOND_RESULT(r) ((r)->dx)
#elif defined(__TARGET_ARCH_arm64)
#define SECOND_RESULT(r) ((r)->regs[1])
#endif

/* Bytes that the call moved; 0 when it failed. */
static __always_inline u64 moved(const struct tls_call *c, struct pt_regs *ctx)
{
	u32 call = CF_COOKIE_CALL(c->cookie);
	long result = PT_REGS_RC(ctx);
	u64 n = 0;

	if (call == CF_CALL_READ || call == CF_CALL_WRITE)
		return (int)result > 0 ? (u32)result : 0;
	if (call == CF_CALL_READ_RESULT || call == CF_CALL_WRITE_RESULT)
		return result ? 0 : SECOND_RESULT(ctx);
	if ((int)result != 1)
		return 0;
	if (bpf_probe_read_user(&n, sizeof(n), (void *)c->count)) {
		count(CF_CNT_LOST_FAULT, 1);
		return 0;
	}
	return n;
}

static __always_inline u32 directions(u64 cookie, bool written)
{
	if (CF_COOKIE_LIBRARY(cookie) != CF_LIB_RUSTLS)
		return DIR_IN | DIR_OUT;
	return written ? DIR_OUT : DIR_IN;
}

SEC("uretprobe")
int BPF_KPROBE(tls_return)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	bool written = writes(CF_COOKIE_CALL(bpf_get_attach_cookie(ctx)));
	struct tls_call c;
	if (!tls_take_call(written, &c))
		return 0;
	u64 len = moved(&c, ctx);
	if (!len)
		return 0;
	struct cf_object *o = tls_object(c.object, c.cookie, directions(c.cookie, written), ~0u, t);
	if (!o)
		return 0;
	if (c.socket && o->socket != c.socket)
		tls_bind(c.object, c.socket, CF_BIND_NESTED);
	u64 *pos = written ? &o->out_pos : &o->in_pos;
	u64 at = __sync_fetch_and_add(pos, len);
	u64 stream = written ? o->out : o->in;
	tls_bind_neighbour(c.object, o, written);
	put_moved(stream, at, c.began_ns, t->start_ns, (void *)c.data, len);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(tls_free, u64 object)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	struct cf_object *o = tls_find(object, t);
	if (o)
		tls_end(object, o, CF_CLOSE_FREED);
	return 0;
}
