/* One process as doctor sees it: who it is, which TLS libraries it maps, what of them can be hooked. */
#include "capture/doctor_int.h"

#include "base/mem.h"
#include "capture/room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_MAPPED 4096
#define MAX_STATUS 4096
#define MAX_DESCRIPTORS 65536

static bool read_proc(uint32_t pid, const char *name, char *out, size_t cap)
{
	char path[64];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, cap - 1);
	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n >= 0;
}

/* The text behind "Name:\t" in /proc/PID/status. */
static const char *status_field(const char *status, const char *name)
{
	const char *line = strstr(status, name);

	return line ? line + strlen(name) + strspn(line + strlen(name), "\t ") : NULL;
}

/* The last number of NSpid: the process's own idea of its number. 0: not told. */
static uint32_t inner_pid(const char *status)
{
	const char *p = status_field(status, "\nNSpid:");
	uint32_t last = 0;

	while (p && *p && *p != '\n') {
		last = (uint32_t)strtoul(p, NULL, 10);
		p += strcspn(p, "\t\n");
		p += *p == '\t';
	}
	return last;
}

/* A container's id is the 64 hexadecimal digits in the name of its cgroup, whatever runs it. */
static void find_container(const char *cgroup, char *out, size_t cap)
{
	for (const char *p = cgroup; *p; p++) {
		size_t n = strspn(p, "0123456789abcdef");

		if (n == 64) {
			snprintf(out, cap, "%.12s", p);
			return;
		}
		p += n ? n - 1 : 0;
	}
}

static bool has_io_uring(uint32_t pid)
{
	char path[64], link[64];
	struct dirent *d;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	dir = opendir(path);
	for (int i = 0; dir && !found && i < MAX_DESCRIPTORS && (d = readdir(dir)); i++) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		found = strstr(link, "[io_uring]") != NULL;
	}
	if (dir)
		closedir(dir);
	return found;
}

struct seen {
	unsigned long long ino;
	unsigned int major, minor;
};

/* map_files names the very file, in whatever mount namespace; without privilege its path has to do. */
static int open_mapped(uint32_t pid, unsigned long long from, unsigned long long to,
		       const char *path)
{
	char name[96];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "/proc/%u/map_files/%llx-%llx", pid, from, to);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == EPERM)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static void look_into(struct target *t, int fd, const char *path)
{
	struct target_file *f = &t->files[t->n_files];
	size_t before = t->n_hookable;

	f->result = locate_file(fd, &f->found);
	if (f->result != 0 && f->result != -ESRCH)
		return;
	snprintf(f->path, sizeof(f->path), "%s", path);
	for (uint32_t i = 0; i < f->found.n_libs; i++)
		t->n_hookable += attach_functions(&f->found.libs[i]) > 0;
	if (t->n_hookable > before || f->result == -ESRCH || f->found.n_libs)
		t->n_files++;
}

static void look_line(struct target *t, char *line, struct seen *seen)
{
	unsigned long long from, to, offset, ino;
	unsigned int major, minor;
	char perms[5];
	int at = -1, fd;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &from, &to, perms, &offset, &major,
		   &minor, &ino, &at) < 7)
		return;
	if (at < 0 || perms[2] != 'x' || !ino || line[at] != '/' || t->n_mapped >= MAX_MAPPED ||
	    t->n_files >= TARGET_FILES)
		return;
	for (size_t i = 0; i < t->n_mapped; i++) {
		if (seen[i].ino == ino && seen[i].major == major && seen[i].minor == minor)
			return;
	}
	seen[t->n_mapped++] = (struct seen){ ino, major, minor };
	fd = open_mapped(t->pid, from, to, line + at);
	if (fd < 0) {
		t->n_unread++;
		return;
	}
	look_into(t, fd, line + at);
	close(fd);
}

static void look_maps(struct target *t)
{
	AUTO_FREE struct seen *seen = mem_alloc(MAX_MAPPED * sizeof(*seen));
	char path[64], *line = NULL;
	size_t cap = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/maps", t->pid);
	f = fopen(path, "re");
	if (!f) {
		t->maps_error = -errno;
		return;
	}
	while (getline(&line, &cap, f) > 0)
		look_line(t, line, seen);
	t->maps_error = ferror(f) ? -EIO : 0;
	free(line);
	fclose(f);
}

int target_look(uint32_t pid, struct target *out)
{
	char text[MAX_STATUS], link[64];
	const char *field;
	ssize_t n;

	*out = (struct target){ .pid = pid };
	if (!read_proc(pid, "status", text, sizeof(text)))
		return -ESRCH;
	out->files = mem_alloc(TARGET_FILES * sizeof(*out->files));
	out->inner_pid = inner_pid(text);
	field = status_field(text, "\nUid:");
	out->uid = field ? (uint32_t)strtoul(field, NULL, 10) : 0;
	field = status_field(text, "\nSeccomp:");
	out->seccomp = field && *field == '2';
	read_proc(pid, "comm", out->comm, sizeof(out->comm));
	out->comm[strcspn(out->comm, "\n")] = '\0';
	snprintf(link, sizeof(link), "/proc/%u/exe", pid);
	n = readlink(link, out->exe, sizeof(out->exe) - 1);
	out->exe[n > 0 ? n : 0] = '\0';
	read_proc(pid, "cgroup", text, sizeof(text));
	find_container(text, out->container, sizeof(out->container));
	out->io_uring = has_io_uring(pid);
	look_maps(out);
	return 0;
}

void target_free(struct target *t)
{
	free(t->files);
	t->files = NULL;
}

/* Which process of the host calls itself `inner`: the numbers that a person sees inside a container. 0: none. */
static uint32_t find_inner(uint32_t inner, char *comm, size_t cap)
{
	DIR *dir = opendir("/proc");
	char text[MAX_STATUS];
	uint32_t found = 0;
	struct dirent *d;

	while (dir && !found && (d = readdir(dir))) {
		uint32_t pid = (uint32_t)strtoul(d->d_name, NULL, 10);

		if (!pid || !read_proc(pid, "status", text, sizeof(text)) ||
		    inner_pid(text) != inner || pid == inner)
			continue;
		found = pid;
		read_proc(pid, "comm", comm, cap);
		comm[strcspn(comm, "\n")] = '\0';
	}
	if (dir)
		closedir(dir);
	return found;
}

int target_check(uint32_t pid, char *why, size_t len)
{
	char status[MAX_STATUS], comm[64];
	uint32_t host;

	if (read_proc(pid, "status", status, sizeof(status))) {
		/* A thread has a directory too; its process is what can be followed. */
		const char *leader = status_field(status, "\nTgid:");
		uint32_t tgid = leader ? (uint32_t)strtoul(leader, NULL, 10) : pid;

		if (tgid == pid)
			return 0;
		snprintf(why, len, "%u is a thread of process %u. Try: --pid %u", pid, tgid, tgid);
		return -ESRCH;
	}
	host = find_inner(pid, comm, sizeof(comm));
	if (host)
		snprintf(why, len,
			 "pid %u does not exist; in a container, %s calls itself %u. Try: --pid %u",
			 pid, comm, pid, host);
	else
		snprintf(why, len, "pid %u does not exist", pid);
	return -ESRCH;
}
