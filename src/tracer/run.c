/* Runs: opened, closed, saved, and what a fork does to them. */
#include "tracer/tracer.h"

#include "base/limits.h"
#include "trace/check.h"
#include "trace/model_redact.h"
#include "trace/read.h"
#include "trace/write.h"
#include "tracer/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static cf_run *all_runs;
static atomic_uint forks;
static atomic_uint_fast64_t last_serial;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
	pthread_mutex_lock(&list_lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&list_lock);
}

/* The parent goes on writing: the child only lets go of the files, so that it does not keep their locks. */
static void after_fork_in_child(void)
{
	atomic_fetch_add(&forks, 1);
	for (cf_run *r = all_runs; r; r = r->next) {
		if (r->fd >= 0)
			close(r->fd);
		if (r->dir >= 0)
			close(r->dir);
		r->fd = r->dir = -1;
	}
	all_runs = NULL;
	pthread_mutex_unlock(&list_lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

int run_usable(const cf_run *run)
{
	if (!run)
		return fail(CF_INVALID, "run", "is NULL");
	if (run->forks != atomic_load(&forks))
		return fail(CF_FORKED, "run", "belongs to the parent process; open one in this process");
	return 0;
}

int run_append(cf_run *run, struct span line)
{
	size_t done = 0;

	if (run->error)
		return fail_errno(run->error, "journal");
	if (run->ended_ns)
		return fail(CF_CLOSED, "run", "has ended");
	while (done < line.len) {
		ssize_t n = write(run->fd, line.p + done, line.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			run->error = n ? -errno : -EIO;
			break;
		}
		done += (size_t)n;
	}
	if (!run->error) {
		run->written += line.len;
		return 0;
	}
	/* Half a line would spoil the next; what was recorded before stays. */
	if (done && ftruncate(run->fd, (off_t)run->written))
		return fail_errno(-errno, "journal");
	return fail_errno(run->error, "journal");
}

struct run_info run_info_of(cf_run *run, int64_t ended_ns)
{
	return (struct run_info){
		.run_id = span_of(run->id),
		.started_ns = run->started_ns,
		.ended_ns = ended_ns,
		.agent_info = buf_span(&run->agent),
		.task_info = run->task.len ? buf_span(&run->task) : SPAN_NONE,
		.metadata = buf_span(&run->metadata),
	};
}

/* The run's members as a line, into the journal and past the probe. Under the run's lock. */
static int append_head(cf_run *run, int64_t ended_ns)
{
	struct run_info info = run_info_of(run, ended_ns);
	struct buf line;

	buf_init(&line, LIMIT_RUN_HEAD);
	int err = run_write_line(&info, &line);
	err = err ? fail(CF_LIMIT, "run", "its metadata is too long, or out of memory") : run_append(run, buf_span(&line));
	if (!err) {
		line.p[line.len - 1] = 0;
		PROBE("run", run->id, line.p, line.len - 1);
	}
	buf_fini(&line);
	return err;
}

int run_merge_metadata(cf_run *run, struct span object)
{
	struct json_iter it = json_iter(buf_span(&run->metadata));
	struct span key, value, inner = span_trim(span_at(object.p + 1, object.len - 2)), k, v;
	struct buf out;

	buf_init(&out, LIMIT_RUN_HEAD);
	int err = buf_add_char(&out, '{');
	while (!err && json_next(&it, &key, &value)) {
		bool replaced = false;
		for (struct json_iter in = json_iter(object); json_next(&in, &k, &v);)
			replaced |= span_eq(k, key);
		if (replaced)
			continue;
		err = json_put_comma(&out);
		if (!err)
			err = buf_printf(&out, "%.*s:", SPAN_FMT(key));
		if (!err)
			err = buf_add_span(&out, value);
	}
	if (!err && inner.len)
		err = json_put_comma(&out);
	if (!err)
		err = buf_add_span(&out, inner);
	if (!err)
		err = buf_add_char(&out, '}');
	if (err) {
		buf_fini(&out);
		return fail(CF_LIMIT, "metadata", "is too long, or out of memory");
	}
	buf_fini(&run->metadata);
	run->metadata = out;
	return 0;
}

static int put_texts(struct buf *out, const char *const names[], const char *const texts[], size_t n)
{
	int err = buf_add_char(out, '{');

	for (size_t i = 0; !err && i < n; i++)
		if (texts[i])
			err = json_put_member_text(out, names[i], span_of(texts[i]));
	return err;
}

static int set_agent(cf_run *run, const cf_run_options *o)
{
	static const char *const names[] = { "name", "version", "framework", "framework_version" };
	const char *const texts[] = { o->agent_name, o->agent_version, o->agent_framework, o->agent_framework_version };

	if (!o->agent_name)
		return fail(CF_INVALID, "agent_info.name", "is required");
	buf_init(&run->agent, LIMIT_RUN_HEAD);
	if (put_texts(&run->agent, names, texts, 4) || buf_add_char(&run->agent, '}'))
		return fail(CF_MEMORY, "agent_info", "out of memory");
	return 0;
}

static int set_task(cf_run *run, struct thread *t, const cf_run_options *o)
{
	static const char *const names[] = { "description", "goal" };
	const char *const texts[] = { o->task_description, o->task_goal };
	struct span input;

	buf_init(&run->task, LIMIT_RUN_HEAD);
	int err = value_raw(t, o->task_input, NULL, "task_info.input", &input, NULL);
	if (err)
		return err;
	if (input.p && json_type_of(input) != JSON_OBJECT)
		return fail(CF_INVALID, "task_info.input", "must be an object");
	if (!texts[0] && !texts[1] && !input.p)
		return 0;
	err = put_texts(&run->task, names, texts, 2);
	if (!err && input.p)
		err = json_put_member(&run->task, "input", input);
	if (!err)
		err = buf_add_char(&run->task, '}');
	return err ? fail(CF_MEMORY, "task_info", "out of memory") : 0;
}

static int set_metadata(cf_run *run, struct thread *t, const cf_run_options *o)
{
	struct span given;
	int err = value_raw(t, o->metadata, NULL, "metadata", &given, NULL);

	if (err)
		return err;
	if (given.p && json_type_of(given) != JSON_OBJECT)
		return fail(CF_INVALID, "metadata", "must be an object");
	buf_init(&run->metadata, LIMIT_RUN_HEAD);
	err = buf_printf(&run->metadata, "{\"schema\":\"" TRACE_SCHEMA "\",\"state\":\"running\",\"tracer\":{\"version\":\""
			 CF_VERSION "\",\"pid\":%ld}", (long)getpid());
	if (!err && o->context_id)
		err = json_put_member_text(&run->metadata, "context_id", span_of(o->context_id));
	if (!err)
		err = buf_add_char(&run->metadata, '}');
	if (err)
		return fail(CF_MEMORY, "metadata", "out of memory");
	return given.p ? run_merge_metadata(run, given) : 0;
}

static int set_redactor(cf_run *run, const cf_run_options *o)
{
	struct redact_options r = { .patterns = o->redact_patterns, .n_patterns = o->n_redact_patterns,
				    .replacement = o->redact_replacement, .inputs = o->redact_inputs,
				    .outputs = o->redact_outputs };
	char why[REDACT_WHY];

	if (getrandom(r.salt, sizeof(r.salt), 0) != sizeof(r.salt))
		return fail_errno(-errno, "redact");
	int err = redactor_new(&r, &run->redactor, why);
	if (err == -EINVAL)
		return fail(CF_INVALID, "redact_patterns", "%s", why);
	return err ? fail(CF_MEMORY, "redact_patterns", "out of memory") : 0;
}

static int redact_head(cf_run *run, struct thread *t)
{
	struct run_info info = run_info_of(run, 0);
	struct { struct buf *of; const struct span *now; } parts[] = {
		{ &run->agent, &info.agent_info }, { &run->task, &info.task_info }, { &run->metadata, &info.metadata },
	};
	int n = run_redact(run->redactor, &info, &t->arena);

	for (size_t i = 0; n > 0 && i < 3; i++) {
		if (parts[i].now->p == parts[i].of->p || !parts[i].now->p)
			continue;
		buf_clear(parts[i].of);
		if (buf_add_span(parts[i].of, *parts[i].now))
			n = -ENOMEM;
	}
	return n < 0 ? fail(CF_MEMORY, "run", "out of memory") : 0;
}

static int set_ids(cf_run *run, const cf_run_options *o)
{
	unsigned char r[16];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		return fail_errno(-errno, "run_id");
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40); /* RFC 9562: version 4, variant 10 */
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	if (o->run_id && strlen(o->run_id) >= RUN_ID_MAX)
		return fail(CF_INVALID, "run_id", "must have at most %d bytes", RUN_ID_MAX - 1);
	if (o->run_id)
		snprintf(run->id, sizeof(run->id), "%s", o->run_id);
	else
		snprintf(run->id, sizeof(run->id), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
			 r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
	snprintf(run->prefix, sizeof(run->prefix), "%02x%02x%02x%02x-", r[0], r[1], r[2], r[3]);
	char name[RUN_NAME_MAX];
	if (run_file_name(span_of(run->id), name))
		return fail(CF_INVALID, "run_id", "may hold letters, digits and -_.: only");
	snprintf(run->name, sizeof(run->name), "%.*s", (int)sizeof(run->name) - 1, name);
	return 0;
}

static bool is_file_path(const char *path)
{
	size_t n = strlen(path);

	return n > 5 && strcmp(path + n - 5, ".json") == 0;
}

/* Splits a path into its directory, which is made and opened, and the name in it. */
static int open_dir_of(const char *path, char name[NAME_MAX + 1])
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (strlen(slash ? slash + 1 : path) > NAME_MAX || strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	snprintf(name, NAME_MAX + 1, "%s", slash ? slash + 1 : path);
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	return run_dir_open(slash == path ? "/" : dir, (uid_t)-1, (gid_t)-1);
}

static int open_journal(cf_run *run, const char *path)
{
	char part[sizeof(run->name) + 16];

	if (!path) {
		run->fd = memfd_create("contextforge-run", MFD_CLOEXEC);
		return run->fd < 0 ? fail_errno(-errno, "journal") : 0;
	}
	run->dir = is_file_path(path) ? open_dir_of(path, run->file) : run_dir_open(path, (uid_t)-1, (gid_t)-1);
	if (run->dir < 0)
		return fail_errno(run->dir, "output_path");
	size_t len = strlen(path) + sizeof(run->name) + 8;
	run->path = malloc(len);
	if (!run->path)
		return fail(CF_MEMORY, "output_path", "out of memory");
	if (run->file[0])
		snprintf(run->path, len, "%s", path);
	else
		snprintf(run->path, len, "%s%s%s.json", path, path[strlen(path) - 1] == '/' ? "" : "/", run->name);
	snprintf(part, sizeof(part), "%s" JOURNAL_SUFFIX, run->name);
	run->fd = openat(run->dir, part, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
	if (run->fd < 0)
		return fail_errno(-errno, part);
	flock(run->fd, LOCK_EX | LOCK_NB);
	return 0;
}

static void free_run(cf_run *run)
{
	buf_fini(&run->agent);
	buf_fini(&run->task);
	buf_fini(&run->metadata);
	redactor_free(run->redactor);
	free(run->own_ids);
	free(run->path);
	if (run->fd >= 0)
		close(run->fd);
	if (run->dir >= 0)
		close(run->dir);
	pthread_mutex_destroy(&run->lock);
	free(run);
}

static int set_up(cf_run *run, struct thread *t, const cf_run_options *o)
{
	int err = set_ids(run, o);

	if (!err)
		err = set_agent(run, o);
	if (!err)
		err = set_task(run, t, o);
	if (!err)
		err = set_metadata(run, t, o);
	if (!err)
		err = set_redactor(run, o);
	if (!err)
		err = redact_head(run, t);
	if (!err)
		err = open_journal(run, o->output_path && o->output_path[0] ? o->output_path : NULL);
	return err ? err : append_head(run, 0);
}

static void enlist(cf_run *run)
{
	pthread_mutex_lock(&list_lock);
	run->forks = atomic_load(&forks);
	run->next = all_runs;
	run->prev = &all_runs;
	if (run->next)
		run->next->prev = &run->next;
	all_runs = run;
	pthread_mutex_unlock(&list_lock);
}

static void delist(cf_run *run)
{
	pthread_mutex_lock(&list_lock);
	*run->prev = run->next;
	if (run->next)
		run->next->prev = run->prev;
	pthread_mutex_unlock(&list_lock);
}

cf_run *cf_run_open(const cf_run_options *options)
{
	cf_run_options o;

	memset(&o, 0, sizeof(o));
	if (!options || options->size < sizeof(size_t) + sizeof(char *)) {
		fail(CF_INVALID, "options", options ? "size is not set" : "are NULL");
		return NULL;
	}
	memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
	pthread_once(&fork_once, watch_forks);
	struct thread *t = thread_begin();
	cf_run *run = t ? calloc(1, sizeof(*run)) : NULL;
	if (!run) {
		if (t)
			thread_done(t);
		fail(CF_MEMORY, "run", "out of memory");
		return NULL;
	}
	run->dir = run->fd = -1;
	run->serial = atomic_fetch_add(&last_serial, 1) + 1;
	run->started_ns = o.started_ns > 0 ? o.started_ns : now_unix_ns();
	pthread_mutex_init(&run->lock, NULL);
	int err = set_up(run, t, &o);
	thread_done(t);
	if (err) {
		free_run(run);
		return NULL;
	}
	enlist(run);
	return run;
}

const char *cf_run_id(const cf_run *run)
{
	return run ? run->id : "";
}

const char *cf_run_path(const cf_run *run)
{
	return run ? run->path : NULL;
}

int cf_run_add_metadata(cf_run *run, cf_value object)
{
	struct span raw;
	int err = run_usable(run);

	if (err)
		return err;
	struct thread *t = thread_begin();
	if (!t)
		return CF_MEMORY;
	err = value_raw(t, object, NULL, "metadata", &raw, NULL);
	if (!err && json_type_of(raw) != JSON_OBJECT)
		err = fail(CF_INVALID, "metadata", "must be an object");
	struct run_info info = { .metadata = raw };
	if (!err && run_redact(run->redactor, &info, &t->arena) < 0)
		err = fail(CF_MEMORY, "metadata", "out of memory");
	if (!err) {
		pthread_mutex_lock(&run->lock);
		err = run_merge_metadata(run, info.metadata);
		if (!err)
			err = append_head(run, 0);
		pthread_mutex_unlock(&run->lock);
	}
	thread_done(t);
	return err;
}

/* The final file from the journal. The journal's descriptor is used up. */
static int finish_file(cf_run *run, const struct run_info *info)
{
	struct run_writer w;
	struct journal_facts facts;

	int err = run_writer_adopt(&w, run->dir, run->fd, run->name, &facts);
	run->fd = -1;
	if (!err) {
		snprintf(w.final, sizeof(w.final), "%.*s", (int)sizeof(w.final) - 1, run->file);
		err = run_writer_end(&w, info, NULL);
	}
	return err ? fail_errno(err, "trace") : 0;
}

/* Its last line. Under the run's lock. */
static int end_run(cf_run *run, const char *state, const char *why)
{
	char text[64];
	int64_t now = now_unix_ns();

	if (run->ended_ns)
		return 0;
	spans_abandon(run);
	snprintf(text, sizeof(text), "{\"state\":\"%s\"}", state);
	int err = run_merge_metadata(run, span_of(text));
	if (!err && why) {
		struct buf b;
		buf_init(&b, LIMIT_RUN_HEAD);
		if (buf_add_text(&b, "{\"error\":{") || json_put_member_text(&b, "message", span_of(why)) || buf_add_text(&b, "}}"))
			err = fail(CF_MEMORY, "error", "out of memory");
		if (!err)
			err = run_merge_metadata(run, buf_span(&b));
		buf_fini(&b);
	}
	now = now > run->started_ns ? now : run->started_ns;
	if (!run->error && append_head(run, now) && !run->error)
		run->error = -EFBIG;
	run->ended_ns = now;
	return err;
}

int cf_run_end(cf_run *run, const char *why)
{
	int err = run_usable(run);

	if (err)
		return err;
	pthread_mutex_lock(&run->lock);
	err = end_run(run, why ? "failed" : "completed", why);
	pthread_mutex_unlock(&run->lock);
	return err;
}

static int close_run(cf_run *run, const char *state, const char *why)
{
	int err = run_usable(run);

	if (err)
		return err;
	delist(run);
	pthread_mutex_lock(&run->lock);
	err = end_run(run, state, why);
	struct run_info info = run_info_of(run, run->ended_ns);
	int written = run->error;
	if (!err && run->dir >= 0)
		err = finish_file(run, &info);
	if (!err && written)
		err = fail(CF_IO, "journal", "steps are missing: it could not be written");
	pthread_mutex_unlock(&run->lock);
	free_run(run);
	return err;
}

int cf_run_close(cf_run *run)
{
	return close_run(run, "completed", NULL);
}

int cf_run_fail(cf_run *run, const char *why)
{
	return close_run(run, "failed", why ? why : "");
}

/* What is in the journal now, as a trace. */
static int copy_now(cf_run *run, int to)
{
	struct run_writer w;
	struct journal_facts facts;
	struct buf head;
	struct arena a;
	struct run_info info;
	struct problem why;

	arena_init(&a);
	buf_init(&head, LIMIT_RUN_HEAD);
	pthread_mutex_lock(&run->lock);
	struct run_info now = run_info_of(run, run->ended_ns);
	int err = run_write_line(&now, &head);
	int fd = fcntl(run->fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&run->lock);
	if (!err)
		err = run_read(buf_span(&head), &a, &info, &why);
	if (fd < 0)
		err = -errno;
	if (!err)
		err = run_writer_adopt(&w, run->dir >= 0 ? run->dir : AT_FDCWD, fd, run->name, &facts);
	else if (fd >= 0)
		close(fd);
	if (!err) {
		err = run_writer_copy(&w, &info, to);
		run_writer_abandon(&w);
	}
	buf_fini(&head);
	arena_fini(&a);
	return err;
}

static char *read_text(int fd, int indent)
{
	off_t len = lseek(fd, 0, SEEK_END);
	struct buf out;
	struct span value;
	void *p = len > 0 ? mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;

	if (p == MAP_FAILED) {
		fail_errno(-errno, "trace");
		return NULL;
	}
	buf_init(&out, SIZE_MAX / 4);
	int err = json_value(span_at(p, (size_t)len), &value, NULL);
	if (!err)
		err = indent > 0 ? json_put_indented(&out, value, indent) : json_put_compact(&out, value);
	munmap(p, (size_t)len);
	if (!err && buf_add_char(&out, 0))
		err = -ENOMEM;
	if (err) {
		buf_fini(&out);
		fail_errno(err, "trace");
		return NULL;
	}
	return out.p;
}

char *cf_run_to_json(cf_run *run, int indent)
{
	if (run_usable(run))
		return NULL;
	int fd = memfd_create("contextforge-trace", MFD_CLOEXEC);
	int err = fd < 0 ? -errno : copy_now(run, fd);
	char *text = NULL;

	if (err)
		fail_errno(err, "trace");
	else
		text = read_text(fd, indent);
	if (fd >= 0)
		close(fd);
	return text;
}

int cf_run_save(cf_run *run, const char *path)
{
	char name[NAME_MAX + 1], part[NAME_MAX + 16];
	int err = run_usable(run);

	if (err)
		return err;
	if (!path || !path[0])
		return fail(CF_INVALID, "path", "is empty");
	int dir = open_dir_of(path, name), fd = -1;
	if (dir < 0)
		return fail_errno(dir, "path");
	snprintf(part, sizeof(part), "%s.tmp", name);
	unlinkat(dir, part, 0);
	fd = openat(dir, part, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
	err = fd < 0 ? -errno : copy_now(run, fd);
	if (!err && renameat(dir, part, dir, name))
		err = -errno;
	if (err && fd >= 0)
		unlinkat(dir, part, 0);
	if (fd >= 0)
		close(fd);
	close(dir);
	return err ? fail_errno(err, "path") : 0;
}
