/* Containers, from /proc, cgroups and what runtimes leave on disk. No runtime is asked. */
#ifndef CF_CAPTURE_CONTAINER_H
#define CF_CAPTURE_CONTAINER_H

#include "base/buf.h"
#include "base/span.h"

struct container {
	char id[128];
	char name[128];  /* empty: not known */
	char image[256];
	char pod[128];
	uint64_t pid_ns; /* inode of its pid namespace; 0: not known */
};

/* The container that `pid` is in. false: in none that is recognised. */
bool container_of(uint32_t pid, struct container *out);
/* The one container that `text` names: an id, the beginning of one, or a name. 0; -ESRCH none, -EEXIST several: `why` lists. */
int container_find(const char *text, struct container *out, char *why, size_t why_len);
bool container_has(const struct container *c, uint32_t pid);
/* Is `pid` in this cgroup or below it? `path` as in /proc/PID/cgroup, with or without /sys/fs/cgroup before it. */
bool cgroup_has(const char *path, uint32_t pid);

#endif
