#include "sandbox.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

static void drop_capabilities(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	for (int cap = 0; cap <= 63; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (syscall(SYS_capset, &h, none))
		log_warn("capabilities could not be given up: %s", strerror(errno));
}

/*
 * What capturing needs: BPF programs and probes (BPF, PERFMON; SYS_ADMIN for probes by perf events, before Linux 6.6, and
 * for /proc/PID/map_files), the files and namespaces of any target (SYS_PTRACE, DAC_READ_SEARCH), and to pass a signal on
 * to the command and end its own helpers (KILL).
 */
static const int capture_capabilities[] = {
	CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_KILL, CAP_PERFMON, CAP_BPF, CAP_CHECKPOINT_RESTORE,
};

void sandbox_capture(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2], keep[2] = { { 0 } };

	if (syscall(SYS_capget, &h, have))
		return;
	for (size_t i = 0; i < sizeof(capture_capabilities) / sizeof(capture_capabilities[0]); i++) {
		int cap = capture_capabilities[i];
		keep[cap / 32].permitted |= have[cap / 32].permitted & 1u << cap % 32;
	}
	for (int i = 0; i < 2; i++)
		keep[i].effective = keep[i].permitted;
	if (syscall(SYS_capset, &h, keep))
		log_warn("capabilities that are not needed could not be given up: %s", strerror(errno));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;

	syscall(SYS_close_range, 3, low - 1, 0);
	if (low + 1 <= high - 1)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0u, 0);
}

void sandbox_drop(int keep_a, int keep_b)
{
	const char *uid = getenv("SUDO_UID"), *gid = getenv("SUDO_GID");

	close_others(keep_a, keep_b);
	if (geteuid() == 0 && uid && gid && strtoul(uid, NULL, 10)) {
		gid_t g = (gid_t)strtoul(gid, NULL, 10);
		uid_t u = (uid_t)strtoul(uid, NULL, 10);
		if (setgroups(1, &g) || setresgid(g, g, g) || setresuid(u, u, u)) {
			log_error("privileges could not be given up: %s", strerror(errno));
			_exit(1);
		}
	}
	drop_capabilities();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* Dies with nobody: when capture is killed, what the ring still holds is written. */
	signal(SIGPIPE, SIG_IGN);
}

/* Reading, writing and naming files below the trace directory, memory, time, waiting. No sockets, no exec, no ptrace. */
static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
	SCMP_SYS(close), SCMP_SYS(lseek), SCMP_SYS(openat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
	SCMP_SYS(fstatfs), SCMP_SYS(ftruncate), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(rename), SCMP_SYS(unlinkat), SCMP_SYS(unlink), SCMP_SYS(linkat), SCMP_SYS(mkdirat), SCMP_SYS(fchmod), SCMP_SYS(fchown),
	SCMP_SYS(fchownat), SCMP_SYS(fchmodat), SCMP_SYS(getdents64), SCMP_SYS(fcntl), SCMP_SYS(fallocate),
	SCMP_SYS(copy_file_range), SCMP_SYS(sendfile), SCMP_SYS(flock), SCMP_SYS(dup), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(shutdown), SCMP_SYS(ioctl), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
	SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack), SCMP_SYS(tgkill), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(sysinfo),
	SCMP_SYS(prlimit64), SCMP_SYS(getrusage), SCMP_SYS(sched_yield), SCMP_SYS(uname),
};

void sandbox_enter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; ctx && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (ctx) {
		err = seccomp_load(ctx);
		seccomp_release(ctx);
	}
	if (err)
		log_warn("the seccomp filter could not be loaded: %s", strerror(-err));
}
