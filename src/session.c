/*
 * Starts the two processes and waits for them. The parent keeps the privileges and captures; the child gives them up,
 * drains the ring and does everything else. What the child needs from outside it gets as facts.
 */
#include "session.h"

#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "capture/capture.h"
#include "capture/container.h"
#include "capture/doctor.h"
#include "command.h"
#include "observe.h"
#include "sandbox.h"
#include "unprivileged.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void put_boot_id(struct buf *b)
{
	char text[64] = "";
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (n > 0)
		json_put_member_text(b, "boot_id", span_trim(span_at(text, (size_t)n)));
}

static void put_host(struct buf *b, char **command)
{
	struct utsname u;
	uint64_t seed = 0;
	time_t now = time(NULL);
	struct tm local;

	uname(&u);
	localtime_r(&now, &local);
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = (uint64_t)clock_ns(CLOCK_REALTIME);
	buf_add_char(b, '{');
	json_put_member_text(b, "version", span_of(CF_VERSION));
	json_put_member_text(b, "host", span_of(u.nodename));
	json_put_member_text(b, "kernel", span_of(u.release));
	json_put_member_text(b, "arch", span_of(u.machine));
	put_boot_id(b);
	json_put_member_i64(b, "wall_offset_ns", clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME));
	json_put_member_i64(b, "utc_offset_s", local.tm_gmtoff);
	json_put_member_i64(b, "seed", (int64_t)(seed >> 1));
	json_put_member_i64(b, "observer_pid", getpid());
	if (command && command[0]) {
		json_put_key(b, "command");
		buf_add_char(b, '[');
		for (size_t i = 0; command[i]; i++) {
			json_put_comma(b);
			json_put_text(b, span_of(command[i]), NULL);
		}
		buf_add_char(b, ']');
	}
	buf_add_char(b, '}');
}

struct session {
	const struct options *options;
	struct capture *capture;
	struct container container;
	struct held held;
	sigset_t before; /* signal mask */
	int signal_fd;
	int channel[2]; /* ours, the observe process's */
	pid_t observer;
	struct buf host;
};

static int start_observer(struct session *s)
{
	int size = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->channel))
		return -errno;
	setsockopt(s->channel[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	s->observer = fork();
	if (s->observer < 0)
		return -errno;
	if (s->observer == 0) {
		close(s->channel[0]);
		_exit(observe_main(s->options, s->channel[1], capture_ring_fd(s->capture), capture_ring_bytes(s->capture)));
	}
	close(s->channel[1]);
	return 0;
}

/* Its exit code. A second signal ends it at once; what is in the journals stays. */
static int wait_observer(struct session *s)
{
	struct signalfd_siginfo si;
	int status;

	shutdown(s->channel[0], SHUT_WR);
	for (;;) {
		pid_t got = waitpid(s->observer, &status, WNOHANG);
		if (got == s->observer || got < 0)
			break;
		struct pollfd p = { .fd = s->signal_fd, .events = POLLIN };
		if (poll(&p, 1, 5) > 0 && read(s->signal_fd, &si, sizeof(si)) > 0 && si.ssi_signo != SIGCHLD) {
			log_error("stopped at once; open runs are in their journals. Try: cf-observe recover %s", s->options->output);
			kill(s->observer, SIGKILL);
		}
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return EXIT_INTERNAL;
}

/* false: it ended instead, and has said why. */
static bool observer_ready(const struct session *s)
{
	char ready;

	return recv(s->channel[0], &ready, 1, 0) == 1;
}

static int open_capture(struct session *s)
{
	struct capture_options co = {
		.ring_bytes = s->options->buffer,
		.duration_ns = s->options->duration_ns,
		.exit_with_targets = true,
		.group = { .cgroup = s->options->cgroup, .comm = s->options->comm },
		.command_pid = (uint32_t)s->held.pid,
		.host_json = buf_span(&s->host),
	};
	char why[512];

	if (s->options->container) {
		if (container_find(s->options->container, &s->container, why, sizeof(why))) {
			log_error("%s", why);
			return EXIT_TARGET;
		}
		co.group.container = &s->container;
	}
	if (capture_open(&co, &s->capture, why, sizeof(why))) {
		log_error("%s", why);
		return EXIT_HOST;
	}
	return 0;
}

static int follow_one(struct session *s, uint32_t pid)
{
	char why[256] = "";
	int err = target_check(pid, why, sizeof(why));

	if (!err)
		err = capture_follow(s->capture, pid, command_is_held(pid));
	if (err && *why)
		log_error("%s", why);
	else if (err)
		log_error("pid %u cannot be followed: %s", pid, strerror(-err));
	return err ? EXIT_TARGET : 0;
}

static int follow_groups(struct session *s)
{
	const struct options *o = s->options;
	const char *what = o->container ? o->container : o->cgroup ? o->cgroup : o->comm;
	int n = what ? capture_follow_group(s->capture) : 1;

	if (n > 0)
		return 0;
	log_error(n ? "%s cannot be followed: %s" : "no process belongs to %s", what, strerror(-n));
	return EXIT_TARGET;
}

static int follow_all(struct session *s)
{
	if (s->held.pid)
		return capture_follow(s->capture, (uint32_t)s->held.pid, true) ? EXIT_INTERNAL : 0;
	for (size_t i = 0; i < s->options->n_pids; i++) {
		int status = follow_one(s, s->options->pids[i]);
		if (status)
			return status;
	}
	return follow_groups(s);
}

static void block_signals(struct session *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &s->before);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	signal(SIGPIPE, SIG_IGN);
}

/* Where to say that all is covered. */
static int ready_fd(const struct session *s)
{
	if (s->held.pid)
		return s->held.release;
	return s->options->ready_fd ? (int)s->options->ready_fd : -1;
}

static int session(const struct options *o, char **command)
{
	struct session s = { .options = o };
	char why[512];
	int status;

	if (host_check(why, sizeof(why))) {
		log_error("%s", why);
		return command ? EXIT_RUN_FAILED : EXIT_HOST;
	}
	buf_init(&s.host, 64 * 1024);
	put_host(&s.host, command);
	block_signals(&s);
	if (command && command_hold(command, &s.before, &s.held))
		return EXIT_RUN_FAILED;
	status = open_capture(&s);
	if (!status) {
		capture_ahead(s.capture, command ? command[0] : NULL);
		status = follow_all(&s);
	}
	if (!status && start_observer(&s))
		status = EXIT_INTERNAL;
	if (!status) {
		sandbox_capture();
		/* Nothing is captured, and no command starts, before there is a place to write to. */
		if (observer_ready(&s))
			capture_loop(s.capture, s.channel[0], s.signal_fd, ready_fd(&s));
		status = wait_observer(&s);
	}
	capture_close(s.capture);
	if (command) {
		close(s.held.release);
		status = command_status(&s.held, o->args[0], status);
	}
	buf_fini(&s.host);
	return status;
}

int cmd_attach(const struct options *o)
{
	return session(o, NULL);
}

int cmd_run(const struct options *o)
{
	if (geteuid() != 0)
		return unprivileged_run(o);
	return session(o, o->args);
}

int cmd_record(const struct options *o)
{
	return session(o, o->n_args ? o->args : NULL);
}
