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

#define MAX_PROBES 512 /* of one program on one file; a Go function has up to LOCATE_MAX_RETS RETs */

struct probe_set {
	uint64_t offsets[MAX_PROBES];
	uint64_t cookies[MAX_PROBES];
	uint32_t n;
};

/* The programs, in the order in which they are attached: an entry without its return would leave a pending call behind. */
enum program {
	ON_NOTHING,
	ON_RETURN,
	ON_GO_READ_DONE,
	ON_DECRYPTED,
	ON_ENTER,
	ON_FREE,
	ON_GO_READ,
	ON_GO_WRITE,
	ON_GO_CLOSE,
	ON_ENCRYPT,
	ON_DECRYPT,
	N_PROGRAMS,
};

static const struct {
	enum tls_func func;
	unsigned char call; /* enum cf_call */
	unsigned char library;
	enum program enter, leave;
} shapes[] = {
	{ FN_SSL_READ, CF_CALL_READ, CF_LIB_OPENSSL, ON_ENTER, ON_RETURN },
	{ FN_SSL_WRITE, CF_CALL_WRITE, CF_LIB_OPENSSL, ON_ENTER, ON_RETURN },
	{ FN_SSL_READ_EX, CF_CALL_READ_EX, CF_LIB_OPENSSL, ON_ENTER, ON_RETURN },
	{ FN_SSL_WRITE_EX, CF_CALL_WRITE_EX, CF_LIB_OPENSSL, ON_ENTER, ON_RETURN },
	{ FN_SSL_WRITE_EX2, CF_CALL_WRITE_EX2, CF_LIB_OPENSSL, ON_ENTER, ON_RETURN },
	{ FN_SSL_FREE, CF_CALL_FREE, CF_LIB_OPENSSL, ON_FREE, ON_NOTHING },
	{ FN_GNUTLS_RECV, CF_CALL_READ, CF_LIB_GNUTLS, ON_ENTER, ON_RETURN },
	{ FN_GNUTLS_SEND, CF_CALL_WRITE, CF_LIB_GNUTLS, ON_ENTER, ON_RETURN },
	{ FN_GNUTLS_DEINIT, CF_CALL_FREE, CF_LIB_GNUTLS, ON_FREE, ON_NOTHING },
	{ FN_GO_READ, CF_CALL_READ, CF_LIB_GO, ON_GO_READ, ON_GO_READ_DONE },
	{ FN_GO_WRITE, CF_CALL_WRITE, CF_LIB_GO, ON_GO_WRITE, ON_NOTHING },
	{ FN_GO_CLOSE, CF_CALL_FREE, CF_LIB_GO, ON_GO_CLOSE, ON_NOTHING },
	{ FN_RUSTLS_ENCRYPT, CF_CALL_WRITE, CF_LIB_RUSTLS, ON_ENCRYPT, ON_NOTHING },
	{ FN_RUSTLS_DECRYPT, CF_CALL_READ, CF_LIB_RUSTLS, ON_DECRYPT, ON_DECRYPTED },
	{ FN_RUSTLS_READ, CF_CALL_READ_RESULT, CF_LIB_RUSTLS, ON_ENTER, ON_RETURN },
	{ FN_RUSTLS_WRITE, CF_CALL_WRITE_RESULT, CF_LIB_RUSTLS, ON_ENTER, ON_RETURN },
};

static const struct bpf_program *program_of(const struct capture *c, enum program which)
{
	switch (which) {
	case ON_RETURN:
		return c->bpf->progs.tls_return;
	case ON_GO_READ_DONE:
		return c->bpf->progs.go_read_done;
	case ON_DECRYPTED:
		return c->bpf->progs.rustls_decrypted;
	case ON_ENTER:
		return c->bpf->progs.tls_enter;
	case ON_FREE:
		return c->bpf->progs.tls_free;
	case ON_GO_READ:
		return c->bpf->progs.go_read;
	case ON_GO_WRITE:
		return c->bpf->progs.go_write;
	case ON_GO_CLOSE:
		return c->bpf->progs.go_close;
	case ON_ENCRYPT:
		return c->bpf->progs.rustls_encrypt;
	case ON_DECRYPT:
		return c->bpf->progs.rustls_decrypt;
	case ON_NOTHING:
	case N_PROGRAMS:
		break;
	}
	return NULL;
}

static bool is_return(enum program which)
{
	return which == ON_RETURN || which == ON_DECRYPTED;
}

void attach_prepare(struct capture *c)
{
	c->multi = attach_has_multi();
	for (int i = ON_NOTHING + 1; c->multi && i < N_PROGRAMS; i++)
		bpf_program__set_expected_attach_type((struct bpf_program *)program_of(c, (enum program)i),
						      (enum bpf_attach_type)TRACE_UPROBE_MULTI);
}

static int link_multi(int prog_fd, const char *path, const struct probe_set *set, bool at_return, uint32_t pid)
{
	struct link_create_uprobe_multi a = {
		.prog_fd = (uint32_t)prog_fd,
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)set->offsets,
		.cookies = (uintptr_t)set->cookies,
		.cnt = set->n,
		.multi_flags = at_return ? UPROBE_MULTI_RETURN : 0,
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

static int link_one_by_one(const struct bpf_program *prog, const char *path, const struct probe_set *set, bool at_return,
			   struct hooked_file *file)
{
	for (uint32_t i = 0; i < set->n; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = at_return, .bpf_cookie = set->cookies[i]);
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

static int link_set(struct capture *c, enum program which, const char *path, const struct probe_set *set,
		    struct hooked_file *file, uint32_t pid)
{
	const struct bpf_program *prog = program_of(c, which);

	if (!set->n)
		return 0;
	if (!c->multi)
		return link_one_by_one(prog, path, set, is_return(which), file);
	int fd = link_multi(bpf_program__fd(prog), path, set, is_return(which), c->options.isolate ? pid : 0);
	if (fd < 0)
		return fd;
	keep_link(file, fd);
	return 0;
}

static void add_probe(struct probe_set *set, uint64_t offset, uint64_t cookie)
{
	if (set->n == MAX_PROBES)
		return;
	set->offsets[set->n] = offset;
	set->cookies[set->n++] = cookie;
}

/* Go only knows where it returns; others may be probed by return address. */
static void add_leave(struct probe_set *set, const struct locate_site *s, uint64_t cookie)
{
	for (uint32_t i = 0; i < s->n_rets; i++)
		add_probe(set, s->rets[i], cookie);
	if (!s->n_rets && s->ret_off)
		add_probe(set, s->ret_off, cookie);
}

static void collect(const struct locate_lib *lib, struct probe_set sets[N_PROGRAMS])
{
	uint64_t unfreed = CF_COOKIE_UNFREED;

	for (uint32_t i = 0; i < lib->n_sites; i++)
		for (size_t k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++)
			if (shapes[k].func == lib->sites[i].func && shapes[k].call == CF_CALL_FREE)
				unfreed = 0;
	for (uint32_t i = 0; i < lib->n_sites; i++) {
		const struct locate_site *s = &lib->sites[i];
		for (size_t k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++) {
			if (shapes[k].func != s->func)
				continue;
			uint64_t cookie = CF_COOKIE(shapes[k].library, shapes[k].call) | unfreed;
			if (s->inner_off && (s->func == FN_SSL_READ || s->func == FN_SSL_WRITE))
				continue; /* seen where its _ex is */
			if (s->inner_off) {
				add_probe(&sets[shapes[k].enter], s->inner_off, cookie);
				add_probe(&sets[shapes[k].leave], s->inner_off, cookie);
				continue;
			}
			add_probe(&sets[shapes[k].enter], s->entry_off, cookie);
			if (shapes[k].leave != ON_NOTHING)
				add_leave(&sets[shapes[k].leave], s, cookie);
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
	AUTO_FREE struct probe_set *sets = mem_alloc(N_PROGRAMS * sizeof(*sets));
	size_t functions = 0;
	char path[64];
	int err = 0;

	for (uint32_t i = 0; i < file->found->n_libs; i++) {
		functions += attach_functions(&file->found->libs[i]);
		collect(&file->found->libs[i], sets);
	}
	if (!functions)
		return -ENOTSUP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (int i = ON_NOTHING + 1; !err && i < N_PROGRAMS; i++)
		err = link_set(c, (enum program)i, path, &sets[i], file, pid);
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
