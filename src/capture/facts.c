/* What capture learned, as records of the stream. */
#include "capture/room.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "capture/container.h"
#include "observe.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROC_TEXT (16u << 10)

uint64_t facts_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void send_record(struct capture *c, const struct cf_event *e)
{
	c->n_sent++;
	/* A reader that is gone is noticed by the loop, which ends then. */
	while (send(c->channel, e, e->size, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* c->json holds the members. */
void facts_send(struct capture *c, uint16_t kind, uint32_t pid, uint64_t start_ns)
{
	const struct cf_event *e = fact_make(&c->record, kind, facts_now(), pid, start_ns, buf_span(&c->json));

	if (e)
		send_record(c, e);
	buf_clear(&c->json);
}

static ssize_t read_text(uint32_t pid, const char *what, char *out, size_t room)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%u/%s", pid, what);
	AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, room - 1);
	out[n > 0 ? n : 0] = 0;
	return n;
}

static void put_link(struct capture *c, uint32_t pid, const char *what, const char *member)
{
	char name[64], text[4096];

	snprintf(name, sizeof(name), "/proc/%u/%s", pid, what);
	ssize_t n = readlink(name, text, sizeof(text));
	if (n > 0)
		json_put_member_text(&c->json, member, span_at(text, (size_t)n));
}

static void put_argv(struct capture *c, uint32_t pid)
{
	AUTO_FREE char *text = mem_alloc(PROC_TEXT);
	ssize_t n = read_text(pid, "cmdline", text, PROC_TEXT);

	if (n <= 0)
		return;
	json_put_key(&c->json, "argv");
	buf_add_char(&c->json, '[');
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(text + at) + 1) {
		json_put_comma(&c->json);
		json_put_text(&c->json, span_of(text + at), NULL);
	}
	buf_add_char(&c->json, ']');
}

/* The numbers of /proc/PID/status that we need. */
static void put_status(struct capture *c, uint32_t pid)
{
	char text[4096], *line, *last;
	unsigned int ppid = 0, uid = 0;
	struct stat st;

	if (read_text(pid, "status", text, sizeof(text)) <= 0)
		return;
	if ((line = strstr(text, "\nPPid:")))
		sscanf(line, "\nPPid: %u", &ppid);
	if ((line = strstr(text, "\nUid:")))
		sscanf(line, "\nUid: %u", &uid);
	json_put_member_i64(&c->json, "ppid", ppid);
	json_put_member_i64(&c->json, "uid", uid);
	if ((line = strstr(text, "\nNSpid:"))) {
		line[1 + strcspn(line + 1, "\n")] = 0;
		last = strrchr(line, '\t');
		if (last)
			json_put_member_i64(&c->json, "inner_pid", strtol(last + 1, NULL, 10));
	}
	char ns[64];
	snprintf(ns, sizeof(ns), "/proc/%u/ns/mnt", pid);
	if (stat(ns, &st) == 0)
		json_put_member_i64(&c->json, "mnt_ns", (int64_t)st.st_ino);
}

/* Announces a process whose program has yet to start: its events come before the fact that tells what it is. */
void facts_held(struct capture *c, const struct followed *f)
{
	buf_clear(&c->json);
	buf_printf(&c->json, "{\"pid\":%u,\"start_ns\":%llu,\"root\":true}", f->pid, (unsigned long long)f->start_ns);
	facts_send(c, CF_FACT_PROCESS, f->pid, f->start_ns);
}

static void put_some(struct buf *b, const char *name, const char *text)
{
	if (*text)
		json_put_member_text(b, name, span_of(text));
}

static void put_container(struct capture *c, uint32_t pid)
{
	struct container k;

	if (c->options.group.container)
		k = *c->options.group.container;
	else if (!container_of(pid, &k))
		return;
	json_put_key(&c->json, "container");
	buf_add_char(&c->json, '{');
	put_some(&c->json, "id", k.id);
	put_some(&c->json, "name", k.name);
	put_some(&c->json, "image", k.image);
	put_some(&c->json, "pod", k.pod);
	buf_add_char(&c->json, '}');
}

void facts_process(struct capture *c, const struct followed *f)
{
	char comm[64];

	buf_clear(&c->json);
	buf_add_char(&c->json, '{');
	json_put_member_i64(&c->json, "pid", f->pid);
	json_put_member_i64(&c->json, "start_ns", (int64_t)f->start_ns);
	put_status(c, f->pid);
	ssize_t n = read_text(f->pid, "comm", comm, sizeof(comm));
	if (n > 0)
		json_put_member_text(&c->json, "comm", span_trim(span_of(comm)));
	put_link(c, f->pid, "exe", "exe");
	put_link(c, f->pid, "cwd", "cwd");
	put_argv(c, f->pid);
	if (f->root)
		json_put_member_bool(&c->json, "root", true);
	put_container(c, f->pid);
	buf_add_char(&c->json, '}');
	facts_send(c, CF_FACT_PROCESS, f->pid, f->start_ns);
}

static const char *unhooked_reason(const struct hooked_file *file, const struct locate_lib *lib, char *text, size_t room)
{
	if (file->error && file->error != -ESRCH && file->error != -ENOTSUP) {
		snprintf(text, room, "attaching failed: %s", strerror(-file->error));
		return text;
	}
	return lib->reason[0] ? lib->reason : "its calls are not covered by this version";
}

void facts_library(struct capture *c, const struct followed *f, const struct hooked_file *file)
{
	char text[128];

	for (uint32_t i = 0; i < file->found->n_libs; i++) {
		const struct locate_lib *lib = &file->found->libs[i];
		size_t functions = attach_functions(lib);
		bool hooked = file->n_links && functions;
		buf_clear(&c->json);
		buf_add_char(&c->json, '{');
		json_put_member_i64(&c->json, "pid", f->pid);
		json_put_member_text(&c->json, "path", span_of(file->path));
		json_put_member_text(&c->json, "library", span_of(lib->library));
		if (file->found->build_id[0])
			json_put_member_text(&c->json, "build_id", span_of(file->found->build_id));
		if (lib->method)
			json_put_member_text(&c->json, "method", span_of(lib->method));
		json_put_member_bool(&c->json, "hooked", hooked);
		json_put_member_i64(&c->json, "functions", (int64_t)functions);
		if (!hooked)
			json_put_member_text(&c->json, "reason", span_of(unhooked_reason(file, lib, text, sizeof(text))));
		buf_add_char(&c->json, '}');
		facts_send(c, CF_FACT_LIBRARY, f->pid, f->start_ns);
	}
}

void facts_counters(struct capture *c, bool tell)
{
	static const char *const names[] = {
		[CF_CNT_EVENTS] = "events",
		[CF_CNT_BYTES] = "bytes",
		[CF_CNT_LOST_RING] = "lost_ring",
		[CF_CNT_LOST_RING_BYTES] = "lost_ring_bytes",
		[CF_CNT_LOST_FAULT] = "lost_fault",
		[CF_CNT_LOST_FAULT_BYTES] = "lost_fault_bytes",
		[CF_CNT_LOST_CLAMP] = "lost_clamp",
		[CF_CNT_LOST_CLAMP_BYTES] = "lost_clamp_bytes",
		[CF_CNT_LOST_MAP] = "lost_map",
		[CF_CNT_LOST_CONTROL] = "lost_control",
		[CF_CNT_DATA] = "data_events",
	};
	int n_cpu = libbpf_num_possible_cpus(), map = bpf_map__fd(c->bpf->maps.counters);
	AUTO_FREE struct cf_counters *per_cpu = mem_alloc(sizeof(*per_cpu) * (size_t)(n_cpu > 0 ? n_cpu : 1));
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(map, &zero, per_cpu))
		n_cpu = 0;

	buf_clear(&c->json);
	buf_add_char(&c->json, '{');
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t sum = 0;
		if (!names[i])
			continue;
		for (int k = 0; k < n_cpu; k++)
			sum += per_cpu[k].n[i];
		json_put_member_i64(&c->json, names[i], (int64_t)sum);
	}
	if (tell)
		json_put_member_bool(&c->json, "tell", true);
	buf_add_char(&c->json, '}');
	facts_send(c, CF_FACT_COUNTERS, 0, 0);
}

static void send_positions(struct capture *c, int map, size_t key_len, uint32_t why)
{
	char key[16], next[16];
	struct cf_object o;
	bool first = true;

	while (bpf_map_get_next_key(map, first ? NULL : key, next) == 0) {
		memcpy(key, next, key_len);
		first = false;
		if (bpf_map_lookup_elem(map, key, &o))
			continue;
		struct cf_close e = {
			.h = { .size = sizeof(e), .kind = CF_EV_CLOSE, .flags = CF_FL_READ, .ts_ns = facts_now(),
			       .pid = o.pid, .tid = o.pid, .start_ns = o.start_ns },
			.in = o.in, .out = o.out, .in_pos = o.in_pos, .out_pos = o.out_pos, .why = why,
		};
		send_record(c, &e.h);
	}
}

/* Where every stream stands, so that a lost tail is a gap of known size. */
void facts_positions(struct capture *c)
{
	send_positions(c, bpf_map__fd(c->bpf->maps.closed), sizeof(uint64_t), CF_CLOSE_FREED);
	send_positions(c, bpf_map__fd(c->bpf->maps.tls_objects), sizeof(struct cf_tls_key), CF_CLOSE_DRAIN);
	send_positions(c, bpf_map__fd(c->bpf->maps.sockets), sizeof(uint64_t), CF_CLOSE_DRAIN);
}
