#include "trace/check_rules.h"

#include "base/map.h"
#include "base/timefmt.h"
#include "trace/read.h"
#include "trace/sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* A step's id, or a mention of one, kept until all steps were seen. */
struct mention {
	uint64_t id_hash;
	uint64_t step; /* index */
	uint64_t kind;
};
enum { IS_STEP, IS_PARENT, IS_INPUT_BASE };

struct checking {
	struct check *c;
	struct run_reader reader;
	struct sorter mentions;
	struct arena arena; /* of one step */
	int64_t last_ns;
	int64_t first_ns;
	bool run_checked;
};

static int by_id(const void *pa, const void *pb)
{
	const struct mention *a = pa, *b = pb;

	if (a->id_hash != b->id_hash)
		return a->id_hash < b->id_hash ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->step < b->step ? -1 : a->step > b->step;
}

static int mention(struct checking *k, struct span id, int kind)
{
	struct mention m = { hash_bytes(id.p, id.len, 1), k->reader.n_steps - 1, (uint64_t)kind };

	return sorter_add(&k->mentions, &m);
}

static bool is_strict_time(struct span raw)
{
	static const char form[] = "\"0000-00-00T00:00:00.000Z\"";

	if (raw.len != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < raw.len; i++)
		if (form[i] == '0' ? raw.p[i] < '0' || raw.p[i] > '9' : raw.p[i] != form[i])
			return false;
	return true;
}

static void check_time_form(struct check *c, struct span raw, const struct place *at)
{
	if (c->strict && raw.p && !is_strict_time(raw))
		check_say(c, false, at, "must be in UTC with milliseconds and Z: 2026-01-21T10:30:00.123Z");
}

/* Members that are ours by another name, or that nobody knows. */
static void check_names(struct check *c, const struct step *s, struct span raw, const struct place *at)
{
	struct json_iter it = json_iter(raw);
	struct span key, value;

	while (json_next(&it, &key, &value)) {
		if (json_is(key, "timestamp")) {
			check_time_form(c, value, &(struct place){ at, "timestamp", 0 });
		} else if (c->strict && key.len > 2 && memchr(key.p, '.', key.len)) {
			struct span name = span_at(key.p + 1, key.len - 2);
			if (step_slot(s->type, name) >= 0 || span_is(name, "openinference.span.kind"))
				check_say(c, false, at, "%.*s is only a name that readers accept", SPAN_FMT(name));
		}
	}
}

static void check_damage(struct check *c, struct span raw, const struct place *at)
{
	struct json_iter it = json_iter(raw);
	struct span key, value;
	char name[64];

	if (!value_damage(raw))
		return;
	while (json_next(&it, &key, &value)) {
		const char *in_key = value_damage(key), *why = in_key ? in_key : value_damage(value);
		snprintf(name, sizeof(name), "%.*s", key.len < 50 ? (int)key.len - 2 : 48, key.p + 1);
		if (why)
			check_say(c, false, &(struct place){ at, in_key ? "" : name, 0 }, "%s", why);
	}
}

static void check_fields(struct check *c, const struct step *s, const struct place *at)
{
	const struct step_field *f = step_schemas[s->type].fields;

	for (int i = 0; i < STEP_MAX_FIELDS && f[i].name; i++) {
		struct place field = { at, f[i].name, 0 };
		/* Readers accept a memory_write without an entity_type. */
		bool excused = !c->strict && s->type == STEP_MEMORY_WRITE && i == MW_ENTITY_TYPE;
		if (s->values[i].p)
			check_value(c, &f[i], s->values[i], &field);
		else if (f[i].required && !excused)
			check_say(c, false, &field, "is required");
	}
}

/* step_read makes `put` strict; the check wants to see what stands in the file. */
static void check_put(struct check *c, const struct step *s, struct span raw, const struct place *at)
{
	if (s->type == STEP_MEMORY_WRITE && c->strict && json_is(json_get(raw, "operation"), "put"))
		check_say(c, false, &(struct place){ at, "operation", 0 }, "must be one of: add, update, delete");
}

static void check_step_at(struct check *c, const struct step *s, struct span raw, const struct place *at)
{
	if (!s->id.len)
		check_say(c, false, &(struct place){ at, "step_id", 0 }, "must not be empty");
	if (s->parent_id.p && span_eq(s->parent_id, s->id))
		check_say(c, false, &(struct place){ at, "parent_step_id", 0 }, "is the step itself");
	check_names(c, s, raw, at);
	check_damage(c, raw, at);
	check_fields(c, s, at);
	check_put(c, s, raw, at);
	check_step_metadata(c, s, &(struct place){ at, "metadata", 0 });
}

void check_step(struct check *c, const struct step *s, struct span raw, const char *place)
{
	check_step_at(c, s, raw, &(struct place){ NULL, place, 0 });
}

static void keep_first(void *ctx, const struct problem *p, bool warning)
{
	struct problem *first = ctx;

	if (!warning && !first->message[0])
		*first = *p;
}

int step_valid(const struct step *s, struct problem *why)
{
	struct problem first = { "", "" };
	struct check c = { .strict = true, .on_problem = keep_first, .ctx = &first };
	const struct step_field *f = step_schemas[s->type].fields;

	for (int i = 0; i < STEP_MAX_FIELDS && f[i].name; i++)
		if (s->values[i].p)
			check_value(&c, &f[i], s->values[i], &(struct place){ NULL, f[i].name, 0 });
	check_step_metadata(&c, s, &(struct place){ NULL, "metadata", 0 });
	if (c.problems)
		*why = first;
	return c.problems ? -EINVAL : 0;
}

static bool is_uuid4(struct span id)
{
	if (id.len != 36)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? id.p[i] != '-' : !memchr("0123456789abcdefABCDEF", id.p[i], 22))
			return false;
	}
	return id.p[14] == '4' && memchr("89abAB", id.p[19], 6);
}

static struct place top(const char *name)
{
	return (struct place){ NULL, name, 0 };
}

void check_run(struct check *c, const struct run_info *run)
{
	struct place id = top("run_id"), agent = top("agent_info"), task = top("task_info"), meta = top("metadata");
	struct place start = top("started_at"), end = top("ended_at");

	if (!run->run_id.p)
		check_say(c, false, &id, "is required");
	else if (c->strict && !is_uuid4(run->run_id))
		check_say(c, false, &id, "must be a UUID of version 4");
	if (!run->started_ns)
		check_say(c, false, &start, "is required");
	if (run->ended_ns && run->ended_ns < run->started_ns)
		check_say(c, false, &end, "is before started_at");
	if (run->agent_info.p)
		check_members(c, agent_fields, run->agent_info, &agent);
	else
		check_say(c, false, &agent, "is required");
	if (run->task_info.p)
		check_members(c, task_fields, run->task_info, &task);
	check_damage(c, run->agent_info, &agent);
	check_damage(c, run->task_info, &task);
	check_damage(c, run->metadata, &meta);
	check_run_metadata(c, run, &meta);
}

/* Once the members are known as far as the first step: decides how strict to be. */
static void decide(struct checking *k)
{
	struct check *c = k->c;

	if (c->level == CHECK_AUTO)
		c->strict = json_is(json_get(k->reader.run.metadata, "schema"), TRACE_SCHEMA);
	else
		c->strict = c->level == CHECK_STRICT;
}

static void check_order(struct checking *k, const struct step *s, const struct place *at)
{
	struct place time = { at, "timestamp", 0 };

	if (k->c->journal)
		return;
	if (s->began_ns < k->last_ns)
		check_say(k->c, !k->c->strict, &time, "is before the step in front of it");
	k->last_ns = s->began_ns;
}

static int check_item(struct checking *k, struct span raw)
{
	struct place steps = top("steps"), line = top("line");
	struct place at = { k->c->journal ? &line : &steps, NULL,
			    (size_t)(k->c->journal ? k->reader.line : k->reader.n_steps - 1) };
	struct problem why = { "", "" };
	struct step s;

	int err = step_read(raw, &k->arena, &s, &why);
	if (err) {
		/* Others may know more step types than we do. */
		check_say(k->c, err == -ENOTSUP && !k->c->strict, why.place[0] ? &(struct place){ &at, why.place, 0 } : &at,
			  "%s", why.message);
		/* Its id may still be a parent. */
		struct span id = json_get_text(&k->arena, raw, "step_id");
		return id.p ? mention(k, id, IS_STEP) : 0;
	}
	check_step_at(k->c, &s, raw, &at);
	check_order(k, &s, &at);
	err = mention(k, s.id, IS_STEP);
	if (!err && s.parent_id.p)
		err = mention(k, s.parent_id, IS_PARENT);
	struct span base = s.metadata.p ? json_get(s.metadata, "input_base") : SPAN_NONE;
	struct span base_id = base.p ? json_get_text(&k->arena, base, "step_id") : SPAN_NONE;
	return err || !base_id.p ? err : mention(k, base_id, IS_INPUT_BASE);
}

static void say_mention(struct checking *k, const struct mention *m, const char *what, uint64_t other)
{
	struct place steps = top("steps"), at = { &steps, NULL, (size_t)m->step };
	static const char *const names[] = { "step_id", "parent_step_id", "metadata.input_base.step_id" };
	struct place member = { &at, names[m->kind], 0 };

	if (m->kind == IS_STEP)
		check_say(k->c, false, &member, "%s steps[%llu]", what, (unsigned long long)other);
	else
		check_say(k->c, false, &member, "%s", what);
}

static int check_mentions(struct checking *k)
{
	struct mention m, step = { 0 };
	bool have = false;
	int more, err = sorter_sort(&k->mentions);

	if (err)
		return err;
	while ((more = sorter_next(&k->mentions, &m)) > 0) {
		bool same = have && step.id_hash == m.id_hash;
		if (m.kind != IS_STEP && !same)
			say_mention(k, &m, "is not a step of this run", 0);
		else if (m.kind == IS_STEP && same && !k->c->journal)
			say_mention(k, &m, "is the same as that of", step.step);
		if (m.kind == IS_STEP && !same) {
			step = m;
			have = true;
		}
	}
	return more;
}

static void finish(struct checking *k)
{
	struct check *c = k->c;
	struct place steps = top("steps"), file = top("");

	if (!k->run_checked)
		decide(k);
	check_run(c, &k->reader.run);
	if (!c->journal && !k->reader.has_steps)
		check_say(c, !c->strict, &steps, "is missing");
	if (k->reader.torn)
		check_say(c, true, &file, "%llu bytes are no whole line: a write was cut short",
			  (unsigned long long)k->reader.torn);
}

int check_fd(int fd, struct check *c)
{
	struct checking k = { .c = c, .last_ns = INT64_MIN };
	struct run_item item;
	int more, err = 0;

	c->steps = c->problems = c->warnings = 0;
	run_reader_init(&k.reader, fd, c->journal);
	sorter_init(&k.mentions, sizeof(struct mention), by_id, AT_FDCWD);
	arena_init(&k.arena);
	while (!err && (more = run_reader_next(&k.reader, &item)) > 0) {
		if (!k.run_checked)
			decide(&k);
		k.run_checked = true;
		c->steps++;
		err = check_item(&k, item.raw);
		arena_fini(&k.arena);
	}
	if (!err && more == -EINVAL) {
		struct place at = top(k.reader.why.place);
		check_say(c, false, &at, "%s", k.reader.why.message);
	} else if (!err) {
		err = more;
	}
	if (!err)
		err = check_mentions(&k);
	if (!err && more == 0)
		finish(&k);
	arena_fini(&k.arena);
	sorter_fini(&k.mentions);
	run_reader_fini(&k.reader);
	return err;
}
