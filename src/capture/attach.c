/* Probes on a file: all at once by uprobe_multi where the kernel has it, else one perf event each. */
#include "capture/room.h"

#include "base/log.h"
#include "base/mem.h"
#include "observe.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of the oldest system we build on: include/uapi/linux/bpf.h of Linux 6.6. */
#define TRACE_UPROBE_MULTI 48
#define UPROBE_MULTI_RETURN 1u
struct link_create_uprobe_multi {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t cnt;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t pad;
};

struct probe_set {
	uint64_t offsets[LOCATE_MAX_LIBS * LOCATE_MAX_SITES];
	uint64_t cookies[LOCATE_MAX_LIBS * LOCATE_MAX_SITES];
	uint32_t n;
};

static const struct {
	enum tls_func func;
	unsigned char call; /* enum cf_call */
	unsigned char library;
} shapes[] = {
	{ FN_SSL_READ, CF_CALL_READ, CF_LIB_OPENSSL },
	{ FN_SSL_WRITE, CF_CALL_WRITE, CF_LIB_OPENSSL },
	{ FN_SSL_READ_EX, CF_CALL_READ_EX, CF_LIB_OPENSSL },
	{ FN_SSL_WRITE_EX, CF_CALL_WRITE_EX, CF_LIB_OPENSSL },
	{ FN_SSL_FREE, CF_CALL_FREE, CF_LIB_OPENSSL },
	{ FN_GNUTLS_RECV, CF_CALL_READ, CF_LIB_GNUTLS },
	{ FN_GNUTLS_SEND, CF_CALL_WRITE, CF_LIB_GNUTLS },
	{ FN_GNUTLS_DEINIT, CF_CALL_FREE, CF_LIB_GNUTLS },
};

static int link_multi(int prog_fd, const char *path, const struct probe_set *set, bool is_return, uint32_t pid)
{
	struct link_create_uprobe_multi a = {
		.prog_fd = (uint32_t)prog_fd,
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)set->offsets,
		.cookies = (uintptr_t)set->cookies,
		.cnt = set->n,
		.multi_flags = is_return ? UPROBE_MULTI_RETURN : 0,
		.pid = pid,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &a, sizeof(a));

	return fd < 0 ? -errno : (int)fd;
}

/* A path that is no regular file is refused with EBADF by kernels that know uprobe_multi, with EINVAL by others. */
bool attach_has_multi(void)
{
	struct bpf_insn insns[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT } };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = TRACE_UPROBE_MULTI);
	int prog = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "cf_probe", "GPL", insns, 2, &opts);
	struct probe_set set = { .n = 1 };

	if (prog < 0)
		return false;
	int link = link_multi(prog, "/", &set, false, 0);
	if (link >= 0)
		close(link);
	close(prog);
	return link == -EBADF;
}

static void keep_link(struct hooked_file *file, int fd)
{
	file->links = mem_room(file->links, &file->links_cap, file->n_links + 1, sizeof(int));
	file->links[file->n_links++] = fd;
}

static int link_one_by_one(const struct bpf_program *prog, const char *path, const struct probe_set *set, bool is_return,
			   struct hooked_file *file)
{
	for (uint32_t i = 0; i < set->n; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = is_return, .bpf_cookie = set->cookies[i]);
		struct bpf_link *link = bpf_program__attach_uprobe_opts(prog, -1, path, set->offsets[i], &opts);
		if (!link)
			return -errno;
		int fd = dup(bpf_link__fd(link));
		bpf_link__disconnect(link); /* the descriptor alone keeps it */
		bpf_link__destroy(link);
		if (fd < 0)
			return -errno;
		keep_link(file, fd);
	}
	return 0;
}

static int link_set(struct capture *c, const struct bpf_program *prog, const char *path, const struct probe_set *set,
		    bool is_return, struct hooked_file *file, uint32_t pid)
{
	if (!set->n)
		return 0;
	if (!c->multi)
		return link_one_by_one(prog, path, set, is_return, file);
	int fd = link_multi(bpf_program__fd(prog), path, set, is_return, c->options.isolate ? pid : 0);
	if (fd < 0)
		return fd;
	keep_link(file, fd);
	return 0;
}

static void add_probe(struct probe_set *set, uint64_t offset, unsigned int library, unsigned int call)
{
	set->offsets[set->n] = offset;
	set->cookies[set->n++] = CF_COOKIE(library, call);
}

static void collect(const struct locate_lib *lib, struct probe_set *enter, struct probe_set *leave, struct probe_set *freed)
{
	for (uint32_t i = 0; i < lib->n_sites; i++) {
		const struct locate_site *s = &lib->sites[i];
		for (size_t k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++) {
			if (shapes[k].func != s->func)
				continue;
			if (shapes[k].call == CF_CALL_FREE) {
				add_probe(freed, s->entry_off, shapes[k].library, shapes[k].call);
				continue;
			}
			add_probe(enter, s->entry_off, shapes[k].library, shapes[k].call);
			add_probe(leave, s->ret_off, shapes[k].library, shapes[k].call);
		}
	}
}

size_t attach_functions(const struct locate_lib *lib)
{
	size_t n = 0;

	for (uint32_t i = 0; i < lib->n_sites; i++)
		for (size_t k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++)
			n += shapes[k].func == lib->sites[i].func;
	return n;
}

int attach_file(struct capture *c, struct hooked_file *file, int fd, uint32_t pid)
{
	struct probe_set enter = { .n = 0 }, leave = { .n = 0 }, freed = { .n = 0 };
	char path[64];

	for (uint32_t i = 0; i < file->found->n_libs; i++)
		collect(&file->found->libs[i], &enter, &leave, &freed);
	if (!enter.n)
		return -ENOTSUP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* The return first: an entry without its return would only leave a pending call behind. */
	int err = link_set(c, c->bpf->progs.tls_return, path, &leave, true, file, pid);
	if (!err)
		err = link_set(c, c->bpf->progs.tls_enter, path, &enter, false, file, pid);
	if (!err)
		err = link_set(c, c->bpf->progs.tls_free, path, &freed, false, file, pid);
	if (err)
		attach_release(file);
	return err;
}

void attach_release(struct hooked_file *file)
{
	for (size_t i = 0; i < file->n_links; i++)
		close(file->links[i]);
	file->n_links = 0;
}
