/*
 * crypto/tls of Go programs: its own calling convention, and stacks that move, so that reading ends at one of the
 * function's RET instructions and no return address is touched. A goroutine may go on on another thread: calls are kept by
 * goroutine.
 */
#include "fd.bpf.h"
#include "tls.bpf.h"

/* Go's register ABI: https://go.dev/s/regabi */
#if defined(__TARGET_ARCH_x86)
#define GO_ARG1(r) ((r)->ax)
#define GO_ARG2(r) ((r)->bx)
#define GO_ARG3(r) ((r)->cx)
#define GO_G(r) ((r)->r14)
#elif defined(__TARGET_ARCH_arm64)
#define GO_ARG1(r) ((r)->regs[0])
#define GO_ARG2(r) ((r)->regs[1])
#define GO_ARG3(r) ((r)->regs[2])
#define GO_G(r) ((r)->regs[28])
#endif

/* tls.Conn begins with the interface net.Conn, which holds a *net.TCPConn: {*netFD}, whose poll.FD has Sysfd at 16. */
static __always_inline u32 descriptor_of(u64 conn)
{
	u64 at = 0;
	u32 fd = ~0u;

	if (bpf_probe_read_user(&at, sizeof(at), (void *)(conn + 8)) || bpf_probe_read_user(&at, sizeof(at), (void *)at) ||
	    bpf_probe_read_user(&fd, sizeof(fd), (void *)(at + 16)))
		return ~0u;
	return fd;
}

/* Another kind of net.Conn gives some other number: only a socket that carries TLS counts. */
static __always_inline struct cf_object *tls_socket_at(u32 fd)
{
	struct file *file = file_at(fd);

	if (!file)
		return NULL;
	struct inode *node = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(node, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	struct socket *s = BPF_CORE_READ(file, private_data);
	u64 key = (u64)BPF_CORE_READ(s, sk);
	struct cf_object *o = bpf_map_lookup_elem(&sockets, &key);
	return o && o->tls && o->inode == BPF_CORE_READ(node, i_ino) ? o : NULL;
}

static __always_inline void go_moved(const struct tls_call *c, u64 len, bool written, struct cf_target *t)
{
	struct cf_object *o = tls_find(c->object, t);
	u32 fd = o && o->socket ? ~0u : descriptor_of(c->object);

	if (!o)
		o = tls_object(c->object, c->cookie, DIR_IN | DIR_OUT, fd, t);
	if (!o)
		return;
	struct cf_object *socket = o->socket ? NULL : tls_socket_at(fd);
	if (socket)
		tls_bind(c->object, socket->in, CF_BIND_ADJACENT);
	u64 at = __sync_fetch_and_add(written ? &o->out_pos : &o->in_pos, len);
	put_moved(written ? o->out : o->in, at, c->began_ns, t->start_ns, (void *)c->data, len);
}

/* At the entry: another goroutine may have read the answer before this one comes to its return. */
SEC("uprobe")
int go_write(struct pt_regs *ctx)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	struct tls_call c = {
		.object = GO_ARG1(ctx),
		.data = GO_ARG2(ctx),
		.began_ns = bpf_ktime_get_boot_ns(),
		.cookie = bpf_get_attach_cookie(ctx),
	};
	long len = GO_ARG3(ctx);
	if (len > 0)
		go_moved(&c, len, true, t);
	return 0;
}

static __always_inline struct go_key go_key_of(struct pt_regs *ctx)
{
	struct go_key key = { GO_G(ctx), bpf_get_current_pid_tgid() >> 32, 0 };

	return key;
}

SEC("uprobe")
int go_read(struct pt_regs *ctx)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	struct go_key key = go_key_of(ctx);
	struct tls_call c = {
		.object = GO_ARG1(ctx),
		.data = GO_ARG2(ctx),
		.began_ns = bpf_ktime_get_boot_ns(),
		.cookie = bpf_get_attach_cookie(ctx),
	};
	if (bpf_map_update_elem(&go_reads, &key, &c, BPF_ANY))
		count(CF_CNT_LOST_MAP, 1);
	t->flags |= CF_TARGET_GO;
	return 0;
}

SEC("uprobe")
int go_read_done(struct pt_regs *ctx)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	struct go_key key = go_key_of(ctx);
	struct tls_call *pending = bpf_map_lookup_elem(&go_reads, &key);
	if (!pending)
		return 0;
	struct tls_call c = *pending;
	bpf_map_delete_elem(&go_reads, &key);
	long len = GO_ARG1(ctx);
	if (len > 0)
		go_moved(&c, len, false, t);
	return 0;
}

SEC("uprobe")
int go_close(struct pt_regs *ctx)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	u64 object = GO_ARG1(ctx);
	struct cf_object *o = tls_find(object, t);
	if (o)
		tls_end(object, o, CF_CLOSE_FREED);
	return 0;
}
