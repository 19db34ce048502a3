#include "capture/capture.h"

#include "capture/room.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "observe.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_NS 1000000000ull

static size_t ring_bytes(size_t wanted)
{
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	size_t most = wanted ? wanted : memory / 64 < 64 * MIB ? memory / 64 : 64 * MIB;
	size_t n = (size_t)sysconf(_SC_PAGESIZE);

	while (n * 2 <= most || (wanted && n < wanted))
		n *= 2;
	return n;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char text[1024];

	if (level == LIBBPF_DEBUG || !log_on(LOG_DEBUG))
		return 0;
	vsnprintf(text, sizeof(text), fmt, args);
	log_debug("%s", text);
	return 0;
}

static bool watches_groups(const struct capture *c)
{
	return c->options.group.container || c->options.group.cgroup;
}

static void set_up(struct capture *c)
{
	size_t size = ring_bytes(c->options.ring_bytes);

	bpf_map__set_max_entries(c->bpf->maps.ring, (uint32_t)size);
	c->bpf->rodata->wake_at = size / 16;
	attach_prepare(c);
	bpf_program__set_autoload(c->bpf->progs.proc_enter, watches_groups(c));
}

/* Kernels before 5.11 charge maps to this limit. */
static void raise_memlock(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &all);
}

static int attach_kernel(struct capture *c)
{
	struct observe_bpf *b = c->bpf;
	const struct {
		struct bpf_program *prog;
		struct bpf_link **link;
		bool wanted;
	} rows[] = {
		{ b->progs.proc_fork, &b->links.proc_fork, true },
		{ b->progs.proc_exec, &b->links.proc_exec, true },
		{ b->progs.proc_exit, &b->links.proc_exit, true },
		{ b->progs.proc_syscall, &b->links.proc_syscall, true },
		{ b->progs.net_syscall, &b->links.net_syscall, true },
		{ b->progs.net_closed, &b->links.net_closed, true },
		{ b->progs.proc_list, &b->links.proc_list, true },
		{ b->progs.proc_enter, &b->links.proc_enter, watches_groups(c) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rows[i].wanted)
			continue;
		*rows[i].link = bpf_program__attach(rows[i].prog);
		if (!*rows[i].link)
			return -errno;
	}
	c->list_fd = bpf_link__fd(b->links.proc_list);
	return 0;
}

int capture_open(const struct capture_options *o, struct capture **out, char *why, size_t why_len)
{
	struct capture *c = mem_alloc(sizeof(*c));
	int err;

	c->options = *o;
	c->channel = -1;
	buf_init(&c->json, 256 * KIB);
	buf_init(&c->record, 512 * KIB);
	libbpf_set_print(quiet);
	raise_memlock();
	c->bpf = observe_bpf__open();
	if (!c->bpf) {
		err = -errno;
		snprintf(why, why_len, "the BPF programs could not be opened: %s", strerror(-err));
		goto fail;
	}
	set_up(c);
	err = observe_bpf__load(c->bpf);
	if (err) {
		snprintf(why, why_len, "the kernel refused the BPF programs: %s. Run: cf-observe doctor", strerror(-err));
		goto fail;
	}
	err = attach_kernel(c);
	if (!err)
		err = ring_open(bpf_map__fd(c->bpf->maps.control), bpf_map__max_entries(c->bpf->maps.control), &c->control);
	if (err) {
		snprintf(why, why_len, "the BPF programs could not be attached: %s. Run: cf-observe doctor", strerror(-err));
		goto fail;
	}
	*out = c;
	return 0;
fail:
	capture_close(c);
	return err;
}

int capture_follow_group(struct capture *c)
{
	return follow_group(c);
}

int capture_ring_fd(const struct capture *c)
{
	return bpf_map__fd(c->bpf->maps.ring);
}

size_t capture_ring_bytes(const struct capture *c)
{
	return bpf_map__max_entries(c->bpf->maps.ring);
}

int capture_follow(struct capture *c, uint32_t pid, bool held)
{
	int err = follow_add(c, pid, true);

	if (!err && held)
		((struct followed *)map_get(&c->procs, pid))->held = true;
	return err;
}

/* Everything that is followed at the start: looked at and told, then: ready. */
static void first_look(struct capture *c)
{
	int64_t n = 0, hooked = 0, unhooked = 0;
	void *value;

	buf_clear(&c->json);
	buf_add_span(&c->json, c->options.host_json);
	facts_send(c, CF_FACT_HOST, 0, 0);
	for (size_t i = 0; map_next(&c->procs, &i, NULL, &value);) {
		if (((struct followed *)value)->held) {
			facts_held(c, value);
			continue;
		}
		facts_process(c, value);
		framework_scan(c, value);
		follow_scan(c, value);
	}
	for (size_t i = 0; map_next(&c->procs, &i, NULL, &value);) {
		const struct followed *f = value;
		n++;
		hooked += f->hooked;
		unhooked += f->has_tls_unhooked;
	}
	buf_add_char(&c->json, '{');
	json_put_member_i64(&c->json, "processes", n);
	json_put_member_i64(&c->json, "hooked", hooked);
	json_put_member_i64(&c->json, "not_hooked", unhooked);
	buf_add_char(&c->json, '}');
	facts_send(c, CF_FACT_READY, 0, 0);
}

static void on_request(struct capture *c, const struct request *r, const char **stop)
{
	uint8_t mode = (uint8_t)r->value;

	if (r->kind == REQUEST_MODE)
		bpf_map_update_elem(bpf_map__fd(c->bpf->maps.modes), &r->stream, &mode, BPF_ANY);
	else if (r->kind == REQUEST_STOP)
		*stop = "detached: the reader asked for it";
}

/* false: the reader is gone. */
static bool take_requests(struct capture *c, const char **stop)
{
	struct request r;
	ssize_t n;

	while ((n = recv(c->channel, &r, sizeof(r), MSG_DONTWAIT)) > 0)
		if (n == (ssize_t)sizeof(r))
			on_request(c, &r, stop);
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void detach(struct capture *c)
{
	void *value;

	for (size_t i = 0; map_next(&c->files, &i, NULL, &value);)
		attach_release(value);
	observe_bpf__detach(c->bpf);
}

static void finish(struct capture *c, const char *reason)
{
	detach(c);
	facts_counters(c, false);
	facts_positions(c);
	buf_clear(&c->json);
	buf_add_char(&c->json, '{');
	json_put_member_text(&c->json, "reason", span_of(reason));
	json_put_member_i64(&c->json, "sent", (int64_t)c->n_sent + 1);
	buf_add_char(&c->json, '}');
	facts_send(c, CF_FACT_STOP, 0, 0);
}

static void tick(struct capture *c)
{
	facts_counters(c, false);
	buf_clear(&c->json);
	buf_add_text(&c->json, "{}");
	facts_send(c, CF_FACT_TICK, 0, 0);
}

/* The command of `run` gets the first signal and ends by itself; from the terminal it has it already. */
static bool pass_on(struct capture *c, const struct signalfd_siginfo *si)
{
	if (!c->options.command_pid || c->signalled)
		return false;
	c->signalled = true;
	if (si->ssi_code != SI_KERNEL)
		kill((pid_t)c->options.command_pid, (int)si->ssi_signo);
	return true;
}

static const char *on_signal(struct capture *c, int signal_fd)
{
	struct signalfd_siginfo si;

	if (read(signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return NULL;
	if (si.ssi_signo == SIGUSR1) {
		facts_counters(c, true);
		return NULL;
	}
	return pass_on(c, &si) ? NULL : "signal";
}

int capture_loop(struct capture *c, int channel, int signal_fd, int release_fd)
{
	struct pollfd p[] = { { .fd = channel, .events = POLLIN },
			      { .fd = signal_fd, .events = POLLIN },
			      { .fd = bpf_map__fd(c->bpf->maps.control), .events = POLLIN } };
	uint64_t begun = facts_now(), next_tick = begun + TICK_NS;
	const char *stop = NULL;

	c->channel = channel;
	first_look(c);
	if (release_fd >= 0 && write(release_fd, "", 1) != 1)
		return -errno;
	while (!stop) {
		uint64_t now = facts_now();
		int wait_ms = now >= next_tick ? 0 : (int)((next_tick - now) / 1000000 + 1);
		if (poll(p, 3, wait_ms) < 0 && errno != EINTR)
			return -errno;
		follow_notices(c);
		if (p[0].revents && !take_requests(c, &stop))
			return -EPIPE;
		if (!stop && p[1].revents & POLLIN)
			stop = on_signal(c, signal_fd);
		now = facts_now();
		if (now >= next_tick) {
			tick(c);
			next_tick = now + TICK_NS;
		}
		if (!stop && c->options.duration_ns && now - begun >= c->options.duration_ns)
			stop = "duration";
		if (!stop && c->options.exit_with_targets && c->n_roots == 0)
			stop = "agent exited";
	}
	finish(c, stop);
	return 0;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	files_free(c);
	follow_free(c);
	ring_close(&c->control);
	observe_bpf__destroy(c->bpf);
	buf_fini(&c->json);
	buf_fini(&c->record);
	free(c);
}
