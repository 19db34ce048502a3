/*
 * The door of capture/: the privileged process. It loads the programs, follows processes, finds and hooks TLS libraries
 * and sends what it learns as facts over a socket pair. It never parses traffic. Only session.c opens this door.
 */
#ifndef CF_CAPTURE_CAPTURE_H
#define CF_CAPTURE_CAPTURE_H

#include "base/span.h"

struct capture;
struct container;

/* Processes by what they are in or how they are called; exactly one member is set. */
struct capture_group {
	const struct container *container;
	const char *cgroup;
	const char *comm; /* a shell pattern of the name the kernel has */
};

struct capture_options {
	size_t ring_bytes;      /* 0: min(64 MiB, 1/64 of memory); else rounded up to a power of two */
	uint64_t duration_ns;   /* 0: until the targets end or a signal comes */
	bool isolate;           /* probes per process instead of per file */
	struct span host_json;  /* first fact: see CF_FACT_HOST */
	bool exit_with_targets; /* stop when the last target has ended */
	struct capture_group group; /* who enters a container or control group later is followed, too */
	uint32_t command_pid;   /* of `run`: it gets the first signal, and the observation ends with it; 0: none */
};

/* Loads and attaches what does not depend on a process. 0 or -errno; `why` then says what to do next. */
int capture_open(const struct capture_options *o, struct capture **out, char *why, size_t why_len);
int capture_ring_fd(const struct capture *c);
size_t capture_ring_bytes(const struct capture *c);

/* Hooks what programs usually load, and `program` (may be NULL), before anything that is followed runs. */
void capture_ahead(struct capture *c, const char *program);

/*
 * Follows `pid` and its descendants from now on. -ESRCH: no such process. `held`: it has yet to exec what is watched; what
 * it maps until then is ours.
 */
int capture_follow(struct capture *c, uint32_t pid, bool held);

/* Follows all of options.group. The number of processes, or -errno. */
int capture_follow_group(struct capture *c);

/*
 * The process's loop: sends facts on `channel` and takes requests from it until told to stop by `signal_fd`, the time,
 * the end of the targets, or the end of the channel. Detaches, and sends the last positions and CF_FACT_STOP. One byte is
 * written to `release_fd` (or -1) when all that runs already is covered.
 */
int capture_loop(struct capture *c, int channel, int signal_fd, int release_fd);
void capture_close(struct capture *c);

#endif
