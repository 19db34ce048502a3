/*
 * Which files a process maps, and what is in them. A target's files are hostile and may stall (FUSE, NFS): they are opened
 * and read only by a helper process that has a deadline; what it found comes back over a socket, with the open file.
 */
#include "capture/room.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER_MS 5000   /* for one batch of files */
#define MAX_MAPPED 4096  /* executable mappings of one process; more are reported as a gap */
#define LINE_MAX_LEN 8192

struct mapped {
	uint64_t dev, ino, from, to;
	char *path;
	int rank; /* likely ones first: they are hooked first */
};

struct answer {
	uint32_t index;
	int32_t result; /* of locate_file */
	struct locate_result found;
};

static uint64_t file_key(uint64_t dev, uint64_t ino)
{
	return hash_mix(dev) ^ (ino * 0x9e3779b97f4a7c15ull);
}

static int rank_of(const char *path, bool first)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	if (strstr(base, "libssl") || strstr(base, "libgnutls"))
		return 0;
	if (first)
		return 1;
	return strstr(base, "ssl") || strstr(base, "libnode") || strstr(base, "tls") ? 2 : 3;
}

/* A whole line of /proc/PID/maps, or nothing: the path in it is the target's own choice. */
static bool parse_line(char *line, struct mapped *m)
{
	unsigned long long from, to, offset, ino;
	unsigned int major, minor;
	char perms[5];
	int at = -1;

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &from, &to, perms, &offset, &major, &minor, &ino, &at) < 7)
		return false;
	if (at < 0 || perms[2] != 'x' || ino == 0 || line[at] != '/')
		return false;
	*m = (struct mapped){ .dev = makedev(major, minor), .ino = ino, .from = from, .to = to, .path = line + at };
	return true;
}

static size_t read_maps(uint32_t pid, struct mapped **out)
{
	char name[32];
	char *line = NULL;
	size_t room = 0, n = 0, cap = 0;
	struct mapped *list = NULL, m;

	snprintf(name, sizeof(name), "/proc/%u/maps", pid);
	FILE *f = fopen(name, "re");
	if (!f)
		return 0;
	while (n < MAX_MAPPED && getline(&line, &room, f) > 0) {
		size_t len = strlen(line);
		if (!len || line[len - 1] != '\n' || len > LINE_MAX_LEN)
			continue;
		line[len - 1] = 0;
		if (!parse_line(line, &m))
			continue;
		bool known = false;
		for (size_t i = 0; i < n && !known; i++)
			known = list[i].dev == m.dev && list[i].ino == m.ino;
		if (known)
			continue;
		m.rank = rank_of(m.path, n == 0);
		m.path = mem_text(m.path);
		list = mem_room(list, &cap, n + 1, sizeof(*list));
		list[n++] = m;
	}
	free(line);
	fclose(f);
	*out = list;
	return n;
}

static int by_rank(const void *a, const void *b)
{
	const struct mapped *x = a, *y = b;

	return x->rank != y->rank ? x->rank - y->rank : (x->from > y->from) - (x->from < y->from);
}

static int send_answer(int to, const struct answer *a, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)a, sizeof(*a) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	return sendmsg(to, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive_answer(int from, struct answer *a, int *fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { a, sizeof(*a) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			      .msg_controllen = sizeof(control.room) };
	ssize_t n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (n != (ssize_t)sizeof(*a))
		return n < 0 ? -errno : -EPIPE;
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
	if (cm && cm->cmsg_type == SCM_RIGHTS && cm->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(cm), sizeof(int));
	return 0;
}

static void helper(uint32_t pid, const struct mapped *list, const size_t *todo, size_t n, int to)
{
	static struct answer a;
	struct rlimit memory = { 2ul << 30, 2ul << 30 };
	char name[96];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "cf-locate");
	setrlimit(RLIMIT_AS, &memory);
	for (size_t i = 0; i < n; i++) {
		const struct mapped *m = &list[todo[i]];
		struct stat st;
		/* map_files names the very file that is mapped, whatever the target calls it in whatever namespace. */
		snprintf(name, sizeof(name), "/proc/%u/map_files/%llx-%llx", pid, (unsigned long long)m->from,
			 (unsigned long long)m->to);
		int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		memset(&a, 0, sizeof(a));
		a.index = (uint32_t)todo[i];
		a.result = fd < 0 ? -errno : 0;
		if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode)))
			a.result = -EINVAL;
		if (!a.result)
			a.result = locate_file(fd, &a.found);
		if (send_answer(to, &a, a.result == 0 ? fd : -1))
			break;
		if (fd >= 0)
			close(fd);
	}
	_exit(0);
}

static void take_answer(struct capture *c, struct followed *f, const struct mapped *m, const struct answer *a, int fd)
{
	struct hooked_file *file = mem_alloc(sizeof(*file));
	uint64_t key = file_key(m->dev, m->ino);

	file->dev = m->dev;
	file->ino = m->ino;
	file->path = mem_text(m->path);
	file->has_tls = a->result == 0 || a->result == -ESRCH;
	if (file->has_tls) {
		file->found = mem_alloc(sizeof(a->found));
		*file->found = a->found;
		file->error = a->result;
		if (fd >= 0)
			file->error = attach_file(c, file, fd, f->pid);
	}
	map_set(&c->files, key, file);
}

/* Looks into list[todo[...]]; returns how many were answered. */
static void look_into(struct capture *c, struct followed *f, struct mapped *list, const size_t *todo, size_t n)
{
	static struct answer a;
	int pair[2], fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return;
	pid_t child = fork();
	if (child == 0) {
		close(pair[0]);
		helper(f->pid, list, todo, n, pair[1]);
	}
	close(pair[1]);
	uint64_t deadline = facts_now() + HELPER_MS * 1000000ull;
	for (size_t done = 0; child > 0 && done < n; done++) {
		uint64_t now = facts_now();
		struct pollfd p = { .fd = pair[0], .events = POLLIN };
		if (now >= deadline || poll(&p, 1, (int)((deadline - now) / 1000000 + 1)) <= 0) {
			log_warn("pid %u: %s could not be read in time; it is not covered", f->pid, list[todo[done]].path);
			break;
		}
		if (receive_answer(pair[0], &a, &fd) || a.index >= MAX_MAPPED)
			break;
		take_answer(c, f, &list[a.index], &a, fd);
		if (fd >= 0)
			close(fd);
	}
	close(pair[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

/* Looks into what is new and hooks it. *out: all that is mapped, to be given to free_maps. */
static size_t look(struct capture *c, struct followed *f, struct mapped **out)
{
	struct mapped *list = NULL;
	size_t n = read_maps(f->pid, &list), n_todo = 0;
	size_t *todo = mem_alloc((n + 1) * sizeof(*todo));

	qsort(list, n, sizeof(*list), by_rank);
	for (size_t i = 0; i < n; i++)
		if (!map_get(&c->files, file_key(list[i].dev, list[i].ino)))
			todo[n_todo++] = i;
	if (n_todo)
		look_into(c, f, list, todo, n_todo);
	free(todo);
	*out = list;
	return n;
}

static void free_maps(struct mapped *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].path);
	free(list);
}

void files_look(struct capture *c, struct followed *f)
{
	struct mapped *list;
	size_t n = look(c, f, &list);

	free_maps(list, n);
}

void files_scan(struct capture *c, struct followed *f)
{
	struct mapped *list;
	size_t n = look(c, f, &list);

	for (size_t i = 0; i < n; i++) {
		uint64_t key = file_key(list[i].dev, list[i].ino);
		struct hooked_file *file = map_get(&c->files, key);
		if (file && file->has_tls && !map_get(&f->files, key)) {
			map_set(&f->files, key, file);
			if (file->n_links)
				f->hooked = true;
			else
				f->has_tls_unhooked = true;
			facts_library(c, f, file);
		}
	}
	free_maps(list, n);
}

void files_free(struct capture *c)
{
	void *value;

	for (size_t i = 0; map_next(&c->files, &i, NULL, &value);) {
		struct hooked_file *file = value;
		attach_release(file);
		free(file->links);
		free(file->found);
		free(file->path);
		free(file);
	}
	map_fini(&c->files);
}
