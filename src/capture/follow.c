/* Which processes are followed. The kernel adds children by itself; here they get their libraries looked at. */
#include "capture/room.h"

#include "base/mem.h"
#include "capture/container.h"
#include "observe.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct followed *new_followed(struct capture *c, uint32_t pid, uint64_t start_ns)
{
	struct followed *f = map_get(&c->procs, pid);

	if (f && f->start_ns == start_ns)
		return f;
	if (f) {
		map_fini(&f->files);
		free(f);
	}
	f = mem_alloc(sizeof(*f));
	f->pid = pid;
	f->start_ns = start_ns;
	map_set(&c->procs, pid, f);
	return f;
}

/* All processes, each with its parent and exact start time. */
static struct cf_task *list_tasks(struct capture *c, size_t *n)
{
	struct buf b;
	int fd = bpf_iter_create(c->list_fd);

	*n = 0;
	if (fd < 0)
		return NULL;
	buf_init(&b, 64u << 20);
	for (;;) {
		char *to = buf_reserve(&b, 65536);
		ssize_t got = to ? read(fd, to, 65536) : 0;
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			break;
		b.len += (size_t)got;
	}
	close(fd);
	*n = b.len / sizeof(struct cf_task);
	return (void *)b.p;
}

static int add_target(struct capture *c, const struct cf_task *t)
{
	struct cf_target v = { .start_ns = t->start_ns };

	return bpf_map_update_elem(bpf_map__fd(c->bpf->maps.targets), &t->pid, &v, BPF_ANY);
}

/* `pid` first, so that the kernel adds what it forks from now on; then those that it forked before. */
int follow_add(struct capture *c, uint32_t pid, bool root)
{
	size_t n, n_new = 0;
	AUTO_FREE struct cf_task *tasks = list_tasks(c, &n);
	AUTO_FREE bool *in = mem_alloc(n + 1);
	struct followed *f;
	bool more = true;

	for (size_t i = 0; i < n; i++) {
		if (tasks[i].pid != pid)
			continue;
		int err = add_target(c, &tasks[i]);
		if (err)
			return err;
		f = new_followed(c, pid, tasks[i].start_ns);
		f->root = root;
		c->n_roots += root;
		in[i] = true;
		n_new++;
	}
	if (!n_new)
		return -ESRCH;
	free(tasks);
	tasks = list_tasks(c, &n);
	free(in);
	in = mem_alloc(n + 1);
	for (size_t i = 0; i < n; i++)
		in[i] = tasks[i].pid == pid;
	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			for (size_t k = 0; k < n && !in[i]; k++) {
				if (!in[k] || tasks[i].ppid != tasks[k].pid)
					continue;
				in[i] = more = true;
				add_target(c, &tasks[i]);
				new_followed(c, tasks[i].pid, tasks[i].start_ns);
			}
		}
	}
	return 0;
}

void follow_scan(struct capture *c, struct followed *f)
{
	f->rescan = false;
	files_scan(c, f);
}

static void forget(struct capture *c, uint32_t pid, uint64_t start_ns)
{
	struct followed *f = map_get(&c->procs, pid);

	if (!f || f->start_ns != start_ns)
		return;
	c->n_roots -= f->root;
	map_del(&c->procs, pid);
	map_fini(&f->files);
	free(f);
}

static bool belongs(const struct capture_group *g, uint32_t pid)
{
	char name[32], comm[64];

	if (pid == (uint32_t)getpid())
		return false;
	if (g->container)
		return container_has(g->container, pid);
	if (g->cgroup)
		return cgroup_has(g->cgroup, pid);
	snprintf(name, sizeof(name), "/proc/%u/comm", pid);
	AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, comm, sizeof(comm) - 1);
	if (n <= 0)
		return false;
	comm[n - (comm[n - 1] == '\n')] = 0;
	return fnmatch(g->comm, comm, 0) == 0;
}

int follow_group(struct capture *c)
{
	size_t n;
	int found = 0;
	AUTO_FREE struct cf_task *tasks = list_tasks(c, &n);

	for (size_t i = 0; i < n; i++) {
		if (!belongs(&c->options.group, tasks[i].pid))
			continue;
		struct followed *f = map_get(&c->procs, tasks[i].pid);
		if (f && f->root)
			continue;
		int err = follow_add(c, tasks[i].pid, true);
		if (err && err != -ESRCH)
			return err;
		found += !err;
	}
	return found;
}

/* Somebody came into a control group; if it is the one that is watched, he is followed from here on. */
static void on_entry(struct capture *c, const struct cf_notice *n)
{
	struct followed *f = map_get(&c->procs, n->pid);

	if ((f && f->start_ns == n->start_ns) || !belongs(&c->options.group, n->pid) || follow_add(c, n->pid, true))
		return;
	f = map_get(&c->procs, n->pid);
	facts_process(c, f);
	f->rescan = true;
}

static void on_notice(struct capture *c, const struct cf_notice *n)
{
	struct followed *f;

	if (n->kind == CF_NOTICE_EXIT) {
		forget(c, n->pid, n->start_ns);
		return;
	}
	if (n->kind == CF_NOTICE_CGROUP) {
		on_entry(c, n);
		return;
	}
	f = new_followed(c, n->pid, n->start_ns);
	f->rescan = true;
	if (n->kind == CF_NOTICE_EXEC) {
		/* A new program: what was reported of the old one says nothing of it. */
		map_fini(&f->files);
		map_init(&f->files);
		f->hooked = f->has_tls_unhooked = f->held = false;
		facts_process(c, f);
		if (f->root)
			framework_scan(c, f);
	}
}

void follow_notices(struct capture *c)
{
	const struct cf_notice *n;
	size_t len;
	void *value;

	while ((n = ring_next_raw(&c->control, &len))) {
		if (len >= sizeof(*n))
			on_notice(c, n);
		ring_release(&c->control);
	}
	/* Many mappings, one look. */
	for (size_t i = 0; map_next(&c->procs, &i, NULL, &value);) {
		struct followed *f = value;
		if (f->rescan && !f->held)
			follow_scan(c, f);
	}
}

void follow_free(struct capture *c)
{
	void *value;

	for (size_t i = 0; map_next(&c->procs, &i, NULL, &value);) {
		map_fini(&((struct followed *)value)->files);
		free(value);
	}
	map_fini(&c->procs);
}
