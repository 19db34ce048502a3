/* TLS objects, whatever the library: found or made, and bound to the socket that carries them. */
#ifndef CF_TLS_BPF_H
#define CF_TLS_BPF_H

#include "data.bpf.h"

/* The directions that an object stands for: rustls has one object for each. */
#define DIR_IN 1
#define DIR_OUT 2

/*
 * Socket stream `socket` carries the object of the running process at pointer `object`. Both are told, and the halves of a
 * connection are joined when both have the same socket. Not inlined: see put_data.
 */
int tls_bind(u64 object, u64 socket, u32 kind);
/* The socket is gone, and with it, if `ends`, objects whose release nobody would tell. */
int tls_unbind(u64 socket, u32 ends);

static __always_inline struct cf_object *tls_find(u64 object, struct cf_target *t)
{
	struct cf_tls_key key = { object, bpf_get_current_pid_tgid() >> 32, 0 };
	struct cf_object *o = bpf_map_lookup_elem(&tls_objects, &key);

	return o && o->start_ns == t->start_ns ? o : NULL;
}

static __always_inline void tls_end(u64 object, struct cf_object *o, u32 why)
{
	struct cf_tls_key key = { object, o->pid, 0 };

	put_close(o, why, o->start_ns);
	bpf_map_delete_elem(&tls_objects, &key);
}

static __always_inline void tls_put_open(const struct cf_object *o, u64 object, u32 library, u32 fd)
{
	struct cf_open *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count(CF_CNT_LOST_RING, 1);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	fill_header(&e->h, CF_EV_OPEN, sizeof(*e), o->start_ns);
	e->in = o->in;
	e->out = o->out;
	e->object = object;
	e->fd = fd;
	e->layer = CF_LAYER_TLS;
	e->mode = CF_MODE_FULL;
	e->library = library;
	submit(e, 0);
}

/* The object at this pointer, made at first sight. */
static __always_inline struct cf_object *tls_object(u64 object, u64 cookie, u32 dirs, u32 fd, struct cf_target *t)
{
	struct cf_tls_key key = { object, bpf_get_current_pid_tgid() >> 32, 0 };
	struct cf_object *o = bpf_map_lookup_elem(&tls_objects, &key);

	if (o && o->start_ns == t->start_ns)
		return o;
	if (o)
		tls_end(object, o, CF_CLOSE_REUSED);
	struct cf_object fresh = { .start_ns = t->start_ns, .pid = key.pid, .mode = CF_MODE_FULL };
	u64 id = new_ids();
	fresh.in = dirs & DIR_IN ? id : 0;
	fresh.out = dirs & DIR_OUT ? id + 1 : 0;
	fresh.unfreed = !!(cookie & CF_COOKIE_UNFREED);
	if (bpf_map_update_elem(&tls_objects, &key, &fresh, BPF_NOEXIST)) {
		o = bpf_map_lookup_elem(&tls_objects, &key); /* another thread was faster */
		if (!o)
			count(CF_CNT_LOST_MAP, 1);
		return o;
	}
	t->flags |= CF_TARGET_TLS;
	tls_put_open(&fresh, object, CF_COOKIE_LIBRARY(cookie), fd);
	return bpf_map_lookup_elem(&tls_objects, &key);
}

/* The socket of a memory BIO was read just before on this thread, or will be written just after. */
static __always_inline void tls_bind_neighbour(u64 object, struct cf_object *o, bool written)
{
	if (o->socket)
		return;
	struct cf_thread *n = this_thread();
	if (!n)
		return;
	if (written) {
		n->written_object = object;
		return;
	}
	if (n->read_socket) {
		tls_bind(object, n->read_socket, CF_BIND_ADJACENT);
		n->read_socket = 0;
	}
}

/* The call that this thread was in, which is over; false: none was seen to begin. */
static __always_inline bool tls_take_call(bool written, struct tls_call *out)
{
	struct cf_thread *n = known_thread();

	if (!n || !n->call[written].cookie)
		return false;
	*out = n->call[written];
	n->call[written].cookie = 0;
	return true;
}

#endif
