/*
 * Bytes at sockets and standard pipes. Every inet and unix socket of a target that moves bytes is counted; what it carries enters the ring
 * only while it is plaintext that somebody may decode: a socket whose first bytes are a TLS record is counted only.
 */
#include "fd.bpf.h"
#include "syscall.bpf.h"
#include "tls.bpf.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000
#define S_IFIFO 0010000
#define TCP_CLOSE 7
#define SHUTDOWN_BOTH 3
#define IPPROTO_TCP 6
#define MAX_IOV 64 /* of one call; more are a counted gap */

struct transfer {
	struct cf_object *o;
	struct cf_target *t;
	struct iovec *iov;
	u64 left;
	bool written;
};

/* What a descriptor stands for, by its kernel object: dup, fork and passing do not confuse it. */
struct place {
	u64 key;
	u64 inode;
	struct sock *sk; /* NULL: a pipe */
};

/*
 * Standard input and output over pipes are one connection of the process that has them as 0 and 1: that is how tool
 * servers are spoken to. Other pipes are not looked at.
 */
static __always_inline bool find_place(u32 fd, bool written, struct place *p)
{
	struct file *file = file_at(fd);

	if (!file)
		return false;
	struct inode *node = BPF_CORE_READ(file, f_inode);
	u16 type = BPF_CORE_READ(node, i_mode) & S_IFMT;
	if (type == S_IFIFO && fd == (written ? 1 : 0)) {
		p->key = CF_PIPE_KEY(bpf_get_current_pid_tgid() >> 32);
		p->inode = 0;
		p->sk = NULL;
		return true;
	}
	if (type != S_IFSOCK)
		return false;
	struct socket *s = BPF_CORE_READ(file, private_data);
	p->inode = BPF_CORE_READ(node, i_ino);
	p->sk = BPF_CORE_READ(s, sk);
	p->key = (u64)p->sk;
	return p->sk != NULL;
}

static __always_inline void fill_addresses(struct cf_open *e, struct sock *sk)
{
	e->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	e->protocol = BPF_CORE_READ(sk, sk_protocol);
	if (e->family == AF_INET) {
		u32 a = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr), b = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		__builtin_memcpy(e->local_addr, &a, 4);
		__builtin_memcpy(e->peer_addr, &b, 4);
	} else if (e->family == AF_INET6) {
		struct in6_addr a, b;
		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&b, sk, __sk_common.skc_v6_daddr);
		__builtin_memcpy(e->local_addr, &a, 16);
		__builtin_memcpy(e->peer_addr, &b, 16);
	}
	if (e->family != AF_UNIX) {
		e->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		e->peer_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	}
}

static __always_inline void put_open(struct cf_object *o, struct sock *sk, u32 fd, u64 start_ns)
{
	struct cf_open *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count(CF_CNT_LOST_RING, 1);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	fill_header(&e->h, CF_EV_OPEN, sizeof(*e), start_ns);
	e->in = o->in;
	e->out = o->out;
	e->object = o->socket;
	e->inode = o->inode;
	e->fd = fd;
	e->layer = sk ? CF_LAYER_SOCKET : CF_LAYER_PIPE;
	e->mode = o->mode;
	e->tls = o->tls;
	e->h.flags = o->late ? CF_FL_LATE : 0;
	e->other_end = o->other_end;
	if (sk)
		fill_addresses(e, sk);
	submit(e, 0);
}

/* false: a family that is not looked at. */
static __always_inline bool first_mode(struct sock *sk, struct cf_object *o)
{
	o->mode = CF_MODE_SAMPLE;
	if (!sk)
		return true;
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_UNIX) {
		/* The other end of a pair that is read already: the same bytes once more. */
		u64 peer = (u64)BPF_CORE_READ((struct unix_sock *)sk, peer);
		struct cf_object *other = peer ? bpf_map_lookup_elem(&sockets, &peer) : NULL;
		if (other) {
			o->mode = CF_MODE_COUNT;
			o->peer = peer;
			o->other_end = other->in;
			other->peer = o->socket;
		}
		o->unix_socket = 1;
	} else if (family != AF_INET && family != AF_INET6) {
		return false;
	}
	if (BPF_CORE_READ(sk, sk_type) != SOCK_STREAM)
		o->mode = CF_MODE_COUNT;
	return true;
}

/*
 * Had bytes moved before this call, the first of the socket that was seen? What is received and not yet fetched does not
 * count. The handshake takes a number of its own, so that one byte more may be counted than was sent.
 */
static __always_inline bool is_late(struct sock *sk, u64 moved, bool written)
{
	struct tcp_sock *tp = (void *)sk;
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if ((family != AF_INET && family != AF_INET6) || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return false;
	u32 waiting = BPF_CORE_READ(tp, rcv_nxt) - BPF_CORE_READ(tp, copied_seq);
	u32 unacked = BPF_CORE_READ(tp, write_seq) - BPF_CORE_READ(tp, snd_una);
	u64 fetched = BPF_CORE_READ(tp, bytes_received) - waiting, sent = BPF_CORE_READ(tp, bytes_acked) + unacked;

	return fetched > (written ? 0 : moved) + 1 || sent > (written ? moved : 0) + 1;
}

static __always_inline struct cf_object *object_at(const struct place *p, struct cf_target *t, bool *fresh)
{
	struct cf_object first = { .start_ns = t->start_ns, .pid = bpf_get_current_pid_tgid() >> 32 };
	u64 key = p->key;
	struct cf_object *o = bpf_map_lookup_elem(&sockets, &key);

	first.inode = p->sk ? p->inode : t->start_ns;
	if (o && o->inode == first.inode)
		return o;
	if (o) {
		put_close(o, CF_CLOSE_REUSED, o->start_ns);
		bpf_map_delete_elem(&sockets, &key);
	}
	first.socket = key;
	if (!first_mode(p->sk, &first))
		return NULL;
	first.in = new_ids();
	first.out = first.in + 1;
	if (bpf_map_update_elem(&sockets, &key, &first, BPF_NOEXIST)) {
		count(CF_CNT_LOST_MAP, 1);
		return NULL;
	}
	*fresh = true;
	return bpf_map_lookup_elem(&sockets, &key);
}

/* A TLS record: content type 20-23, version 3.x. Read mid-stream it may not begin here; the other direction tells then. */
static __always_inline bool looks_tls(const void *data, u64 len)
{
	u8 b[3] = { 0 };

	if (len < 3 || bpf_probe_read_user(b, sizeof(b), data))
		return false;
	return b[0] >= 20 && b[0] <= 23 && b[1] == 3 && b[2] <= 4;
}

static __always_inline void bind_tls(struct cf_object *o, struct cf_target *t, bool written)
{
	struct cf_thread *n = o->tls ? this_thread() : known_thread();

	if (!n)
		return;
	struct tls_call *c = &n->call[written];
	if (c->cookie) { /* inside a TLS call of the same direction: certain; told when that returns and has its object */
		o->tls = 1;
		o->mode = CF_MODE_COUNT;
		c->socket = o->in;
	} else if (!o->tls) {
		return;
	} else if (!written) {
		n->read_socket = o->in;
	} else if (n->written_object) {
		tls_bind(n->written_object, o->in, CF_BIND_ADJACENT);
		n->written_object = 0;
	}
}

/* A pipe that does not begin with JSON is nobody's protocol: most pipes are bulk data. */
static __always_inline bool looks_json(const void *data)
{
	u8 first = 0;

	bpf_probe_read_user(&first, 1, data);
	return first == '{';
}

/* Looks at the first bytes of each direction once. true when the object has to be told again. */
static __always_inline bool judge(struct cf_object *o, const struct place *p, const void *data, u64 len, bool written)
{
	u8 bit = written ? 2 : 1;

	if (o->looked & bit || o->mode == CF_MODE_COUNT)
		return false;
	o->looked |= bit;
	if (!p->sk) {
		if (!looks_json(data))
			o->mode = CF_MODE_COUNT;
		return o->mode == CF_MODE_COUNT;
	}
	if (!looks_tls(data, len))
		return false;
	o->tls = 1;
	o->mode = CF_MODE_COUNT;
	return true;
}

static __always_inline bool wants_bytes(struct cf_object *o, u64 at)
{
	if (o->mode == CF_MODE_SAMPLE) {
		u64 id = o->in;
		u8 *mode = bpf_map_lookup_elem(&modes, &id);
		if (mode && *mode)
			o->mode = *mode;
	}
	return o->mode == CF_MODE_FULL || (o->mode == CF_MODE_SAMPLE && at < sample_limit);
}

static __always_inline void move(struct cf_object *o, struct cf_target *t, const void *data, u64 len, bool written)
{
	u64 at = __sync_fetch_and_add(written ? &o->out_pos : &o->in_pos, len);

	if (wants_bytes(o, at))
		put_moved(written ? o->out : o->in, at, bpf_ktime_get_boot_ns(), t->start_ns, data, len);
}

static long move_iov(u32 index, void *ctx)
{
	struct transfer *m = ctx;
	struct iovec v;

	if (!m->left || !m->o || !m->t || bpf_probe_read_user(&v, sizeof(v), m->iov + index))
		return 1;
	u64 len = v.iov_len < m->left ? v.iov_len : m->left;
	if (!len)
		return 0;
	m->left -= len;
	u64 at = __sync_fetch_and_add(m->written ? &m->o->out_pos : &m->o->in_pos, len);
	if (wants_bytes(m->o, at))
		put_moved(m->written ? m->o->out : m->o->in, at, bpf_ktime_get_boot_ns(), m->t->start_ns, v.iov_base, len);
	return 0;
}

static __always_inline void move_vector(struct cf_object *o, struct cf_target *t, struct iovec *iov, u64 n, u64 len,
					bool written)
{
	struct transfer m = { o, t, iov, len, written };

	bpf_loop(n < MAX_IOV ? n : MAX_IOV, move_iov, &m, 0);
	if (m.left) { /* the position moves on; the reader sees the gap */
		count(CF_CNT_LOST_CLAMP, 1);
		count(CF_CNT_LOST_CLAMP_BYTES, m.left);
		__sync_fetch_and_add(written ? &o->out_pos : &o->in_pos, m.left);
	}
}

/* The end of what is read. Nothing tells when a unix socket is released: here it ends as a whole, with its other end. */
static __always_inline void ended(struct cf_object *o, u64 start_ns)
{
	if (o->unix_socket) {
		u64 key = o->socket, peer = o->peer;
		put_close(o, CF_CLOSE_FREED, start_ns);
		bpf_map_delete_elem(&sockets, &key);
		o = peer ? bpf_map_lookup_elem(&sockets, &peer) : NULL;
		if (o) {
			put_close(o, CF_CLOSE_FREED, start_ns);
			bpf_map_delete_elem(&sockets, &peer);
		}
		return;
	}
	if (o->eof)
		return;
	o->eof = 1;
	struct cf_object half = { .in = o->in, .in_pos = o->in_pos, .pid = o->pid };
	put_close(&half, CF_CLOSE_EOF, start_ns);
}

struct io {
	bool written;
	bool vector;
	const void *data; /* bytes, or the array of iovec */
	u64 n;            /* of iovec, or the room of the buffer */
};

static __always_inline bool describe(struct pt_regs *regs, u64 nr, struct io *io)
{
	struct user_msghdr msg;

	io->data = (void *)SYSCALL_ARG2(regs);
	io->n = SYSCALL_ARG3(regs);
	io->written = nr == NR_write || nr == NR_writev || nr == NR_sendto || nr == NR_sendmsg;
	io->vector = nr == NR_readv || nr == NR_writev || nr == NR_sendmsg || nr == NR_recvmsg;
	if (nr == NR_recvfrom && SYSCALL_ARG4(regs) & (MSG_PEEK | MSG_ERRQUEUE))
		return false;
	if (nr == NR_recvmsg && SYSCALL_ARG3(regs) & (MSG_PEEK | MSG_ERRQUEUE))
		return false;
	if (nr == NR_sendmsg || nr == NR_recvmsg) {
		if (bpf_probe_read_user(&msg, sizeof(msg), io->data))
			return false;
		io->data = msg.msg_iov;
		io->n = msg.msg_iovlen;
	}
	return true;
}

static __always_inline int on_transfer(struct pt_regs *regs, u64 nr, long ret, struct cf_target *t)
{
	struct io io = { 0 };
	struct iovec first;
	struct place at;
	bool fresh = false;
	u32 fd = SYSCALL_ARG1(regs);

	if (!describe(regs, nr, &io))
		return 0;
	if (!find_place(fd, io.written, &at))
		return 0;
	struct cf_object *o = object_at(&at, t, &fresh);
	if (!o)
		return 0;
	if (ret == 0) {
		if (!io.written && io.n)
			ended(o, t->start_ns);
		return 0;
	}
	const void *bytes = io.data;
	u64 len = ret;
	if (io.vector) {
		if (bpf_probe_read_user(&first, sizeof(first), io.data))
			return 0;
		bytes = first.iov_base;
		len = first.iov_len < len ? first.iov_len : len;
	}
	if (fresh && at.sk)
		o->late = is_late(at.sk, ret, io.written);
	bool told = judge(o, &at, bytes, len, io.written);
	u8 before = o->tls;
	bind_tls(o, t, io.written);
	if (fresh || told || before != o->tls)
		put_open(o, at.sk, fd, t->start_ns);
	if (io.vector)
		move_vector(o, t, (struct iovec *)io.data, io.n, ret, io.written);
	else
		move(o, t, bytes, ret, io.written);
	return 0;
}

/* Bytes that never pass the process's memory (sendfile, splice): the position moves on, and the reader sees a gap. */
static __always_inline void on_unseen(u32 fd, bool written, long ret, struct cf_target *t)
{
	struct place at;
	bool fresh = false;

	if (!find_place(fd, written, &at) || !at.sk)
		return;
	struct cf_object *o = object_at(&at, t, &fresh);
	if (!o)
		return;
	__sync_fetch_and_add(written ? &o->out_pos : &o->in_pos, ret);
	if (fresh)
		put_open(o, at.sk, fd, t->start_ns);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(net_syscall, struct pt_regs *regs, long ret)
{
	u64 nr = SYSCALL_NR(regs);

	if (ret < 0)
		return 0;
	switch (nr) {
	case NR_read:
	case NR_write:
	case NR_readv:
	case NR_writev:
	case NR_sendto:
	case NR_recvfrom:
	case NR_sendmsg:
	case NR_recvmsg:
	case NR_sendfile:
	case NR_splice:
		break;
	default:
		return 0;
	}
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	if (nr == NR_sendfile) {
		on_unseen(SYSCALL_ARG1(regs), true, ret, t);
	} else if (nr == NR_splice) {
		on_unseen(SYSCALL_ARG1(regs), false, ret, t);
		on_unseen(SYSCALL_ARG3(regs), true, ret, t);
	} else {
		on_transfer(regs, nr, ret, t);
	}
	return 0;
}

/* Reset by the peer, with bytes that the process may still fetch? Nobody can when it was closed at this end. */
static __always_inline bool has_unread(struct sock *sk)
{
	struct tcp_sock *tp = (void *)sk;

	return BPF_CORE_READ(tp, rcv_nxt) != BPF_CORE_READ(tp, copied_seq) && BPF_CORE_READ(sk, sk_shutdown) != SHUTDOWN_BOTH;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(net_closed, struct sock *sk, int before, int after)
{
	u64 key = (u64)sk;

	if (after != TCP_CLOSE)
		return 0;
	struct cf_object *o = bpf_map_lookup_elem(&sockets, &key);
	if (!o)
		return 0;
	put_close(o, CF_CLOSE_FREED, o->start_ns);
	if (o->tls)
		tls_unbind(o->in, !has_unread(sk));
	bpf_map_delete_elem(&sockets, &key);
	return 0;
}
