/*
 * probe_pair OBJECT LIBRARY: two probes that do nothing (empty.bpf.c) on the sites where cf-observe puts its own, attached
 * in the same way. Prints "ready", and stays until its standard input ends.
 */
#include "capture/locate.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* include/uapi/linux/bpf.h of Linux 6.6, newer than the headers of the oldest system we build on. */
#define TRACE_UPROBE_MULTI 48
#define UPROBE_MULTI_RETURN 1u
struct link_create_uprobe_multi {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t cnt, multi_flags, pid, pad;
};

static void need(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "probe_pair: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int moves_bytes(enum tls_func f)
{
	return f == FN_SSL_READ || f == FN_SSL_WRITE || f == FN_SSL_READ_EX ||
	       f == FN_SSL_WRITE_EX || f == FN_SSL_WRITE_EX2;
}

static void attach(struct bpf_object *o, const char *name, const char *path,
		   const uint64_t *offsets, uint32_t n, int is_return)
{
	struct link_create_uprobe_multi a = {
		.prog_fd = (uint32_t)bpf_program__fd(bpf_object__find_program_by_name(o, name)),
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cnt = n,
		.multi_flags = is_return ? UPROBE_MULTI_RETURN : 0,
	};

	need(syscall(SYS_bpf, BPF_LINK_CREATE, &a, sizeof(a)) >= 0, "uprobe_multi");
}

int main(int argc, char **argv)
{
	uint64_t enter[LOCATE_MAX_LIBS * LOCATE_MAX_SITES],
		leave[LOCATE_MAX_LIBS * LOCATE_MAX_SITES];
	static struct locate_result found;
	struct bpf_program *p;
	uint32_t n = 0;
	char c;

	need(argc == 3, "usage: probe_pair OBJECT LIBRARY");
	int fd = open(argv[2], O_RDONLY);
	need(fd >= 0 && locate_file(fd, &found) == 0, "nothing located");
	for (uint32_t i = 0; i < found.n_libs; i++) {
		for (uint32_t k = 0; k < found.libs[i].n_sites; k++) {
			const struct locate_site *s = &found.libs[i].sites[k];
			if (!moves_bytes(s->func) || (s->inner_off && (s->func == FN_SSL_READ || s->func == FN_SSL_WRITE)))
				continue;
			enter[n] = s->inner_off ? s->inner_off : s->entry_off;
			leave[n++] = s->inner_off ? s->inner_off : s->ret_off;
		}
	}
	struct bpf_object *o = bpf_object__open_file(argv[1], NULL);
	need(o != NULL, "opening the object");
	bpf_object__for_each_program(p, o)
		bpf_program__set_expected_attach_type(p, (enum bpf_attach_type)TRACE_UPROBE_MULTI);
	need(bpf_object__load(o) == 0, "loading the object");
	attach(o, "empty_return", argv[2], leave, n, 1);
	attach(o, "empty_enter", argv[2], enter, n, 0);
	printf("ready\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
