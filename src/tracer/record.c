/* From values to a line in the journal. */
#include "tracer/tracer.h"

#include "base/limits.h"
#include "base/map.h"
#include "trace/check.h"
#include "trace/model_redact.h"
#include "tracer/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t now_unix_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t now_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int latency_slot(enum step_type type)
{
	switch (type) {
	case STEP_LLM_CALL:
		return LLM_LATENCY_MS;
	case STEP_TOOL_CALL:
		return TOOL_LATENCY_MS;
	case STEP_RETRIEVAL:
		return RET_LATENCY_MS;
	case STEP_INTERRUPT:
		return INT_WAIT_MS;
	default:
		return -1;
	}
}

/* "3f9a2c1d-17" that we gave out, or one that the caller chose. Under the run's lock. */
static bool knows_id(const cf_run *run, const char *id)
{
	size_t n = strlen(run->prefix);
	uint64_t number, h;

	if (strncmp(id, run->prefix, n) == 0 && id[n] != '0' && span_u64(span_of(id + n), &number) && number > 0 &&
	    number <= atomic_load(&run->n_ids))
		return true;
	h = hash_bytes(id, strlen(id), 3) | 1;
	for (size_t i = h; run->cap_own_ids; i++) {
		uint64_t at = run->own_ids[i & (run->cap_own_ids - 1)];
		if (at == h || !at)
			return at == h;
	}
	return false;
}

static int grow_ids(cf_run *run)
{
	size_t cap = run->cap_own_ids ? run->cap_own_ids * 2 : 64;
	uint64_t *ids = calloc(cap, sizeof(*ids));

	if (!ids)
		return fail(CF_MEMORY, "step_id", "out of memory");
	for (size_t i = 0; i < run->cap_own_ids; i++) {
		size_t at = run->own_ids[i];
		if (!run->own_ids[i])
			continue;
		while (ids[at & (cap - 1)])
			at++;
		ids[at & (cap - 1)] = run->own_ids[i];
	}
	free(run->own_ids);
	run->own_ids = ids;
	run->cap_own_ids = cap;
	return 0;
}

/* Under the run's lock. */
static int take_own_id(cf_run *run, const char *id)
{
	if (knows_id(run, id))
		return fail(CF_INVALID, "step_id", "%.60s is there already", id);
	if (2 * run->n_own_ids >= run->cap_own_ids) {
		int err = grow_ids(run);
		if (err)
			return err;
	}
	uint64_t h = hash_bytes(id, strlen(id), 3) | 1;
	size_t at = h;
	while (run->own_ids[at & (run->cap_own_ids - 1)])
		at++;
	run->own_ids[at & (run->cap_own_ids - 1)] = h;
	run->n_own_ids++;
	return 0;
}

static int find_id(cf_run *run, const cf_step_options *o, char id[64])
{
	if (o->span) {
		memcpy(id, o->span->id, 64);
		return 0;
	}
	if (!o->step_id) {
		snprintf(id, 64, "%s%llu", run->prefix, (unsigned long long)(atomic_fetch_add(&run->n_ids, 1) + 1));
		return 0;
	}
	if (!o->step_id[0] || strlen(o->step_id) >= 64)
		return fail(CF_INVALID, "step_id", "must have 1 to 63 bytes");
	memcpy(id, o->step_id, strlen(o->step_id) + 1);
	return 0;
}

static int find_parent(cf_run *run, struct thread *t, const cf_step_options *o, char parent[64])
{
	parent[0] = 0;
	if (o->span) {
		memcpy(parent, o->span->parent, 64);
		return 0;
	}
	if (!o->parent_step_id) {
		scope_current(t, run, parent);
		return 0;
	}
	if (strlen(o->parent_step_id) >= 64)
		return fail(CF_INVALID, "parent_step_id", "must have at most 63 bytes");
	memcpy(parent, o->parent_step_id, strlen(o->parent_step_id) + 1);
	return 0;
}

static int64_t latency_ms_of(const struct step *s)
{
	int slot = latency_slot(s->type);
	int64_t ms;

	return slot >= 0 && s->values[slot].p && json_i64(s->values[slot], &ms) && ms > 0 && ms < INT64_MAX / 2000000 ? ms : 0;
}

/* When it began, and how long it took when a span knows that better. */
static int find_time(struct thread *t, struct step *s, const cf_step_options *o, bool final)
{
	int slot = latency_slot(s->type);

	if (o->span) {
		s->began_ns = o->timestamp_ns ? o->timestamp_ns : o->span->began_ns;
		if (final && slot >= 0 && !s->values[slot].p) {
			s->values[slot] = arena_printf(&t->arena, "%lld",
				(long long)((now_mono_ns() - o->span->began_mono_ns) / 1000000));
			return s->values[slot].p ? 0 : fail(CF_MEMORY, "step", "out of memory");
		}
		return 0;
	}
	if (o->timestamp_ns < 0)
		return fail(CF_INVALID, "timestamp", "is before 1970");
	s->began_ns = o->timestamp_ns ? o->timestamp_ns : now_unix_ns() - latency_ms_of(s) * 1000000;
	return 0;
}

static bool has_key(struct span object, struct span raw_key)
{
	struct json_iter it = json_iter(object);
	struct span key, value;

	while (it.object && json_next(&it, &key, &value))
		if (span_eq(key, raw_key))
			return true;
	return false;
}

/* Who says so, what was said at the begin, and what is said now. */
static int make_metadata(struct thread *t, struct step *s, struct span begun, bool repaired, bool final)
{
	struct span parts[2] = { begun, s->metadata };
	struct buf *out = &t->text;
	struct span key, value;

	buf_clear(out);
	int err = buf_add_text(out, "{\"source\":\"tracer\",\"provenance\":\"reported\"");
	for (int i = 0; i < 2; i++) {
		struct json_iter it = json_iter(parts[i]);
		while (!err && it.object && json_next(&it, &key, &value)) {
			if (json_is(key, "source") || json_is(key, "provenance") || (i == 0 && has_key(s->metadata, key)))
				continue;
			err = buf_add_char(out, ',');
			if (!err)
				err = buf_add_span(out, key);
			if (!err)
				err = buf_add_char(out, ':');
			if (!err)
				err = buf_add_span(out, value);
		}
	}
	if (!err && repaired)
		err = json_put_member_bool(out, "invalid_utf8", true);
	if (!err && !final)
		err = buf_add_text(out, ",\"incomplete\":true,\"reason\":\"it has not ended\"");
	if (!err)
		err = buf_add_char(out, '}');
	s->metadata = err ? SPAN_NONE : arena_copy(&t->arena, buf_span(out));
	return s->metadata.p ? 0 : fail(CF_MEMORY, "metadata", "out of memory");
}

/* What the contract holds only in one form. */
static int normalise(struct thread *t, struct step *s)
{
	struct span *v = s->values;
	int err = 0;

	buf_clear(&t->text);
	if (s->type == STEP_LLM_CALL && json_type_of(v[LLM_INPUT]) == JSON_ARRAY) {
		err = messages_put(v[LLM_INPUT], &t->text);
		if (!err)
			v[LLM_INPUT] = arena_copy(&t->arena, buf_span(&t->text));
	} else if (s->type == STEP_TOOL_CALL && v[TOOL_ARGUMENTS].p && json_type_of(v[TOOL_ARGUMENTS]) != JSON_OBJECT) {
		err = buf_add_text(&t->text, "{\"value\":");
		if (!err)
			err = buf_add_span(&t->text, v[TOOL_ARGUMENTS]);
		if (!err)
			err = buf_add_char(&t->text, '}');
		if (!err)
			v[TOOL_ARGUMENTS] = arena_copy(&t->arena, buf_span(&t->text));
	}
	bool lost = (s->type == STEP_LLM_CALL && err) || (s->type == STEP_TOOL_CALL && err);
	return lost ? fail(CF_MEMORY, step_schemas[s->type].name, "out of memory") : 0;
}

static int validate(const struct step *s)
{
	struct problem why;
	char place[200];

	if (step_valid(s, &why) == 0)
		return 0;
	snprintf(place, sizeof(place), "%s.%.160s", step_schemas[s->type].name, why.place);
	return fail(CF_INVALID, place, "%s", why.message);
}

static int write_line(cf_run *run, struct thread *t, const struct step *s, const cf_step_options *o, const char *parent)
{
	buf_clear(&t->line);
	if (step_write(s, &t->line) || buf_add_char(&t->line, '\n'))
		return fail(CF_LIMIT, step_schemas[s->type].name, "is too long, or out of memory");
	pthread_mutex_lock(&run->lock);
	int err = 0;
	if (parent[0] && !knows_id(run, parent))
		err = fail(CF_INVALID, "parent_step_id", "%.63s is not a step of this run", parent);
	if (!err && o->step_id && !o->span)
		err = take_own_id(run, o->step_id);
	if (!err)
		err = run_append(run, buf_span(&t->line));
	pthread_mutex_unlock(&run->lock);
	return err;
}

int record_step(cf_run *run, struct thread *t, struct step *s, const cf_step_options *o, bool repaired, bool final, cf_id *id)
{
	char own[64], parent[64];
	struct span begun = o->span ? buf_span(&o->span->metadata) : SPAN_NONE;

	int err = normalise(t, s);
	if (!err && s->metadata.p && json_type_of(s->metadata) != JSON_OBJECT)
		err = fail(CF_INVALID, "metadata", "must be an object");
	if (!err)
		err = find_id(run, o, own);
	if (!err)
		err = find_parent(run, t, o, parent);
	if (!err)
		err = find_time(t, s, o, final);
	if (!err)
		err = make_metadata(t, s, begun, repaired, final);
	if (!err)
		err = validate(s);
	if (!err && run->redactor && step_redact(run->redactor, s, &t->arena) < 0)
		err = fail(CF_MEMORY, step_schemas[s->type].name, "is too long, or out of memory");
	if (err)
		return err;
	s->id = span_of(own);
	s->parent_id = parent[0] ? span_of(parent) : SPAN_NONE;
	err = write_line(run, t, s, o, parent);
	if (err)
		return err;
	if (final) {
		t->line.p[t->line.len - 1] = 0;
		PROBE("step", run->id, t->line.p, t->line.len - 1);
	}
	if (id)
		memcpy(id->text, own, sizeof(own));
	return 0;
}

/* The type of a span that is ended must be its own. */
static int check_span(const cf_run *run, const cf_span *span, enum step_type type)
{
	if (!span)
		return 0;
	if (atomic_load(&span->ended) || !span->run)
		return fail(CF_CLOSED, "span", "has ended already");
	if (span->run != run)
		return fail(CF_INVALID, "span", "is of another run");
	if (span->type != type)
		return fail(CF_INVALID, "span", "is a %s", step_schemas[span->type].name);
	return 0;
}

static int fill(struct thread *t, struct step *s, const cf_value *values, cf_value metadata, bool *repaired)
{
	const struct step_field *f = step_schemas[s->type].fields;
	int err = 0;

	for (int i = 0; !err && i < STEP_MAX_FIELDS && f[i].name; i++) {
		err = value_raw(t, values[i], step_schemas[s->type].name, f[i].name, &s->values[i], repaired);
		/* A null says nothing where it is not data. */
		if (!err && json_type_of(s->values[i]) == JSON_NULL && (!f[i].required || f[i].kind != VALUE_ANY))
			s->values[i] = SPAN_NONE;
	}
	return err ? err : value_raw(t, metadata, NULL, "metadata", &s->metadata, repaired);
}

int record_values(cf_run *run, enum step_type type, const cf_value *values, const cf_step_options *o, cf_id *id)
{
	struct step s = { .type = type };
	bool repaired = false;
	int err = run_usable(run);

	if (!err)
		err = check_span(run, o->span, type);
	if (err)
		return err;
	struct thread *t = thread_begin();
	if (!t)
		return CF_MEMORY;
	err = fill(t, &s, values, o->metadata, &repaired);
	if (!err && o->span && !s.values[0].p && o->span->name.len)
		s.values[0] = buf_span(&o->span->name);
	if (!err)
		err = record_step(run, t, &s, o, repaired, true, id);
	if (!err && o->span && span_end(o->span)) {
		scope_remove(t, o->span);
		span_release(o->span);
	}
	thread_done(t);
	return err;
}

/* What may be left out is put in, so that the reader of steps takes it. */
static int complete_json(struct thread *t, struct span raw, struct span *out)
{
	struct span inner = span_trim(span_at(raw.p + 1, raw.len - 2));
	bool has_id = json_type_of(json_get(raw, "step_id")) == JSON_STRING;
	bool has_time = json_type_of(json_get(raw, "timestamp")) == JSON_STRING;

	buf_clear(&t->text);
	int err = buf_printf(&t->text, "{%s%s", has_id ? "" : "\"step_id\":\"\"",
			     has_time ? "" : has_id ? "\"timestamp\":\"1970-01-01T00:00:00Z\"" :
			     ",\"timestamp\":\"1970-01-01T00:00:00Z\"");
	if (!err && inner.len && (!has_id || !has_time))
		err = buf_add_char(&t->text, ',');
	if (!err)
		err = buf_add_span(&t->text, inner);
	if (!err)
		err = buf_add_char(&t->text, '}');
	*out = err ? SPAN_NONE : arena_copy(&t->arena, buf_span(&t->text));
	return out->p ? 0 : fail(CF_MEMORY, "step", "is too long, or out of memory");
}

static int take_json(struct thread *t, struct span text, struct step *s, cf_step_options *o)
{
	struct span raw, rest, whole;
	struct problem why;

	if (json_value(text, &raw, &rest) || span_trim(rest).len || json_type_of(raw) != JSON_OBJECT)
		return fail(CF_INVALID, "step", "is no JSON object");
	/* A null is as good as left out. */
	bool no_parent = !json_get(raw, "parent_step_id").p || json_type_of(json_get(raw, "parent_step_id")) == JSON_NULL;
	int err = complete_json(t, raw, &whole);
	if (err)
		return err;
	if (step_read(whole, &t->arena, s, &why))
		return fail(CF_INVALID, why.place[0] ? why.place : "step", "%s", why.message);
	struct span id = arena_copy(&t->arena, s->id), parent = arena_copy(&t->arena, s->parent_id);
	if ((id.len && memchr(id.p, 0, id.len)) || (parent.len && memchr(parent.p, 0, parent.len)))
		return fail(CF_INVALID, "step_id", "holds a NUL");
	o->step_id = id.len ? id.p : NULL;
	o->parent_step_id = no_parent ? NULL : parent.p ? parent.p : "";
	o->timestamp_ns = s->began_ns;
	return 0;
}

int cf_record(cf_run *run, const char *json, size_t len, cf_span *span, cf_id *id)
{
	struct step s;
	cf_step_options o = { .span = span };
	int err = run_usable(run);

	if (!err && !json)
		err = fail(CF_INVALID, "json", "is NULL");
	if (err)
		return err;
	struct thread *t = thread_begin();
	if (!t)
		return CF_MEMORY;
	err = take_json(t, span_at(json, len), &s, &o);
	if (!err)
		err = check_span(run, span, s.type);
	if (!err && span && !s.values[0].p && span->name.len)
		s.values[0] = buf_span(&span->name);
	if (!err)
		err = record_step(run, t, &s, &o, false, true, id);
	if (!err && span && span_end(span)) {
		scope_remove(t, span);
		span_release(span);
	}
	thread_done(t);
	return err;
}
