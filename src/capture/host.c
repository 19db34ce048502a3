/* What the host allows: one row for each thing that is asked of it. */
#include "capture/doctor_int.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define BTF_FILE "/sys/kernel/btf/vmlinux"
#define BTF_MAGIC 0xeb9f
#define UPROBE_PMU "/sys/bus/event_source/devices/uprobe/type"
/* x86-64, since 6.11; calling it from outside its trampoline gives SIGILL. */
#define NR_URETPROBE 335

#define SAY(field, ...) snprintf((field), sizeof(field), __VA_ARGS__)

static bool read_text(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return n > 0;
}

static uint64_t effective_capabilities(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data))
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

static const struct {
	int number;
	const char *name;
} needed[] = {
	{ CAP_BPF, "CAP_BPF" },
	{ CAP_PERFMON, "CAP_PERFMON" },
	{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
	/* for /proc/PID/map_files */
	{ CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE" },
};

static void look_privilege(struct finding *f)
{
	uint64_t have = effective_capabilities();
	char missing[160] = "", map[64] = "";
	unsigned int inside, outside, count;
	size_t len = 0;

	/* CAP_SYS_ADMIN covers all of them but CAP_SYS_PTRACE. */
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		bool covered = have >> CAP_SYS_ADMIN & 1 && needed[i].number != CAP_SYS_PTRACE;

		if (!covered && !(have >> needed[i].number & 1) && len < sizeof(missing))
			len += (size_t)snprintf(missing + len, sizeof(missing) - len, "%s%s",
						len ? ", " : "", needed[i].name);
	}
	f->error = -EPERM;
	read_text("/proc/self/uid_map", map, sizeof(map));
	if (*missing) {
		f->verdict = VERDICT_MISSING;
		SAY(f->text, "needs root, or the capabilities that are missing: %s", missing);
		SAY(f->advice, "Try it with sudo");
	} else if (sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && count != UINT32_MAX) {
		f->verdict = VERDICT_MISSING;
		SAY(f->text, "root of a user namespace (a rootless container) may not load probes");
		SAY(f->advice, "Run it on the host");
	} else {
		SAY(f->text, geteuid() == 0 ? "root" : "all that is needed, without root");
	}
}

static void look_kernel(struct finding *f)
{
	struct utsname u;

	if (!uname(&u))
		SAY(f->text, "%.64s %.64s %.32s", u.sysname, u.release, u.machine);
}

static void look_btf(struct finding *f)
{
	uint16_t magic = 0;
	int fd = open(BTF_FILE, O_RDONLY | O_CLOEXEC);

	f->error = -ENOENT;
	if (fd >= 0 && read(fd, &magic, sizeof(magic)) == sizeof(magic) && magic == BTF_MAGIC) {
		SAY(f->text, BTF_FILE);
	} else {
		f->verdict = VERDICT_MISSING;
		SAY(f->text, "kernel BTF not found (%s: %s)", BTF_FILE,
		    fd < 0 ? strerror(errno) : "not BTF");
		SAY(f->advice, "Boot a kernel with CONFIG_DEBUG_INFO_BTF=y; Debian and Ubuntu "
			       "kernels have it, and "
			       "/sys must be mounted");
	}
	if (fd >= 0)
		close(fd);
}

static void look_lockdown(struct finding *f)
{
	char text[96];

	if (!read_text("/sys/kernel/security/lockdown", text, sizeof(text))) {
		SAY(f->text, "none that could be read");
	} else if (strstr(text, "[confidentiality]")) {
		f->verdict = VERDICT_MISSING;
		f->error = -EPERM;
		SAY(f->text, "the kernel is locked down (confidentiality): BPF may not read the "
			     "memory of processes");
		SAY(f->advice, "Boot without lockdown=confidentiality");
	} else {
		SAY(f->text, "%s", text);
	}
}

/* libbpf's answer: 1 yes, 0 no, negative not to be asked. */
static void judge(struct finding *f, int answer, const char *yes, const char *no,
		  enum verdict when_no)
{
	f->error = -ENOTSUP;
	if (answer > 0) {
		SAY(f->text, "%s", yes);
	} else if (answer < 0 || !(effective_capabilities() >> CAP_BPF & 1 ||
				   effective_capabilities() >> CAP_SYS_ADMIN & 1)) {
		f->verdict = VERDICT_UNKNOWN;
		SAY(f->text, "not known without privilege");
	} else {
		f->verdict = when_no;
		SAY(f->text, "%s", no);
	}
}

static void look_ring(struct finding *f)
{
	judge(f, libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL), "yes",
	      "no BPF ring buffer: this kernel is too old (before 5.8)", VERDICT_MISSING);
	if (f->verdict == VERDICT_MISSING)
		SAY(f->advice, "Run a kernel from 6.1 on");
}

/* libbpf's own probe of tracing programs needs fentry, which hosts may refuse and we do not use. */
static int try_typed_tracepoint(void)
{
	struct bpf_insn insns[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K },
				    { .code = BPF_JMP | BPF_EXIT } };
	int id = libbpf_find_vmlinux_btf_id("sched_process_exec", BPF_TRACE_RAW_TP);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP,
		    .attach_btf_id = id > 0 ? (uint32_t)id : 0);
	int fd = id > 0 ? bpf_prog_load(BPF_PROG_TYPE_TRACING, "cf_probe", "GPL", insns, 2, &opts)
			: id;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void look_tracing(struct finding *f)
{
	judge(f, try_typed_tracepoint(), "yes",
	      "no BTF-typed tracepoints: this kernel is too old or was built without them",
	      VERDICT_MISSING);
	if (f->verdict == VERDICT_MISSING)
		SAY(f->advice, "Run a kernel from 6.1 on");
}

static void look_loop(struct finding *f)
{
	judge(f, libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_loop, NULL),
	      "yes: a call of any size is taken whole",
	      "no bpf_loop: the end of a very large call is counted as lost", VERDICT_LIMITED);
}

static void look_uprobes(struct finding *f)
{
	char type[32];

	f->error = -ENOTSUP;
	if (read_text(UPROBE_PMU, type, sizeof(type))) {
		SAY(f->text, "yes");
		return;
	}
	f->verdict = VERDICT_MISSING;
	SAY(f->text, "no uprobes (%s is not there): TLS libraries cannot be hooked", UPROBE_PMU);
	SAY(f->advice, "Boot a kernel with CONFIG_UPROBE_EVENTS=y; /sys must be mounted");
}

static void look_cgroups(struct finding *f)
{
	if (!access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		SAY(f->text, "version 2");
	else if (!access("/sys/fs/cgroup", F_OK))
		SAY(f->text,
		    "version 1 or hybrid: containers are told by the names of their cgroups");
	else
		SAY(f->text, "none");
}

#ifdef __x86_64__
/* How the system call of uretprobes ends in a child, with or without a filter that refuses it. 0: by a signal. */
static int try_uretprobe(bool filtered)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_URETPROBE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(*code), code };
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGILL, SIG_DFL);
		prctl(PR_SET_DUMPABLE, 0);
		if (filtered && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
				 prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)))
			_exit(ENOSYS);
		syscall(NR_URETPROBE);
		_exit(errno);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return ENOSYS;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

bool host_seccomp_kills(void)
{
	return try_uretprobe(false) == 0 && try_uretprobe(true) == EPERM;
}
#else
bool host_seccomp_kills(void)
{
	return false;
}
#endif

static void look_seccomp(struct finding *f)
{
	if (!host_seccomp_kills()) {
		SAY(f->text, "return probes are safe in processes under seccomp");
		return;
	}
	f->verdict = VERDICT_LIMITED;
	SAY(f->text, "return probes would end a process under seccomp on this kernel; none are "
		     "placed there");
	SAY(f->advice, "Run a kernel with the exemption (6.14, or a stable 6.12 and 6.13)");
}

static const struct {
	const char *name;
	bool required;
	void (*look)(struct finding *f);
} rows[] = {
	{ "privilege", true, look_privilege },
	{ "kernel", false, look_kernel },
	{ "kernel types (BTF)", true, look_btf },
	{ "lockdown", true, look_lockdown },
	{ "ring buffer", true, look_ring },
	{ "typed tracepoints", true, look_tracing },
	{ "loops", false, look_loop },
	{ "uprobes", true, look_uprobes },
	{ "control groups", false, look_cgroups },
	{ "seccomp", false, look_seccomp },
};
_Static_assert(sizeof(rows) / sizeof(*rows) == HOST_FINDINGS, "one finding a row");

static int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

size_t host_look(struct finding out[HOST_FINDINGS])
{
	/* A probe that fails is an answer, not news. */
	libbpf_print_fn_t former = libbpf_set_print(silent);

	for (size_t i = 0; i < HOST_FINDINGS; i++) {
		out[i] = (struct finding){ .name = rows[i].name, .required = rows[i].required };
		rows[i].look(&out[i]);
	}
	libbpf_set_print(former);
	return HOST_FINDINGS;
}

int host_check(char *why, size_t len)
{
	struct finding found[HOST_FINDINGS];

	host_look(found);
	for (size_t i = 0; i < HOST_FINDINGS; i++) {
		if (!found[i].required || found[i].verdict != VERDICT_MISSING)
			continue;
		snprintf(why, len, "%s. %s; cf-observe doctor tells more", found[i].text,
			 found[i].advice);
		return found[i].error;
	}
	return 0;
}
