#include "capture/container.h"

#include "base/json.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUP_MAX 16384
#define RECORD_MAX (4u << 20) /* what a runtime writes about one container */
#define HEX_ID 64             /* Docker, containerd, CRI-O and podman: SHA-256 in hex */

/* What runtimes write about a container: file by id, and where in it the names are. */
static const struct record {
	const char *file;
	const char *name[4];
	const char *image[4];
	const char *pod[4];
} records[] = {
	/* Docker */
	{ "/var/lib/docker/containers/%s/config.v2.json", { "Name" }, { "Config", "Image" },
	  { "Config", "Labels", "io.kubernetes.pod.name" } },
	/* containerd: CRI, then nerdctl */
	{ "/run/containerd/io.containerd.runtime.v2.task/*/%s/config.json", { "annotations", "io.kubernetes.cri.container-name" },
	  { "annotations", "io.kubernetes.cri.image-name" }, { "annotations", "io.kubernetes.cri.sandbox-name" } },
	{ "/run/containerd/io.containerd.runtime.v2.task/*/%s/config.json", { "annotations", "nerdctl/name" }, { NULL }, { NULL } },
	/* CRI-O, podman */
	{ "/run/containers/storage/overlay-containers/%s/userdata/config.json", { "annotations", "io.kubernetes.container.name" },
	  { "annotations", "io.kubernetes.cri-o.ImageName" }, { "annotations", "io.kubernetes.pod.name" } },
	{ "/var/lib/containers/storage/overlay-containers/%s/userdata/config.json", { "hostname" },
	  { "annotations", "org.opencontainers.image.base.name" }, { NULL } },
};

/* Where runc keeps its state, one directory a container; the directory's name is the id. */
static const char *const states[] = {
	"/run/runc/*/state.json",
	"/run/docker/runtime-runc/moby/*/state.json",
	"/run/containerd/runc/*/*/state.json",
	"/run/user/*/runc/*/state.json",
};

#define N(table) (sizeof(table) / sizeof(*(table)))

static bool read_file(const char *path, struct buf *out)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	buf_clear(out);
	for (;;) {
		char *to = fd < 0 ? NULL : buf_reserve(out, 65536);
		ssize_t n = to ? read(fd, to, 65536) : -1;
		if (n < 0)
			return false;
		if (n == 0)
			return out->len > 0;
		out->len += (size_t)n;
	}
}

static size_t read_cgroup(uint32_t pid, char out[CGROUP_MAX])
{
	char name[32];

	snprintf(name, sizeof(name), "/proc/%u/cgroup", pid);
	AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, CGROUP_MAX - 1);
	out[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

static uint64_t pid_namespace(uint32_t pid)
{
	char name[64];
	struct stat st;

	snprintf(name, sizeof(name), "/proc/%u/ns/pid", pid);
	return stat(name, &st) == 0 ? st.st_ino : 0;
}

static bool is_hex_id(const char *p)
{
	for (int i = 0; i < HEX_ID; i++)
		if (!isxdigit((unsigned char)p[i]))
			return false;
	return !isxdigit((unsigned char)p[HEX_ID]);
}

/* 64 hexadecimal digits that stand alone in the path: docker-ID.scope, cri-containerd-ID.scope, pod.../ID. The last one. */
static bool hex_id(const char *cgroup, char out[HEX_ID + 1])
{
	bool found = false;

	for (const char *p = cgroup; strlen(p) >= HEX_ID; p++) {
		if (p > cgroup && isxdigit((unsigned char)p[-1]))
			continue;
		if (!is_hex_id(p))
			continue;
		memcpy(out, p, HEX_ID);
		out[HEX_ID] = 0;
		found = true;
		p += HEX_ID - 1;
	}
	return found;
}

/* `id` as a whole component of the path, or as its part between - and . */
static bool cgroup_names(const char *cgroup, const char *id)
{
	size_t len = strlen(id);

	for (const char *p = strstr(cgroup, id); p; p = strstr(p + 1, id)) {
		char before = p > cgroup ? p[-1] : '/', after = p[len];
		if (strchr("/-:", before) && (!after || strchr("/.\n", after)))
			return true;
	}
	return false;
}

static struct span walk(struct span json, const char *const path[4])
{
	for (int i = 0; i < 4 && path[i] && json.p; i++)
		json = json_get(json, path[i]);
	return path[0] && json_type_of(json) == JSON_STRING ? json : SPAN_NONE;
}

static void keep(char *out, size_t room, struct span json, const char *const path[4])
{
	struct arena a;

	arena_init(&a);
	struct span text = json_text(&a, walk(json, path));
	if (text.len && !*out) {
		if (text.p[0] == '/') /* Docker writes "/name" */
			text = span_at(text.p + 1, text.len - 1);
		snprintf(out, room, "%.*s", SPAN_FMT(text));
	}
	arena_fini(&a);
}

static void read_record(struct container *c, const struct record *r, const char *path, struct buf *text)
{
	struct span json;

	if (!read_file(path, text) || json_value(buf_span(text), &json, NULL))
		return;
	keep(c->name, sizeof(c->name), json, r->name);
	keep(c->image, sizeof(c->image), json, r->image);
	keep(c->pod, sizeof(c->pod), json, r->pod);
}

static void find_names(struct container *c)
{
	char pattern[512];
	struct buf text;
	glob_t g;

	if (strpbrk(c->id, "*?[/")) /* nothing of this is a pattern */
		return;
	buf_init(&text, RECORD_MAX);
	for (size_t i = 0; i < N(records); i++) {
		snprintf(pattern, sizeof(pattern), records[i].file, c->id);
		if (glob(pattern, 0, NULL, &g) == 0)
			for (size_t k = 0; k < g.gl_pathc; k++)
				read_record(c, &records[i], g.gl_pathv[k], &text);
		globfree(&g);
	}
	buf_fini(&text);
}

struct list {
	struct container *items;
	size_t n, cap;
};

static struct container *add(struct list *l, const char *id)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i].id, id) == 0)
			return &l->items[i];
	l->items = mem_room(l->items, &l->cap, l->n + 1, sizeof(*l->items));
	struct container *c = &l->items[l->n++];
	*c = (struct container){ .pid_ns = 0 };
	snprintf(c->id, sizeof(c->id), "%s", id);
	return c;
}

static void add_state(struct list *l, const char *path, struct buf *text)
{
	const char *end = strrchr(path, '/'), *from = end;
	struct span json;
	char id[128];
	int64_t pid;

	while (from > path && from[-1] != '/')
		from--;
	if ((size_t)(end - from) >= sizeof(id) || !read_file(path, text) || json_value(buf_span(text), &json, NULL))
		return;
	snprintf(id, sizeof(id), "%.*s", (int)(end - from), from);
	struct container *c = add(l, id);
	uint64_t own = pid_namespace((uint32_t)getpid());
	if (json_i64(json_get(json, "init_process_pid"), &pid) && pid > 0) {
		uint64_t ns = pid_namespace((uint32_t)pid);
		c->pid_ns = ns == own ? 0 : ns;
	}
}

static void list_states(struct list *l)
{
	struct buf text;
	glob_t g;

	buf_init(&text, RECORD_MAX);
	for (size_t i = 0; i < N(states); i++) {
		if (glob(states[i], 0, NULL, &g) == 0)
			for (size_t k = 0; k < g.gl_pathc; k++)
				add_state(l, g.gl_pathv[k], &text);
		globfree(&g);
	}
	buf_fini(&text);
}

static void list_cgroups(struct list *l)
{
	static char cgroup[CGROUP_MAX];
	char id[HEX_ID + 1];
	DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc))) {
		uint32_t pid = (uint32_t)strtoul(e->d_name, NULL, 10);
		if (pid && read_cgroup(pid, cgroup) && hex_id(cgroup, id))
			add(l, id);
	}
	if (proc)
		closedir(proc);
}

static void list_all(struct list *l)
{
	list_states(l);
	list_cgroups(l);
	for (size_t i = 0; i < l->n; i++)
		find_names(&l->items[i]);
}

bool container_has(const struct container *c, uint32_t pid)
{
	static char cgroup[CGROUP_MAX];

	if (c->pid_ns && pid_namespace(pid) == c->pid_ns)
		return true;
	return read_cgroup(pid, cgroup) && cgroup_names(cgroup, c->id);
}

bool container_of(uint32_t pid, struct container *out)
{
	static char cgroup[CGROUP_MAX];
	char id[HEX_ID + 1];

	if (read_cgroup(pid, cgroup) && hex_id(cgroup, id)) {
		*out = (struct container){ .pid_ns = 0 };
		snprintf(out->id, sizeof(out->id), "%s", id);
		find_names(out);
		return true;
	}
	/* A runtime that names its cgroups as it likes: the pid namespace tells, where it is not the host's. */
	uint64_t ns = pid_namespace(pid);
	bool found = false;
	if (!ns || ns == pid_namespace((uint32_t)getpid()))
		return false;
	struct list l = { .n = 0 };
	list_states(&l);
	for (size_t i = 0; i < l.n && !found; i++) {
		found = l.items[i].pid_ns == ns;
		if (found)
			*out = l.items[i];
	}
	free(l.items);
	if (found)
		find_names(out);
	return found;
}

static void name_all(const struct list *l, char *why, size_t why_len)
{
	size_t at = strlen(why);

	for (size_t i = 0; i < l->n && at < why_len; i++) {
		const char *name = l->items[i].name;
		at += (size_t)snprintf(why + at, why_len - at, "%s%.12s%s%s%s", i ? ", " : "", l->items[i].id, *name ? " (" : "",
				       name, *name ? ")" : "");
	}
	if (!l->n && at < why_len)
		snprintf(why + at, why_len - at, "none");
}

int container_find(const char *text, struct container *out, char *why, size_t why_len)
{
	struct list all = { .n = 0 }, fit = { .n = 0 };
	size_t len = strlen(text);
	int err = 0;

	list_all(&all);
	for (size_t i = 0; i < all.n; i++) {
		const struct container *c = &all.items[i];
		bool whole = strcmp(c->id, text) == 0 || strcmp(c->name, text) == 0;
		if (whole || (len && strncmp(c->id, text, len) == 0))
			*add(&fit, c->id) = *c;
		if (whole) { /* what is named in full is meant, whatever else begins so */
			fit.n = 0;
			*add(&fit, c->id) = *c;
			break;
		}
	}
	if (fit.n == 1) {
		*out = fit.items[0];
	} else if (fit.n) {
		err = -EEXIST;
		snprintf(why, why_len, "\"%s\" begins several containers: ", text);
		name_all(&fit, why, why_len);
	} else {
		err = -ESRCH;
		snprintf(why, why_len, "no container matches \"%s\"; running: ", text);
		name_all(&all, why, why_len);
	}
	free(all.items);
	free(fit.items);
	return err;
}

bool cgroup_has(const char *path, uint32_t pid)
{
	static char cgroup[CGROUP_MAX];
	static const char mount[] = "/sys/fs/cgroup";
	struct span text, line, field;

	if (strncmp(path, mount, sizeof(mount) - 1) == 0)
		path += sizeof(mount) - 1;
	text = span_at(cgroup, read_cgroup(pid, cgroup));
	while (text.len && span_split(&text, '\n', &line)) {
		/* number:controllers:path */
		if (!span_split(&line, ':', &field) || !span_split(&line, ':', &field) || !line.p)
			continue;
		struct span want = span_of(path), rest;
		/* Below /sys/fs/cgroup of version 1 the controller comes first. */
		if (field.len && want.len > field.len + 1 && want.p[0] == '/' && span_starts(span_at(want.p + 1, want.len - 1), field))
			want = span_at(want.p + 1 + field.len, want.len - 1 - field.len);
		while (want.len > 1 && want.p[want.len - 1] == '/')
			want.len--;
		if (!span_starts(line, want))
			continue;
		rest = span_at(line.p + want.len, line.len - want.len);
		if (!rest.len || rest.p[0] == '/' || span_is(want, "/"))
			return true;
	}
	return false;
}
