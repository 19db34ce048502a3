/*
 * Processes: who is followed, what they start, how they end, which files they change. Children are followed from the fork
 * on, in the kernel, so that none is missed however short it lives.
 */
#include "data.bpf.h"
#include "syscall.bpf.h"

#define PATH_ROOM 512 /* powers of two: bounded() masks with them */
#define ARGV_ROOM 4096 /* LIMIT_ARGV */
#define CWD_ROOM 1024
#define CWD_PARTS 32
#define CWD_NAME 64
#define PROT_EXEC 4
#define O_WRITES 3       /* O_WRONLY | O_RDWR */
#define O_CREAT 0100
#define AT_FDCWD (-100)

/* Keeps the bound visible to the verifier; the compiler would drop a plain mask that it can prove useless. */
#define bounded(n, room)                                                     \
	({                                                                   \
		u64 __n = (n);                                               \
		asm volatile("%0 &= %1" : "+r"(__n) : "i"((room) - 1));      \
		__n;                                                         \
	})

static __always_inline void notice(u32 kind, u32 pid, u64 start_ns, u64 addr)
{
	struct cf_notice *n = bpf_ringbuf_reserve(&control, sizeof(*n), 0);

	if (!n) {
		count(CF_CNT_LOST_CONTROL, 1);
		return;
	}
	n->kind = kind;
	n->pid = pid;
	n->start_ns = start_ns;
	n->addr = addr;
	bpf_ringbuf_submit(n, 0);
}

static __always_inline u32 inner_pid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	unsigned int level = BPF_CORE_READ(pid, level);
	struct upid u = { 0 };

	if (level >= 32)
		return 0;
	bpf_probe_read_kernel(&u, sizeof(u),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid));
	return u.nr;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(proc_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 pid = child->pid;

	if (child->pid != child->tgid) /* a thread: its process is known already */
		return 0;
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	struct cf_target fresh = { .start_ns = child->start_boottime };
	if (bpf_map_update_elem(&targets, &pid, &fresh, BPF_ANY)) {
		count(CF_CNT_LOST_MAP, 1);
		return 0;
	}
	struct cf_fork *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(CF_CNT_LOST_RING, 1);
		return 0;
	}
	fill_header(&e->h, CF_EV_FORK, sizeof(*e), t->start_ns);
	e->child_start_ns = fresh.start_ns;
	e->child_pid = pid;
	e->child_inner_pid = inner_pid(child);
	submit(e, 0);
	return 0;
}

/* Names of the directories from the working directory up to the root, across mounts, each ended by NUL. */
struct walk {
	struct dentry *d, *root;
	struct mount *m;
	char *to;
	u32 len;
};

static long put_parent(u32 index, struct walk *w)
{
	struct dentry *d = w->d, *up = BPF_CORE_READ(d, d_parent);
	struct mount *m = w->m;

	if (d == w->root)
		return 1;
	if (d == up || d == BPF_CORE_READ(m, mnt.mnt_root)) {
		struct mount *outer = BPF_CORE_READ(m, mnt_parent);
		if (outer == m)
			return 1;
		w->d = BPF_CORE_READ(m, mnt_mountpoint);
		w->m = outer;
		return 0;
	}
	if (w->len > CWD_ROOM - CWD_NAME)
		return 1;
	u64 at = bounded(w->len, CWD_ROOM);
	long n = bpf_probe_read_kernel_str(w->to + at, CWD_NAME, BPF_CORE_READ(d, d_name.name));
	if (n <= 0)
		return 1;
	w->len = at + n;
	w->d = up;
	return 0;
}

static __always_inline u32 put_cwd(char *to, struct task_struct *task)
{
	struct vfsmount *mnt = BPF_CORE_READ(task, fs, pwd.mnt);
	struct walk w = {
		.d = BPF_CORE_READ(task, fs, pwd.dentry),
		.root = BPF_CORE_READ(task, fs, root.dentry),
		.m = (void *)mnt - bpf_core_field_offset(struct mount, mnt),
		.to = to,
	};

	bpf_loop(CWD_PARTS, put_parent, &w, 0);
	return w.len;
}

struct exec_record {
	struct cf_exec e;
	char rest[PATH_ROOM + ARGV_ROOM + CWD_ROOM + CWD_NAME];
};

SEC("tp_btf/sched_process_exec")
int BPF_PROG(proc_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	notice(CF_NOTICE_EXEC, pid, t->start_ns, 0);
	bpf_task_storage_delete(&threads, task); /* no call of the old program returns */
	struct exec_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		count(CF_CNT_LOST_RING, 1);
		return 0;
	}
	struct cf_exec *e = &r->e;
	u32 at;
	e->inner_pid = inner_pid(task);
	e->ppid = BPF_CORE_READ(task, real_parent, tgid);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	long n = bpf_probe_read_kernel_str(r->rest, PATH_ROOM, BPF_CORE_READ(bprm, filename));
	at = bounded(n > 0 ? n - 1 : 0, PATH_ROOM);
	e->path_len = at;
	u64 from = BPF_CORE_READ(task, mm, arg_start), len = BPF_CORE_READ(task, mm, arg_end) - from;
	e->argv_cut = len >= ARGV_ROOM;
	len = bounded(len >= ARGV_ROOM ? ARGV_ROOM - 1 : len, ARGV_ROOM);
	if (bpf_probe_read_user(r->rest + at, len, (void *)from))
		len = 0;
	e->argv_len = len;
	at += len;
	e->cwd_len = put_cwd(r->rest + at, task);
	fill_header(&e->h, CF_EV_EXEC, sizeof(*e) + at + e->cwd_len, t->start_ns);
	submit(r, 0);
	return 0;
}

/* TLS objects that die with their process: their last positions. */
struct sweep {
	u64 start_ns;
	u32 pid;
};

static long close_object(void *map, struct cf_tls_key *key, struct cf_object *o, struct sweep *s)
{
	if (key->pid != s->pid)
		return 0;
	put_close(o, CF_CLOSE_EXIT, s->start_ns);
	struct cf_tls_key gone = *key;
	bpf_map_delete_elem(&tls_objects, &gone);
	return 0;
}

static long forget_call(void *map, struct go_key *key, struct tls_call *c, struct sweep *s)
{
	struct go_key gone = *key;

	if (gone.pid == s->pid)
		bpf_map_delete_elem(&go_reads, &gone);
	return 0;
}

static __always_inline void close_pipes(u32 pid, u64 start_ns)
{
	u64 key = CF_PIPE_KEY(pid);
	struct cf_object *o = bpf_map_lookup_elem(&sockets, &key);

	if (!o)
		return;
	put_close(o, CF_CLOSE_EXIT, start_ns);
	bpf_map_delete_elem(&sockets, &key);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(proc_exit, struct task_struct *task)
{
	struct cf_target *t = current_target();
	if (!t)
		return 0;
	if (BPF_CORE_READ(task, signal, live.counter) > 0) /* other threads live on */
		return 0;
	u32 pid = task->tgid;
	u64 start_ns = t->start_ns;
	struct sweep s = { start_ns, pid };
	if (t->flags & CF_TARGET_TLS)
		bpf_for_each_map_elem(&tls_objects, close_object, &s, 0);
	if (t->flags & CF_TARGET_GO)
		bpf_for_each_map_elem(&go_reads, forget_call, &s, 0);
	close_pipes(pid, start_ns);
	bpf_map_delete_elem(&targets, &pid);
	notice(CF_NOTICE_EXIT, pid, start_ns, 0);
	struct cf_exit *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(CF_CNT_LOST_RING, 1);
		return 0;
	}
	fill_header(&e->h, CF_EV_EXIT, sizeof(*e), start_ns);
	e->code = (u32)task->exit_code >> 8 & 0xff;
	e->signal = task->exit_code & 0x7f;
	submit(e, 0);
	return 0;
}

struct file_record {
	struct cf_file e;
	char path[PATH_ROOM];
	char path2[PATH_ROOM];
};

static __always_inline void put_file(u16 op, s32 dirfd, u64 path, u64 path2, u32 flags, long ret, u64 start_ns)
{
	struct file_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);

	if (!r) {
		count(CF_CNT_LOST_RING, 1);
		return;
	}
	long n = bpf_probe_read_user_str(r->path, PATH_ROOM, (void *)path);
	u32 at = bounded(n > 0 ? n - 1 : 0, PATH_ROOM);
	r->e.path_len = at;
	r->e.path2_len = 0;
	if (path2) {
		n = bpf_probe_read_user_str(r->path + at, PATH_ROOM, (void *)path2);
		r->e.path2_len = n > 0 ? n - 1 : 0;
		at += r->e.path2_len;
	}
	fill_header(&r->e.h, CF_EV_FILE, sizeof(r->e) + at, start_ns);
	r->e.dirfd = dirfd;
	r->e.result = ret;
	r->e.open_flags = flags;
	r->e.op = op;
	__builtin_memset(r->e.pad, 0, sizeof(r->e.pad));
	submit(r, 0);
}

static __always_inline void put_blind(u32 what, u64 start_ns)
{
	struct cf_blind *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count(CF_CNT_LOST_RING, 1);
		return;
	}
	fill_header(&e->h, CF_EV_BLIND, sizeof(*e), start_ns);
	e->blind = what;
	e->pad = 0;
	submit(e, 0);
}

static __always_inline void on_open(struct pt_regs *regs, u64 nr, long ret, u64 start_ns)
{
	u64 path = SYSCALL_ARG2(regs), flags = SYSCALL_ARG3(regs);
	s32 dirfd = SYSCALL_ARG1(regs);

#ifdef NR_open
	if (nr == NR_open || nr == NR_creat) {
		path = SYSCALL_ARG1(regs);
		flags = nr == NR_creat ? O_CREAT | 1 : SYSCALL_ARG2(regs);
		dirfd = AT_FDCWD;
	}
#endif
	if (nr == NR_openat2 && bpf_probe_read_user(&flags, sizeof(flags), (void *)flags))
		return;
	if (flags & (O_WRITES | O_CREAT))
		put_file(CF_FILE_WRITE, dirfd, path, 0, flags, ret, start_ns);
}

/* Asked of every system call on the host: before anything else is looked at. */
static __always_inline bool is_watched(u64 nr)
{
	switch (nr) {
#ifdef NR_open
	case NR_open:
	case NR_creat:
	case NR_unlink:
	case NR_rename:
	case NR_mkdir:
#endif
	case NR_openat:
	case NR_openat2:
	case NR_unlinkat:
	case NR_renameat:
	case NR_renameat2:
	case NR_mkdirat:
	case NR_io_uring_setup:
	case NR_mmap:
		return true;
	default:
		return false;
	}
}

SEC("tp_btf/sys_exit")
int BPF_PROG(proc_syscall, struct pt_regs *regs, long ret)
{
	u64 nr = SYSCALL_NR(regs);
	struct cf_target *t;

	if (ret < 0 && ret >= -4095)
		return 0;
	if (!is_watched(nr))
		return 0;
	t = current_target();
	if (!t)
		return 0;
	u64 a = SYSCALL_ARG1(regs), b = SYSCALL_ARG2(regs), start_ns = t->start_ns;
	switch (nr) {
	case NR_mmap:
		if (SYSCALL_ARG3(regs) & PROT_EXEC && (s32)SYSCALL_ARG5(regs) >= 0)
			notice(CF_NOTICE_MAP, bpf_get_current_pid_tgid() >> 32, start_ns, ret);
		break;
	case NR_io_uring_setup:
		put_blind(CF_BLIND_IO_URING, start_ns);
		break;
	case NR_unlinkat:
		put_file(CF_FILE_UNLINK, a, b, 0, 0, ret, start_ns);
		break;
	case NR_mkdirat:
		put_file(CF_FILE_MKDIR, a, b, 0, 0, ret, start_ns);
		break;
	case NR_renameat:
	case NR_renameat2:
		put_file(CF_FILE_RENAME, a, b, SYSCALL_ARG4(regs), 0, ret, start_ns);
		break;
#ifdef NR_open
	case NR_unlink:
		put_file(CF_FILE_UNLINK, AT_FDCWD, a, 0, 0, ret, start_ns);
		break;
	case NR_mkdir:
		put_file(CF_FILE_MKDIR, AT_FDCWD, a, 0, 0, ret, start_ns);
		break;
	case NR_rename:
		put_file(CF_FILE_RENAME, AT_FDCWD, a, b, 0, ret, start_ns);
		break;
#endif
	default:
		on_open(regs, nr, ret, start_ns);
	}
	return 0;
}

/* A process enters a control group: it may be one that is watched (docker exec, runc exec). Loaded only then. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(proc_enter, struct cgroup *to, const char *path, struct task_struct *task)
{
	notice(CF_NOTICE_CGROUP, task->tgid, task->group_leader->start_boottime, 0);
	return 0;
}

SEC("iter/task")
int proc_list(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task || task->pid != task->tgid)
		return 0;
	struct cf_task t = { .pid = task->tgid, .ppid = BPF_CORE_READ(task, real_parent, tgid), .start_ns = task->start_boottime };
	bpf_seq_write(ctx->meta->seq, &t, sizeof(t));
	return 0;
}
