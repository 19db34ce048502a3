/* Processes as the stream tells of them: who is whose child, what runs in them, when they end. */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "feed/fact.h"

#include <stdlib.h>

/* Dead processes are remembered for so long, and so many of them. */
#define DEAD_NS (30 * NS_PER_S)
#define DEAD_MAX 4096

static uint64_t proc_key(uint32_t pid, uint64_t start_ns)
{
	return hash_mix(start_ns ^ ((uint64_t)pid << 40)) ^ pid;
}

char *span_dup(struct span s)
{
	if (!s.p)
		return NULL;
	char *out = mem_alloc(s.len + 1);
	if (s.len)
		memcpy(out, s.p, s.len);
	return out;
}

struct proc *proc_find(const struct assembler *a, uint32_t pid, uint64_t start_ns)
{
	return map_get(&a->procs, proc_key(pid, start_ns));
}

static struct tree *tree_new(struct assembler *a, struct proc *root)
{
	struct tree *t = mem_alloc(sizeof(*t)), **end = &a->trees;

	while (*end)
		end = &(*end)->next;
	*end = t;
	t->root = root;
	return t;
}

static struct proc *proc_add(struct assembler *a, uint32_t pid, uint64_t start_ns, struct proc *parent)
{
	struct proc *p = mem_alloc(sizeof(*p));

	p->pid = pid;
	p->start_ns = start_ns;
	p->parent = parent;
	if (parent) {
		parent->children++;
		p->tree = parent->tree;
		p->tool = parent->tool;
	} else {
		p->tree = tree_new(a, p);
		p->root = true;
	}
	p->tree->alive++;
	p->tree->processes++;
	p->tree->exited_ns = 0;
	map_set(&a->procs, proc_key(pid, start_ns), p);
	return p;
}

struct proc *proc_get(struct assembler *a, uint32_t pid, uint64_t start_ns)
{
	struct proc *p = proc_find(a, pid, start_ns);

	if (p)
		return p;
	return proc_add(a, pid, start_ns, NULL); /* an event that came before the fact, or whose fact is lost */
}

bool proc_within(const struct proc *p, const struct proc *top)
{
	while (p && p != top)
		p = p->parent;
	return p;
}

/* The topmost process above p that was started before our eyes: one invocation of an agent. */
struct proc *proc_scope(struct proc *p)
{
	struct proc *scope = NULL;

	for (; p; p = p->parent)
		if (p->exec_seen)
			scope = p;
	return scope;
}

static void frameworks_free(struct framework *f)
{
	while (f) {
		struct framework *next = f->next;
		free(f->name);
		free(f->version);
		free(f->kind);
		free(f);
		f = next;
	}
}

static void proc_free(struct proc *p)
{
	frameworks_free(p->frameworks);
	free(p->exe);
	free(p->cwd);
	free(p->argv);
	free(p->container);
	free(p->exec.json);
	free(p);
}

static bool is_needed(const struct proc *p)
{
	for (struct run *r = p->tree->runs; r; r = r->next)
		if (r->scope == p || (r->pid == p->pid && r->proc_start_ns == p->start_ns))
			return true;
	return !p->exited || p->children || p->root;
}

/* Forgets p and those above it that only stayed for it. Roots stay as long as their tree. */
static void proc_drop(struct assembler *a, struct proc *p)
{
	while (p && !p->waits && !is_needed(p)) {
		struct proc *parent = p->parent;
		map_del(&a->procs, proc_key(p->pid, p->start_ns));
		proc_free(p);
		if (parent)
			parent->children--;
		p = parent;
	}
}

/* What a process did may be asked for a while after its end. */
static void bury(struct assembler *a, struct proc *p)
{
	p->waits = true;
	if (a->last_dead)
		a->last_dead->next_dead = p;
	else
		a->first_dead = p;
	a->last_dead = p;
	a->n_dead++;
}

void procs_forget(struct assembler *a)
{
	while (a->first_dead &&
	       (a->n_dead > DEAD_MAX || a->first_dead->exited_ns + DEAD_NS < a->now_ns)) {
		struct proc *p = a->first_dead;
		a->first_dead = p->next_dead;
		if (!a->first_dead)
			a->last_dead = NULL;
		a->n_dead--;
		p->waits = false;
		proc_drop(a, p);
	}
}

bool procs_of_tree_free(struct assembler *a, struct tree *t)
{
	struct proc **gone = NULL;
	size_t n = 0, cap = 0;
	void *p;
	bool waits = false;

	for (size_t i = 0; map_next(&a->procs, &i, NULL, &p);) {
		if (((struct proc *)p)->tree != t)
			continue;
		waits = waits || ((struct proc *)p)->waits;
		gone = mem_room(gone, &cap, n + 1, sizeof(*gone));
		gone[n++] = p;
	}
	for (size_t i = 0; !waits && i < n; i++) {
		map_del(&a->procs, proc_key(gone[i]->pid, gone[i]->start_ns));
		proc_free(gone[i]);
	}
	free(gone);
	return !waits;
}

void procs_free(struct assembler *a)
{
	void *p;

	for (size_t i = 0; map_next(&a->procs, &i, NULL, &p);)
		proc_free(p);
	map_fini(&a->procs);
}

static void on_fork(struct assembler *a, const struct cf_fork *e)
{
	struct proc *parent = proc_find(a, e->h.pid, e->h.start_ns);

	if (!parent)
		parent = proc_add(a, e->h.pid, e->h.start_ns, NULL);
	if (!proc_find(a, e->child_pid, e->child_start_ns))
		proc_add(a, e->child_pid, e->child_start_ns, parent);
}

/* ["a","b"] of NUL-separated text. */
static char *json_list(struct span nul_separated)
{
	struct buf b;
	struct span item;

	buf_init(&b, 16 * LIMIT_ARGV);
	buf_add_char(&b, '[');
	while (nul_separated.len && span_split(&nul_separated, 0, &item)) {
		json_put_comma(&b);
		json_put_text(&b, item, NULL);
	}
	buf_add_char(&b, ']');
	char *out = span_dup(buf_span(&b));
	buf_fini(&b);
	return out;
}

/* "/a/b" of "b\0a\0": innermost first. */
static char *path_of_parts(struct span parts)
{
	struct span item, all[64];
	size_t n = 0;
	struct buf b;

	while (parts.len && n < 64 && span_split(&parts, 0, &item))
		if (item.len && !span_is(item, "/"))
			all[n++] = item;
	buf_init(&b, 16 * KIB);
	if (!n)
		buf_add_char(&b, '/');
	while (n) {
		buf_add_char(&b, '/');
		buf_add_span(&b, all[--n]);
	}
	char *out = span_dup(buf_span(&b));
	buf_fini(&b);
	return out;
}

static void replace(char **at, char *value)
{
	free(*at);
	*at = value;
}

static void on_exec(struct assembler *a, const struct cf_exec *e)
{
	struct proc *p = proc_get(a, e->h.pid, e->h.start_ns);
	const char *rest = (const char *)(e + 1);
	size_t room = e->h.size - sizeof(*e);

	if ((size_t)e->path_len + e->argv_len + e->cwd_len > room)
		return;
	memcpy(p->comm, e->comm, sizeof(e->comm));
	p->comm[sizeof(p->comm) - 1] = 0;
	struct span path = span_at(rest, strnlen(rest, e->path_len));
	replace(&p->exe, path.len ? span_dup(path) : NULL);
	replace(&p->argv, json_list(span_at(rest + e->path_len, e->argv_len)));
	if (e->cwd_len)
		replace(&p->cwd, path_of_parts(span_at(rest + e->path_len + e->argv_len, e->cwd_len)));
	p->exec_seen = true;
	p->exec_ns = e->h.ts_ns;
	effect_exec(a, p, e);
}

static void on_exit_event(struct assembler *a, const struct cf_exit *e)
{
	struct proc *p = proc_find(a, e->h.pid, e->h.start_ns);

	if (!p || p->exited)
		return;
	p->exited = true;
	p->exited_ns = e->h.ts_ns;
	p->code = e->code;
	p->signal = e->signal;
	effect_exit(a, p);
	if (p->tree->alive && !--p->tree->alive)
		p->tree->exited_ns = e->h.ts_ns;
	bury(a, p);
	procs_forget(a);
}

void process_event(struct assembler *a, const struct cf_event *e)
{
	static const size_t sizes[] = {
		[CF_EV_FORK] = sizeof(struct cf_fork), [CF_EV_EXEC] = sizeof(struct cf_exec),
		[CF_EV_EXIT] = sizeof(struct cf_exit), [CF_EV_FILE] = sizeof(struct cf_file),
		[CF_EV_OPEN] = sizeof(struct cf_open), [CF_EV_BLIND] = sizeof(struct cf_blind),
	};
	if (e->kind >= sizeof(sizes) / sizeof(*sizes) || !sizes[e->kind] || e->size < sizes[e->kind])
		return;
	switch (e->kind) {
	case CF_EV_FORK:
		on_fork(a, (const void *)e);
		break;
	case CF_EV_EXEC:
		on_exec(a, (const void *)e);
		break;
	case CF_EV_EXIT:
		on_exit_event(a, (const void *)e);
		break;
	case CF_EV_FILE:
		effect_file(a, proc_get(a, e->pid, e->start_ns), (const void *)e);
		break;
	case CF_EV_OPEN:
		effect_open(a, proc_get(a, e->pid, e->start_ns), (const void *)e);
		break;
	default: {
		struct tree *t = proc_get(a, e->pid, e->start_ns)->tree;
		if (((const struct cf_blind *)(const void *)e)->blind == CF_BLIND_IO_URING)
			t->blind_uring++;
		else
			t->blind_splice++;
	}
	}
}

static char *text_member(struct span object, const char *name)
{
	struct arena scratch;

	arena_init(&scratch);
	char *out = span_dup(json_get_text(&scratch, object, name));
	arena_fini(&scratch);
	return out;
}

static uint32_t pid_member(struct span object, const struct cf_event *e)
{
	int64_t pid;

	return json_i64(json_get(object, "pid"), &pid) && pid > 0 ? (uint32_t)pid : e->pid;
}

static void fact_host(struct assembler *a, const struct cf_event *e, struct span j)
{
	(void)e;
	replace(&a->version, text_member(j, "version"));
	replace(&a->host, text_member(j, "host"));
	replace(&a->kernel, text_member(j, "kernel"));
	replace(&a->arch, text_member(j, "arch"));
	struct span command = json_get(j, "command");
	replace(&a->command, json_type_of(command) == JSON_ARRAY ? span_dup(command) : NULL);
}

static void fact_process(struct assembler *a, const struct cf_event *e, struct span j)
{
	struct proc *p = proc_find(a, e->pid, e->start_ns);

	if (!p) {
		/* The parent's start time is not in the fact: the living process of that number is the one. */
		struct proc *parent = NULL;
		void *q;
		int64_t ppid;
		if (json_i64(json_get(j, "ppid"), &ppid))
			for (size_t i = 0; map_next(&a->procs, &i, NULL, &q);)
				if (((struct proc *)q)->pid == ppid && !((struct proc *)q)->exited)
					parent = q;
		p = proc_add(a, e->pid, e->start_ns, parent);
	}
	p->announced = true;
	struct span argv = json_get(j, "argv"), container = json_get(j, "container");
	char *text = text_member(j, "exe");
	if (text)
		replace(&p->exe, text);
	if ((text = text_member(j, "cwd")))
		replace(&p->cwd, text);
	if (json_type_of(argv) == JSON_ARRAY)
		replace(&p->argv, span_dup(argv));
	if (json_type_of(container) == JSON_OBJECT)
		replace(&p->container, span_dup(container));
	if ((text = text_member(j, "comm")))
		memcpy(p->comm, text, strnlen(text, sizeof(p->comm) - 1));
	free(text);
}

static void fact_library(struct assembler *a, const struct cf_event *e, struct span j)
{
	struct proc *p = proc_find(a, e->pid, e->start_ns);

	if (!p)
		return;
	char *path = text_member(j, "path");
	struct library *l = p->tree->libraries;
	while (l && (l->pid != pid_member(j, e) || !path || !l->path || strcmp(l->path, path) != 0))
		l = l->next;
	if (!l) {
		l = mem_alloc(sizeof(*l));
		l->pid = pid_member(j, e);
		l->next = p->tree->libraries;
		p->tree->libraries = l;
	}
	replace(&l->path, path);
	replace(&l->library, text_member(j, "library"));
	replace(&l->reason, text_member(j, "reason"));
	l->hooked = json_true(json_get(j, "hooked"));
}

static void fact_framework(struct assembler *a, const struct cf_event *e, struct span j)
{
	struct proc *p = proc_find(a, e->pid, e->start_ns);

	if (!p)
		return;
	char *name = text_member(j, "name");
	struct framework *f = p->frameworks;
	while (f && name && strcmp(f->name, name) != 0)
		f = f->next;
	if (!name || f) {
		free(name);
		return;
	}
	f = mem_alloc(sizeof(*f));
	*f = (struct framework){ p->frameworks, name, text_member(j, "version"), text_member(j, "kind") };
	p->frameworks = f;
}

static void fact_gap(struct assembler *a, const struct cf_event *e, struct span j)
{
	struct proc *p = proc_find(a, e->pid, e->start_ns);
	struct note *n = mem_alloc(sizeof(*n));

	if (!p && a->trees)
		p = a->trees->root;
	n->pid = pid_member(j, e);
	n->text = text_member(j, "reason");
	if (!p) {
		free(n->text);
		free(n);
		return;
	}
	n->next = p->tree->gaps;
	p->tree->gaps = n;
}

const char *const lost_names[] = { "lost_ring", "lost_ring_bytes", "lost_fault", "lost_fault_bytes", "lost_clamp",
				   "lost_clamp_bytes", "lost_map", "lost_control", "nested", "lost_queue",
				   "lost_queue_bytes", NULL };

static void fact_counters(struct assembler *a, const struct cf_event *e, struct span j)
{
	struct counters *c = &a->counters;

	*c = (struct counters){ .seen = true, .ts_ns = e->ts_ns, .records = -1, .events = -1, .bytes = -1 };
	json_i64(json_get(j, "events"), &c->events);
	json_i64(json_get(j, "bytes"), &c->bytes);
	int64_t data;
	if (c->events >= 0 && json_i64(json_get(j, "data_events"), &data))
		c->records = c->events - data;
	for (size_t i = 0; lost_names[i]; i++)
		json_i64(json_get(j, lost_names[i]), &c->lost[i]);
}

static void fact_stop(struct assembler *a, const struct cf_event *e, struct span j)
{
	(void)e;
	replace(&a->stop_reason, text_member(j, "reason"));
	json_i64(json_get(j, "sent"), &a->sent);
	a->stopped = true;
}

void process_fact(struct assembler *a, const struct cf_event *e)
{
	static void (*const table[])(struct assembler *, const struct cf_event *, struct span) = {
		[CF_FACT_HOST - CF_FACT_FIRST] = fact_host,
		[CF_FACT_PROCESS - CF_FACT_FIRST] = fact_process,
		[CF_FACT_LIBRARY - CF_FACT_FIRST] = fact_library,
		[CF_FACT_FRAMEWORK - CF_FACT_FIRST] = fact_framework,
		[CF_FACT_COUNTERS - CF_FACT_FIRST] = fact_counters,
		[CF_FACT_STOP - CF_FACT_FIRST] = fact_stop,
		[CF_FACT_GAP - CF_FACT_FIRST] = fact_gap,
	};
	size_t i = e->kind - CF_FACT_FIRST;
	struct span j;

	if (i >= sizeof(table) / sizeof(*table) || !table[i] || json_value(fact_json(e), &j, NULL) < 0 ||
	    json_type_of(j) != JSON_OBJECT)
		return;
	table[i](a, e, j);
}
