#include "trace/model.h"

#include "base/timefmt.h"

#include <errno.h>

/* The name itself: keys with escapes are rare, all names of ours are plain. */
static struct span key_name(struct arena *a, struct span key)
{
	if (memchr(key.p, '\\', key.len))
		return json_text(a, key);
	return span_at(key.p + 1, key.len - 2);
}

struct type_names {
	struct span strict; /* step_type */
	struct span alias;  /* openinference.span.kind */
};

static struct type_names find_type(struct span raw)
{
	struct json_iter it = json_iter(raw);
	struct type_names found = { SPAN_NONE, SPAN_NONE };
	struct span key, value;

	while (json_next(&it, &key, &value)) {
		if (json_is(key, "step_type")) {
			found.strict = value;
			/* Ours stands near the front: no need to walk over the content. */
			break;
		}
		if (json_is(key, "openinference.span.kind"))
			found.alias = value;
	}
	return found;
}

static int read_type(struct span raw, struct arena *a, struct step *out, struct problem *why)
{
	struct type_names found = find_type(raw);
	struct span name = json_text(a, found.strict.p ? found.strict : found.alias);

	if (!name.p)
		return problem_set(why, "step_type", "is required and must be text");
	int type = step_type_of(name.p, name.len);
	if (type < 0) {
		problem_set(why, "step_type", "is not known: %.*s", name.len < 60 ? (int)name.len : 60, name.p);
		return -ENOTSUP;
	}
	out->type = (enum step_type)type;
	return 0;
}

static int read_time(struct arena *a, struct span value, int64_t *out, const char *place, struct problem *why)
{
	struct span text = json_text(a, value);

	if (!text.p || time_parse(text, out))
		return problem_set(why, place, "is not a time such as 2026-01-21T10:30:00.123Z");
	return 0;
}

static bool is_null(struct span value)
{
	return json_type_of(value) == JSON_NULL;
}

/* Members that every step has. 1: not one of them. */
static int read_common(struct step *s, struct arena *a, struct span name, struct span value, struct problem *why)
{
	if (span_is(name, "step_type") || span_is(name, "openinference.span.kind"))
		return 0;
	if (span_is(name, "timestamp"))
		return read_time(a, value, &s->began_ns, "timestamp", why);
	if (span_is(name, "step_id")) {
		s->id = json_text(a, value);
		return s->id.p ? 0 : problem_set(why, "step_id", "must be text");
	}
	if (span_is(name, "parent_step_id")) {
		s->parent_id = json_text(a, value);
		return s->parent_id.p || is_null(value) ? 0 : problem_set(why, "parent_step_id", "must be text");
	}
	if (span_is(name, "metadata")) {
		s->metadata = is_null(value) ? SPAN_NONE : value;
		return is_null(value) || json_type_of(value) == JSON_OBJECT ?
			0 : problem_set(why, "metadata", "must be an object");
	}
	return 1;
}

static void read_value(struct step *s, int slot, bool alias, struct span value)
{
	const struct step_field *f = &step_schemas[s->type].fields[slot];

	if (is_null(value) && !f->required)
		return;
	if (alias && s->values[slot].p)
		return;
	s->values[slot] = value;
}

/* Unknown members as `"a":1,"b":2`; they are copied once, after they were counted. */
static struct span join_extra(struct span raw, struct arena *a, enum step_type type, size_t len)
{
	struct json_iter it = json_iter(raw);
	struct span key, value;
	struct step ignored = { .type = type };
	char *text = arena_alloc(a, len), *p = text;

	while (text && json_next(&it, &key, &value)) {
		struct span name = key_name(a, key);
		if (read_common(&ignored, a, name, value, NULL) != 1 || step_slot(type, name) >= 0)
			continue;
		if (p != text)
			*p++ = ',';
		p = mempcpy(p, key.p, key.len);
		*p++ = ':';
		p = mempcpy(p, value.p, value.len);
	}
	return span_at(text, (size_t)(p - text));
}

/* What only readers accept is made strict here, so that a load and a save give the contract's form. */
static void read_legacy(struct step *s)
{
	if (s->type != STEP_MEMORY_WRITE)
		return;
	if (json_is(s->values[MW_OPERATION], "put"))
		s->values[MW_OPERATION] = SPAN("\"update\"");
	if (is_null(s->values[MW_ENTITY_TYPE]))
		s->values[MW_ENTITY_TYPE] = SPAN_NONE;
}

int step_read(struct span raw, struct arena *a, struct step *out, struct problem *why)
{
	struct step s = { .began_ns = INT64_MIN };
	struct json_iter it = json_iter(raw);
	struct span key, value;
	size_t extra = 0;

	if (!it.object)
		return problem_set(why, "", "must be an object");
	int err = read_type(raw, a, &s, why);
	if (err)
		return err;
	while (json_next(&it, &key, &value)) {
		struct span name = key_name(a, key);
		int slot = step_slot(s.type, name);
		if (slot >= 0) {
			read_value(&s, slot, !span_is(name, step_schemas[s.type].fields[slot].name), value);
			continue;
		}
		err = read_common(&s, a, name, value, why);
		if (err < 0)
			return err;
		if (err)
			extra += key.len + value.len + 2;
	}
	if (!s.id.p)
		return problem_set(why, "step_id", "is required");
	if (s.began_ns == INT64_MIN)
		return problem_set(why, "timestamp", "is required");
	if (extra)
		s.extra = join_extra(raw, a, s.type, extra);
	read_legacy(&s);
	*out = s;
	return 0;
}

static int read_object(struct span *to, struct span value, bool required, const char *place, struct problem *why)
{
	if (json_type_of(value) == JSON_OBJECT) {
		*to = value;
		return 0;
	}
	return is_null(value) && !required ? 0 : problem_set(why, place, "must be an object");
}

static size_t room_for(size_t len)
{
	size_t cap = 64;

	while (cap < len)
		cap *= 2;
	return cap;
}

/* extra always has room_for(extra.len) bytes, so appending member after member copies each byte a few times only. */
static int add_extra(struct run_info *r, struct arena *a, struct span key, struct span value)
{
	size_t old = r->extra.len, len = old + (old ? 1 : 0) + key.len + 1 + value.len;
	char *text = (char *)r->extra.p;

	if (!old || room_for(len) != room_for(old)) {
		text = arena_alloc(a, room_for(len));
		if (!text)
			return -ENOMEM;
		if (old)
			memcpy(text, r->extra.p, old);
	}
	char *p = text + old;
	if (old)
		*p++ = ',';
	p = mempcpy(p, key.p, key.len);
	*p++ = ':';
	memcpy(p, value.p, value.len);
	r->extra = span_at(text, len);
	return 0;
}

int run_read_member(struct run_info *r, struct arena *a, struct span key, struct span value, struct problem *why)
{
	struct span name = key_name(a, key);

	if (span_is(name, "run_id")) {
		r->run_id = json_text(a, value);
		return r->run_id.p ? 0 : problem_set(why, "run_id", "must be text");
	}
	if (span_is(name, "started_at"))
		return read_time(a, value, &r->started_ns, "started_at", why);
	if (span_is(name, "ended_at"))
		return is_null(value) ? 0 : read_time(a, value, &r->ended_ns, "ended_at", why);
	if (span_is(name, "agent_info"))
		return read_object(&r->agent_info, value, true, "agent_info", why);
	if (span_is(name, "task_info"))
		return read_object(&r->task_info, value, false, "task_info", why);
	if (span_is(name, "metadata"))
		return read_object(&r->metadata, value, false, "metadata", why);
	return add_extra(r, a, key, value);
}
