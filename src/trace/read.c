#include "trace/read.h"

#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define READ_AHEAD (128 * KIB)

enum { AT_START, AT_MEMBER, AT_STEP, AT_END, AT_ERROR };

void run_reader_init(struct run_reader *r, int fd, bool journal)
{
	*r = (struct run_reader){ .fd = fd, .journal = journal, .state = AT_START };
	arena_init(&r->run_arena);
	buf_init(&r->buf, LIMIT_STEP + READ_AHEAD);
}

void run_reader_fini(struct run_reader *r)
{
	arena_fini(&r->run_arena);
	buf_fini(&r->buf);
}

static int fail(struct run_reader *r, const char *message)
{
	char place[64] = "";

	if (r->journal)
		snprintf(place, sizeof(place), "line %llu", (unsigned long long)r->line);
	else if (r->state == AT_STEP)
		snprintf(place, sizeof(place), "steps[%llu]", (unsigned long long)r->n_steps);
	problem_set(&r->why, place, "%s (near byte %llu)", message, (unsigned long long)(r->buf_at + r->pos));
	r->state = AT_ERROR;
	return -EINVAL;
}

/* The file's own offset is left alone: a writer may share it. */
static ssize_t read_some(struct run_reader *r, char *to, size_t len)
{
	ssize_t n = pread(r->fd, to, len, (off_t)r->read_at);

	if (n < 0 && errno == ESPIPE)
		n = read(r->fd, to, len);
	if (n > 0)
		r->read_at += (uint64_t)n;
	return n;
}

/* Reads more behind what is there: as much again, so that a long value is not scanned too often. */
static int fill(struct run_reader *r)
{
	if (r->eof)
		return 0;
	if (r->pos) {
		r->buf_at += r->pos;
		buf_shift(&r->buf, r->pos);
		r->pos = 0;
	}
	size_t want = r->buf.len > READ_AHEAD ? r->buf.len : READ_AHEAD;
	if (want > r->buf.max - r->buf.len)
		want = r->buf.max - r->buf.len;
	if (!want)
		return fail(r, "is longer than a step may be");
	while (want) {
		char *to = buf_reserve(&r->buf, want);
		if (!to)
			return -ENOMEM;
		ssize_t n = read_some(r, to, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			r->eof = true;
			break;
		}
		r->buf.len += (size_t)n;
		want -= (size_t)n;
	}
	return 0;
}

static struct span rest(const struct run_reader *r)
{
	return r->buf.p ? span_at(r->buf.p + r->pos, r->buf.len - r->pos) : SPAN("");
}

/* The next byte that is no white space, or -1 at the end of the file; < -1: -errno. */
static int peek(struct run_reader *r)
{
	for (;;) {
		while (r->pos < r->buf.len) {
			char c = r->buf.p[r->pos];
			if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
				return (unsigned char)c;
			r->pos++;
		}
		if (r->eof)
			return -1;
		int err = fill(r);
		if (err)
			return err == -EPERM ? -EIO : err; /* -EPERM is -1 */
	}
}

static int expect(struct run_reader *r, char c, const char *message)
{
	int got = peek(r);

	if (got < -1)
		return got;
	if (got != c)
		return fail(r, message);
	r->pos++;
	return 0;
}

/* One whole value. It stays in the buffer until the next fill. */
static int take_value(struct run_reader *r, struct span *out)
{
	for (;;) {
		struct span value;
		int err = json_value(rest(r), &value, NULL);
		/* A number at the edge of the buffer may go on. */
		bool edge = !err && value.p + value.len == r->buf.p + r->buf.len && json_type_of(value) == JSON_NUMBER;
		if (!err && (!edge || r->eof)) {
			r->pos = (size_t)(value.p + value.len - r->buf.p);
			*out = value;
			return 0;
		}
		if (err && err != -EAGAIN)
			return fail(r, err == -E2BIG ? "is nested too deeply" : "is not JSON");
		if (r->eof)
			return fail(r, "the file ends inside a value");
		err = fill(r);
		if (err)
			return err;
	}
}

static int take_member(struct run_reader *r, struct span key)
{
	struct span value, kept_key = arena_copy(&r->run_arena, key);
	int err = expect(r, ':', "a colon is missing");

	if (err)
		return err;
	int c = peek(r);
	if (c < -1)
		return c;
	if (json_is(kept_key, "steps") && c == '[') {
		r->pos++;
		r->has_steps = true;
		r->state = AT_STEP;
		return 0;
	}
	err = take_value(r, &value);
	if (err)
		return err;
	if (json_is(kept_key, "steps")) {
		problem_set(&r->why, "steps", "must be an array");
		r->state = AT_ERROR;
		return -EINVAL;
	}
	if (r->run_arena.used + value.len > LIMIT_RUN_HEAD)
		return fail(r, "the run's members are too long");
	return run_read_member(&r->run, &r->run_arena, kept_key, arena_copy(&r->run_arena, value), &r->why);
}

/* Between the members of the run object. */
static int next_member(struct run_reader *r, bool first)
{
	struct span key;
	int c = peek(r);

	if (c < -1)
		return c;
	if (c == '}') {
		r->pos++;
		r->state = AT_END;
		c = peek(r);
		return c < -1 ? c : c == -1 ? 0 : fail(r, "something follows the end of the run");
	}
	if (!first) {
		int err = expect(r, ',', "a comma or the end of the run is missing");
		if (err)
			return err;
	}
	c = peek(r);
	if (c != '"')
		return c < -1 ? c : fail(r, c == -1 ? "the file ends inside the run" : "a member's name is missing");
	int err = take_value(r, &key);
	return err ? err : take_member(r, key);
}

/* 1: a step; 0: the array has ended. */
static int next_in_array(struct run_reader *r, struct run_item *out)
{
	int c = peek(r), err;

	if (c == ']') {
		r->pos++;
		r->state = AT_MEMBER;
		return 0;
	}
	if (c == ',' && r->n_steps) {
		r->pos++;
		c = peek(r);
	} else if (r->n_steps && c >= -1) {
		return fail(r, c == -1 ? "the file ends inside the steps" : "a comma is missing");
	}
	if (c < 0)
		return c < -1 ? c : fail(r, "the file ends inside the steps");
	err = take_value(r, &out->raw);
	if (err)
		return err;
	out->at = r->buf_at + (uint64_t)(out->raw.p - r->buf.p);
	r->n_steps++;
	return 1;
}

static int next_in_trace(struct run_reader *r, struct run_item *out)
{
	int err = 0;
	bool first = r->state == AT_START;

	if (first) {
		err = expect(r, '{', "is no JSON object");
		r->state = AT_MEMBER;
	}
	while (!err && r->state != AT_END) {
		if (r->state == AT_STEP) {
			int more = next_in_array(r, out);
			if (more)
				return more;
			continue;
		}
		err = next_member(r, first);
		first = false;
	}
	if (err)
		r->state = AT_ERROR;
	return err;
}

/* A whole line without its newline; what follows the last newline is torn. 1, 0 at the end, or -errno. */
static int take_line(struct run_reader *r, struct run_item *out)
{
	size_t seen = 0;

	for (;;) {
		struct span text = rest(r);
		const char *end = text.len > seen ? memchr(text.p + seen, '\n', text.len - seen) : NULL;
		if (end) {
			out->raw = span_at(text.p, (size_t)(end - text.p));
			out->at = r->buf_at + r->pos;
			r->pos += out->raw.len + 1;
			r->line++;
			return 1;
		}
		if (r->eof) {
			r->torn += text.len;
			r->pos = r->buf.len;
			return 0;
		}
		seen = text.len;
		int err = fill(r);
		if (err)
			return err;
	}
}

static bool is_step(struct span object)
{
	return json_get(object, "step_id").p || json_get(object, "step_type").p;
}

/* The last line with the run's members counts. */
static int take_run(struct run_reader *r, struct span object)
{
	arena_fini(&r->run_arena);
	int err = run_read(arena_copy(&r->run_arena, object), &r->run_arena, &r->run, &r->why);
	if (err)
		r->state = AT_ERROR;
	return err;
}

static int next_in_journal(struct run_reader *r, struct run_item *out)
{
	int more, err;

	while ((more = take_line(r, out)) > 0) {
		if (!json_valid(out->raw) || json_type_of(out->raw) != JSON_OBJECT) {
			r->torn += out->raw.len + 1;
			continue;
		}
		if (is_step(out->raw)) {
			r->n_steps++;
			return 1;
		}
		err = take_run(r, out->raw);
		if (err)
			return err;
	}
	return more;
}

int run_reader_next(struct run_reader *r, struct run_item *out)
{
	if (r->state == AT_ERROR)
		return -EINVAL;
	if (r->state == AT_END)
		return 0;
	return r->journal ? next_in_journal(r, out) : next_in_trace(r, out);
}

int run_read(struct span raw, struct arena *a, struct run_info *out, struct problem *why)
{
	struct run_info run = { 0 };
	struct json_iter it = json_iter(raw);
	struct span key, value;
	int err = 0;

	if (!it.object)
		return problem_set(why, "", "must be an object");
	while (!err && json_next(&it, &key, &value))
		if (!json_is(key, "steps"))
			err = run_read_member(&run, a, key, value, why);
	if (!err)
		*out = run;
	return err;
}
