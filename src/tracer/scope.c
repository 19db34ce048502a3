/* Steps that are open, and which of them is the parent of what a thread records. */
#include "tracer/tracer.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>

void span_release(cf_span *span)
{
	if (!span || atomic_fetch_sub(&span->refs, 1) != 1)
		return;
	buf_fini(&span->name);
	buf_fini(&span->metadata);
	free(span);
}

/* Under the run's lock. */
static void unlink_span(cf_span *span)
{
	if (!span->prev)
		return;
	*span->prev = span->next;
	if (span->next)
		span->next->prev = span->prev;
	span->prev = NULL;
	span_release(span);
}

bool span_end(cf_span *span)
{
	bool expected = false;

	if (!atomic_compare_exchange_strong(&span->ended, &expected, true))
		return false;
	pthread_mutex_lock(&span->run->lock);
	unlink_span(span);
	pthread_mutex_unlock(&span->run->lock);
	return true;
}

void spans_abandon(cf_run *run)
{
	while (run->spans) {
		cf_span *span = run->spans;
		atomic_store(&span->ended, true);
		span->run = NULL;
		unlink_span(span);
	}
}

static void pop_ended(struct thread *t)
{
	while (t->n_scopes) {
		struct scope *s = &t->scopes[t->n_scopes - 1];
		if (!s->span || !atomic_load(&s->span->ended))
			return;
		span_release(s->span);
		t->n_scopes--;
	}
}

bool scope_current(struct thread *t, const cf_run *run, char id[64])
{
	pop_ended(t);
	for (size_t i = t->n_scopes; i-- > 0;) {
		struct scope *s = &t->scopes[i];
		if (s->run != run->serial || (s->span && atomic_load(&s->span->ended)))
			continue;
		memcpy(id, s->id, sizeof(s->id));
		return true;
	}
	return false;
}

int scope_add(struct thread *t, const cf_run *run, cf_span *span, const char *id)
{
	pop_ended(t);
	if (t->n_scopes == SCOPE_MAX)
		return fail(CF_LIMIT, "scope", "more than %d are open on this thread", SCOPE_MAX);
	if (t->n_scopes == t->cap_scopes) {
		size_t cap = t->cap_scopes ? t->cap_scopes * 2 : 8;
		struct scope *scopes = realloc(t->scopes, cap * sizeof(*scopes));
		if (!scopes)
			return fail(CF_MEMORY, "scope", "out of memory");
		t->scopes = scopes;
		t->cap_scopes = cap;
	}
	struct scope *s = &t->scopes[t->n_scopes++];
	s->run = run->serial;
	s->span = span;
	if (span)
		atomic_fetch_add(&span->refs, 1);
	snprintf(s->id, sizeof(s->id), "%s", id);
	return 0;
}

static void drop_scope(struct thread *t, size_t at)
{
	span_release(t->scopes[at].span);
	memmove(&t->scopes[at], &t->scopes[at + 1], (t->n_scopes - at - 1) * sizeof(t->scopes[0]));
	t->n_scopes--;
}

void scope_remove(struct thread *t, const cf_span *span)
{
	for (size_t i = t->n_scopes; i-- > 0;) {
		if (t->scopes[i].span == span) {
			drop_scope(t, i);
			return;
		}
	}
}

void scopes_drop(struct thread *t)
{
	while (t->n_scopes)
		drop_scope(t, t->n_scopes - 1);
}

int cf_scope_push(cf_run *run, const char *parent_step_id)
{
	int err = run_usable(run);

	if (err)
		return err;
	if (!parent_step_id || strlen(parent_step_id) >= 64)
		return fail(CF_INVALID, "parent_step_id", "must have at most 63 bytes");
	struct thread *t = thread_begin();
	if (!t)
		return CF_MEMORY;
	err = scope_add(t, run, NULL, parent_step_id);
	thread_done(t);
	return err;
}

int cf_scope_pop(cf_run *run)
{
	int err = run_usable(run);

	if (err)
		return err;
	struct thread *t = thread_begin();
	if (!t)
		return CF_MEMORY;
	err = fail(CF_INVALID, "scope", "none was pushed on this thread");
	for (size_t i = t->n_scopes; i-- > 0;) {
		if (t->scopes[i].run == run->serial && !t->scopes[i].span) {
			drop_scope(t, i);
			err = 0;
			break;
		}
	}
	thread_done(t);
	return err;
}

static int keep(struct buf *to, struct span text, const char *place)
{
	buf_init(to, LIMIT_STEP);
	if (text.p && buf_add_span(to, text))
		return fail(CF_MEMORY, place, "out of memory");
	return 0;
}

static cf_span *new_span(cf_run *run, enum step_type type)
{
	cf_span *span = calloc(1, sizeof(*span));

	if (!span) {
		fail(CF_MEMORY, "span", "out of memory");
		return NULL;
	}
	span->run = run;
	span->type = type;
	span->began_mono_ns = now_mono_ns();
	atomic_init(&span->refs, 1); /* of whoever begins it */
	atomic_init(&span->ended, false);
	return span;
}

static void link_span(cf_run *run, cf_span *span)
{
	pthread_mutex_lock(&run->lock);
	span->next = run->spans;
	span->prev = &run->spans;
	if (span->next)
		span->next->prev = &span->next;
	run->spans = span;
	atomic_fetch_add(&span->refs, 1);
	pthread_mutex_unlock(&run->lock);
}

/* Its first line in the journal; the span learns its id, parent and time from it. */
static int write_begin(cf_run *run, struct thread *t, cf_span *span, const char *name, const cf_begin_options *o)
{
	struct step s = { .type = span->type };
	cf_step_options so = { .parent_step_id = o->parent_step_id, .timestamp_ns = o->timestamp_ns };
	bool repaired = false;
	char parent[64] = "";
	cf_id id;

	if (!o->parent_step_id)
		scope_current(t, run, parent);
	else
		snprintf(parent, sizeof(parent), "%s", o->parent_step_id);
	int err = value_raw(t, cf_text(name), NULL, "name", &s.values[0], &repaired);
	if (!err)
		err = value_raw(t, o->metadata, NULL, "metadata", &s.metadata, &repaired);
	if (!err)
		err = keep(&span->name, s.values[0], "name");
	if (!err && s.metadata.p && json_type_of(s.metadata) != JSON_OBJECT)
		err = fail(CF_INVALID, "metadata", "must be an object");
	if (!err)
		err = keep(&span->metadata, s.metadata, "metadata");
	if (!err)
		err = record_step(run, t, &s, &so, repaired, false, &id);
	if (err)
		return err;
	memcpy(span->id, id.text, sizeof(span->id));
	memcpy(span->parent, parent, sizeof(span->parent));
	span->began_ns = s.began_ns;
	return 0;
}

cf_span *cf_begin(cf_run *run, cf_type type, const char *name, const cf_begin_options *options)
{
	cf_begin_options o;

	memset(&o, 0, sizeof(o));
	if (options)
		memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
	if (run_usable(run))
		return NULL;
	if ((int)type < 0 || (int)type >= STEP_TYPES) {
		fail(CF_INVALID, "type", "is no type of step");
		return NULL;
	}
	struct thread *t = thread_begin();
	cf_span *span = t ? new_span(run, (enum step_type)type) : NULL;
	if (!span) {
		if (t)
			thread_done(t);
		return NULL;
	}
	int err = write_begin(run, t, span, name, &o);
	if (!err && !o.detached)
		err = scope_add(t, run, span, span->id);
	if (err) {
		span_release(span);
		span = NULL;
	} else {
		link_span(run, span);
	}
	thread_done(t);
	return span;
}

const char *cf_span_id(const cf_span *span)
{
	return span ? span->id : "";
}

static int span_usable(const cf_span *span)
{
	if (!span)
		return fail(CF_INVALID, "span", "is NULL");
	if (atomic_load(&span->ended) || !span->run)
		return fail(CF_CLOSED, "span", "has ended already");
	return run_usable(span->run);
}

int cf_span_fail(cf_span *span, const char *type, const char *message)
{
	cf_value values[STEP_MAX_FIELDS];
	cf_step_options o = { .span = span };
	cf_builder *b;
	int err = span_usable(span);

	if (err)
		return err;
	memset(values, 0, sizeof(values));
	if (span->type == STEP_TOOL_CALL) {
		values[TOOL_SUCCESS] = cf_bool(false);
		values[TOOL_ERROR] = cf_text(message);
	}
	b = cf_builder_new();
	if (!b)
		return fail(CF_MEMORY, "error", "out of memory");
	cf_builder_object(b, NULL);
	cf_builder_object(b, "error");
	if (type)
		cf_builder_put(b, "type", cf_text(type));
	if (message)
		cf_builder_put(b, "message", cf_text(message));
	cf_builder_end(b);
	cf_builder_end(b);
	o.metadata = cf_builder_value(b);
	err = record_values(span->run, span->type, values, &o, NULL);
	cf_builder_free(b);
	return err;
}

int cf_span_end(cf_span *span, cf_value value)
{
	cf_value values[STEP_MAX_FIELDS];
	cf_step_options o = { .span = span };
	int err = span_usable(span);

	if (err)
		return err;
	memset(values, 0, sizeof(values));
	if (span->type == STEP_STATE_CHANGE)
		values[SC_NEW_VALUE] = value;
	else if (value.kind != CF_ABSENT)
		return fail(CF_INVALID, "value", "is only for a state_change");
	return record_values(span->run, span->type, values, &o, NULL);
}
