/*
 * The JSON Schema of a release is a promise: what is generated now must still have every field, by its name, with every
 * type and text that was allowed, and nothing more that is required.
 */
#include "trace/check.h"

#include "base/limits.h"
#include "trace/read.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RELEASED "tests/schema/contextforge-trace-1.schema.json"

static struct arena arena;
static struct buf now_text;
static struct buf released_text;
static struct span now, released;
static char broken[400]; /* the first promise that was broken */

static void read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "re");
	char part[4096];
	size_t n;

	ck_assert_msg(f != NULL, "no %s: run from the root of the tree", path);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(out, part, n);
	fclose(f);
}

static void setup(void)
{
	arena_init(&arena);
	buf_init(&now_text, MIB);
	buf_init(&released_text, MIB);
	ck_assert_int_eq(schema_write(&now_text), 0);
	ck_assert_int_eq(json_value(buf_span(&now_text), &now, NULL), 0);
	read_file(RELEASED, &released_text);
	ck_assert_int_eq(json_value(buf_span(&released_text), &released, NULL), 0);
	broken[0] = 0;
}

static void teardown(void)
{
	arena_fini(&arena);
	buf_fini(&now_text);
	buf_fini(&released_text);
}

static void breaks(const char *at, const char *what, struct span name)
{
	if (!broken[0])
		snprintf(broken, sizeof(broken), "%s: %s %.*s", at, what, SPAN_FMT(name));
}

static bool holds(struct span list, struct span value)
{
	struct json_iter it = json_iter(list);
	struct span one;

	if (json_type_of(list) == JSON_STRING)
		return span_eq(list, value);
	while (json_next(&it, NULL, &one))
		if (span_eq(one, value))
			return true;
	return false;
}

/* Every member of a (a text alone is a list of one) is in b. */
static void each_in(struct span a, struct span b, const char *at, const char *what)
{
	struct json_iter it = json_iter(a);
	struct span one;

	if (json_type_of(a) == JSON_STRING && !holds(b, a))
		breaks(at, what, a);
	while (json_type_of(a) == JSON_ARRAY && json_next(&it, NULL, &one))
		if (!holds(b, one))
			breaks(at, what, one);
}

static void compare(struct span was, struct span is, const char *at);

static void compare_properties(struct span was, struct span is, const char *at)
{
	struct json_iter it = json_iter(was);
	struct span key, value;
	char below[300];

	while (it.object && json_next(&it, &key, &value)) {
		struct span name = json_text(&arena, key);
		struct span same = json_get(is, arena_copy(&arena, name).p);
		snprintf(below, sizeof(below), "%s.%.*s", at, SPAN_FMT(name));
		if (same.p)
			compare(value, same, below);
		else
			breaks(at, "a field is gone:", name);
	}
}

static void compare_types(struct span was, struct span is, const char *at)
{
	struct json_iter it = json_iter(was), in;
	struct span old, new;

	while (json_next(&it, NULL, &old)) {
		struct span type = json_path(old, "properties.step_type.const"), same = SPAN_NONE;
		for (in = json_iter(is); json_next(&in, NULL, &new);)
			if (span_eq(json_path(new, "properties.step_type.const"), type))
				same = new;
		if (same.p)
			compare(old, same, arena_printf(&arena, "%s[%.*s]", at, SPAN_FMT(type)).p);
		else
			breaks(at, "a step type is gone:", type);
	}
}

static void compare(struct span was, struct span is, const char *at)
{
	static const char *const limits[] = { "pattern", "minLength", "const",
					      "additionalProperties", NULL };
	int64_t least = 0, least_was = INT64_MIN;

	if (json_get(is, "type").p)
		each_in(json_get(was, "type").p ? json_get(was, "type") : SPAN("\"anything\""),
			json_get(is, "type"), at, "does not take any more:");
	if (json_get(is, "enum").p)
		each_in(json_get(was, "enum").p ? json_get(was, "enum") : SPAN("\"anything\""),
			json_get(is, "enum"), at, "does not take any more:");
	for (const char *const *l = limits; *l; l++)
		if (json_get(is, *l).p && !span_eq(json_get(is, *l), json_get(was, *l)))
			breaks(at, "has another", span_of(*l));
	json_i64(json_get(was, "minimum"), &least_was);
	if (json_i64(json_get(is, "minimum"), &least) && least > least_was)
		breaks(at, "has a higher minimum", SPAN_NONE);
	each_in(json_get(is, "required"), json_get(was, "required"), at, "now requires");
	compare_properties(json_get(was, "properties"), json_get(is, "properties"), at);
	if (json_get(was, "items").p && json_get(is, "items").p)
		compare(json_get(was, "items"), json_get(is, "items"), at);
	else if (json_get(is, "items").p)
		breaks(at, "is tightened by items", SPAN_NONE);
	if (json_get(was, "oneOf").p)
		compare_types(json_get(was, "oneOf"), json_get(is, "oneOf"), at);
}

START_TEST(no_promise_is_broken)
{
	compare(released, now, "");
	ck_assert_msg(!broken[0], "%s", broken);
}
END_TEST

/* What was added must be put into the file: cf-observe check --schema > tests/schema/... */
START_TEST(the_file_is_up_to_date)
{
	struct buf compact;

	buf_init(&compact, MIB);
	json_put_compact(&compact, released);
	ck_assert_msg(span_eq(buf_span(&compact), buf_span(&now_text)),
		      "run cf-observe check --schema > " RELEASED);
	buf_fini(&compact);
}
END_TEST

/* The comparison itself sees each kind of change. */
static const struct {
	const char *from, *to, *said; /* a change to what is generated; NULL: none is broken */
} changes[] = {
	{ "\"tokens_in\":", "\"tokens_input\":",
	  ".steps[\"llm_call\"]: a field is gone: tokens_in" },
	{ ",\"provider\":{\"type\":\"string\"}", "",
	  ".steps[\"llm_call\"]: a field is gone: provider" },
	{ "\"output\":{\"type\":[\"string\",\"object\"]}", "\"output\":{\"type\":\"string\"}",
	  ".steps[\"llm_call\"].output: does not take any more: \"object\"" },
	{ "\"result\":{}", "\"result\":{\"type\":\"object\"}",
	  ".steps[\"tool_call\"].result: does not take any more: \"anything\"" },
	{ "\"file\",\"voice\"", "\"voice\"",
	  ".steps[\"user_input\"].input_type: does not take any more: \"file\"" },
	{ "\"tool_name\",\"arguments\",\"result\"]",
	  "\"tool_name\",\"arguments\",\"result\",\"success\"]",
	  ".steps[\"tool_call\"]: now requires \"success\"" },
	{ "{\"const\":\"interrupt\"}", "{\"const\":\"pause\"}",
	  ".steps: a step type is gone: \"interrupt\"" },
	{ "\"minimum\":0", "\"minimum\":1",
	  ".steps[\"llm_call\"].tokens_in: has a higher minimum " },
	{ "\"agent_info\",\"steps\"]", "\"agent_info\",\"steps\",\"metadata\"]",
	  ": now requires \"metadata\"" },
	{ "\"score\":", "\"rank\":", ".steps[\"retrieval\"].results: a field is gone: score" },
	{ "\"tool_name\",\"arguments\",\"result\"]", "\"tool_name\",\"arguments\"]", NULL },
	{ "\"metadata\":{\"type\":\"object\"},\"steps\"",
	  "\"metadata\":{\"type\":\"object\"},\"more\":{},\"steps\"", NULL },
};

START_TEST(each_kind_of_change_is_seen)
{
	struct buf changed;
	struct span hit = span_find(buf_span(&now_text), span_of(changes[_i].from)), value;

	ck_assert_msg(hit.p != NULL, "%d: %s is not in the schema", _i, changes[_i].from);
	buf_init(&changed, MIB);
	buf_add(&changed, now_text.p, (size_t)(hit.p - now_text.p));
	buf_add_text(&changed, changes[_i].to);
	buf_add(&changed, hit.p + strlen(changes[_i].from), hit.len - strlen(changes[_i].from));
	ck_assert_int_eq(json_value(buf_span(&changed), &value, NULL), 0);
	compare(now, value, "");
	ck_assert_str_eq(broken, changes[_i].said ? changes[_i].said : "");
	buf_fini(&changed);
}
END_TEST

/* Files of every released schema, and those of others: they load for ever. */
static const struct {
	const char *path;
	int steps, problems, warnings;
	bool strict;
} golden[] = {
	{ "tests/golden/trace-1/every-field.json", 11, 0, 0, true },
	{ "tests/golden/trace-others/aliases.json", 4, 0, 1, false },
};

static void say(void *ctx, const struct problem *p, bool warning)
{
	(void)ctx;
	if (!warning)
		printf("%s: %s\n", p->place, p->message);
}

START_TEST(old_traces_load)
{
	struct check c = { .level = CHECK_AUTO, .on_problem = say };
	int fd = open(golden[_i].path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(check_fd(fd, &c), 0);
	close(fd);
	ck_assert_int_eq((int)c.steps, golden[_i].steps);
	ck_assert_int_eq((int)c.problems, golden[_i].problems);
	ck_assert_int_eq((int)c.warnings, golden[_i].warnings);
	ck_assert_int_eq(c.strict, golden[_i].strict);
}
END_TEST

/* Loaded and saved: what was in the file is in it still, member by member. */
START_TEST(nothing_is_lost_by_a_load_and_a_save)
{
	struct run_reader r;
	struct run_item item;
	struct step s;
	struct problem why;
	struct buf out;
	struct span key, value;
	int fd = open(golden[_i].path, O_RDONLY | O_CLOEXEC), more;

	run_reader_init(&r, fd, false);
	buf_init(&out, MIB);
	while ((more = run_reader_next(&r, &item)) > 0) {
		int err = step_read(item.raw, &arena, &s, &why);
		if (err == -ENOTSUP)
			continue;
		ck_assert_int_eq(err, 0);
		buf_clear(&out);
		ck_assert_int_eq(step_write(&s, &out), 0);
		for (struct json_iter it = json_iter(item.raw);
		     golden[_i].strict && json_next(&it, &key, &value);) {
			struct buf compact;
			buf_init(&compact, MIB);
			json_put_compact(&compact, value);
			struct span name = json_text(&arena, key);
			struct span now_value =
				json_get(buf_span(&out), arena_copy(&arena, name).p);
			ck_assert_msg(span_eq(now_value, buf_span(&compact)), "%.*s",
				      SPAN_FMT(name));
			buf_fini(&compact);
		}
	}
	ck_assert_int_eq(more, 0);
	run_reader_fini(&r);
	buf_fini(&out);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("schema");
	TCase *c = tcase_create("schema");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, no_promise_is_broken);
	tcase_add_test(c, the_file_is_up_to_date);
	tcase_add_loop_test(c, each_kind_of_change_is_seen, 0,
			    sizeof(changes) / sizeof(changes[0]));
	tcase_add_loop_test(c, old_traces_load, 0, sizeof(golden) / sizeof(golden[0]));
	tcase_add_loop_test(c, nothing_is_lost_by_a_load_and_a_save, 0,
			    sizeof(golden) / sizeof(golden[0]));
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
