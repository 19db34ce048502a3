/* JSON keeps exact values; malformed text is refused; writing escapes. */
#include "base/json.h"
#include "base/map.h"
#include "base/timefmt.h"
#include "base/text.h"
#include "base/id.h"
#include "base/limits.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct {
	const char *text;
	int result;
} values[] = {
	{ "{}", 0 }, { "[]", 0 }, { " {\"a\":[1,2,{\"b\":null}]} ", 0 }, { "\"x\\u0000y\"", 0 }, { "1E400", 0 },
	{ "9223372036854775807", 0 }, { "-0.5e-7", 0 }, { "true", 0 }, { "tru", -EAGAIN }, { "trux", -EINVAL },
	{ "{\"a\"", -EAGAIN }, { "{\"a\":1,}", -EINVAL }, { "[1,]", -EINVAL }, { "[1 2]", -EINVAL }, { "01", -EINVAL },
	{ "\"a\nb\"", -EINVAL }, { "\"\\x\"", -EINVAL }, { "\"\\u12g4\"", -EINVAL }, { "", -EAGAIN }, { "{1:2}", -EINVAL },
	{ "[", -EAGAIN }, { "}", -EINVAL }, { "[}", -EINVAL }, { "-", -EAGAIN }, { "1.", -EAGAIN }, { "1.x", -EINVAL },
};

START_TEST(value_checks)
{
	struct span v;
	ck_assert_int_eq(json_value(span_of(values[_i].text), &v, NULL), values[_i].result);
}
END_TEST

START_TEST(depth_is_limited)
{
	char deep[2 * LIMIT_JSON_DEPTH + 4];
	struct span v;
	memset(deep, '[', LIMIT_JSON_DEPTH);
	memset(deep + LIMIT_JSON_DEPTH, ']', LIMIT_JSON_DEPTH);
	ck_assert_int_eq(json_value(span_at(deep, 2 * LIMIT_JSON_DEPTH), &v, NULL), 0);
	memset(deep, '[', LIMIT_JSON_DEPTH + 1);
	memset(deep + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
	ck_assert_int_eq(json_value(span_at(deep, 2 * LIMIT_JSON_DEPTH + 2), &v, NULL), -E2BIG);
}
END_TEST

START_TEST(reads_paths_and_texts)
{
	struct arena a;
	struct span doc = SPAN("{\"a\":{\"b\":[10,\"x\\u00e9\\ud83d\\ude00\\n\",{\"c\":true}]},\"k\\u0065y\":1,\"a2\":2,\"d\":1,\"d\":2}");
	int64_t n;

	arena_init(&a);
	ck_assert(json_i64(json_path(doc, "a.b[0]"), &n) && n == 10);
	ck_assert(span_is(json_text(&a, json_path(doc, "a.b[1]")), "x\xc3\xa9\xf0\x9f\x98\x80\n"));
	ck_assert(json_true(json_path(doc, "a.b[2].c")));
	ck_assert(json_i64(json_get(doc, "key"), &n) && n == 1);
	ck_assert(json_i64(json_get(doc, "d"), &n) && n == 2);
	ck_assert(!json_get(doc, "none").p);
	ck_assert(!json_path(doc, "a.b[7].c").p);
	ck_assert_uint_eq(json_count(json_path(doc, "a.b")), 3);
	ck_assert(json_text(&a, SPAN("\"\"")).p != NULL);
	ck_assert(span_is(json_text(&a, SPAN("\"\\ud800x\"")), "\xef\xbf\xbdx"));
	ck_assert(json_is(SPAN("\"a\\tb\""), "a\tb") && !json_is(SPAN("\"a\\u0000\""), "a"));
	ck_assert(json_i64(SPAN("1e3"), &n) && n == 1000);
	ck_assert(!json_i64(SPAN("1.5"), &n) && !json_i64(SPAN("9223372036854775808"), &n));
	arena_fini(&a);
}
END_TEST

START_TEST(writes)
{
	struct buf b;
	bool replaced = false;

	buf_init(&b, 4096);
	buf_add_char(&b, '{');
	json_put_member_text(&b, "t", SPAN("a\"\\\n\x01\x7f\xff\xc3\xa9"));
	json_put_member_i64(&b, "n", -5);
	json_put_member_double(&b, "d", 0.1);
	json_put_member_text(&b, "none", SPAN_NONE);
	json_put_member(&b, "raw", SPAN("[ 1, {\"x\" : \" y \"} ]"));
	buf_add_char(&b, '}');
	ck_assert_str_eq(buf_text(&b), "{\"t\":\"a\\\"\\\\\\n\\u0001\\u007f\xef\xbf\xbd\xc3\xa9\",\"n\":-5,\"d\":0.1,\"raw\":[ 1, {\"x\" : \" y \"} ]}");
	ck_assert(json_valid(buf_span(&b)));
	buf_clear(&b);
	json_put_text(&b, SPAN("\x80"), &replaced);
	ck_assert(replaced);
	buf_clear(&b);
	json_put_compact(&b, SPAN("[ 1, {\"x\" : \" y \"} ]"));
	ck_assert_str_eq(buf_text(&b), "[1,{\"x\":\" y \"}]");
	buf_clear(&b);
	json_put_indented(&b, SPAN("{\"a\":[],\"b\":[1,{}]}"), 2);
	ck_assert_str_eq(buf_text(&b), "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {}\n  ]\n}");
	buf_fini(&b);
}
END_TEST

START_TEST(maps)
{
	struct map m;
	struct names names;
	char key[32];

	map_init(&m);
	names_init(&names);
	for (uintptr_t i = 1; i <= 5000; i++)
		map_set(&m, i * 8, (void *)i);
	for (uintptr_t i = 1; i <= 5000; i += 2)
		ck_assert_ptr_eq(map_del(&m, i * 8), (void *)i);
	for (uintptr_t i = 1; i <= 5000; i++)
		ck_assert_ptr_eq(map_get(&m, i * 8), i % 2 ? NULL : (void *)i);
	ck_assert_uint_eq(m.n, 2500);
	for (uintptr_t i = 1; i <= 100; i++) {
		snprintf(key, sizeof(key), "name%d", (int)i);
		names_set(&names, span_of(key), (void *)i);
	}
	ck_assert_ptr_eq(names_get(&names, SPAN("name7")), (void *)7);
	ck_assert_ptr_eq(names_del(&names, SPAN("name7")), (void *)7);
	ck_assert_ptr_eq(names_get(&names, SPAN("name7")), NULL);
	names_fini(&names);
	map_fini(&m);
}
END_TEST

START_TEST(arena_arrays)
{
	struct arena a;
	int *items = NULL;
	size_t n = 0;

	arena_init(&a);
	for (int i = 0; i < 1000; i++)
		*(int *)arena_push(&a, &items, &n, sizeof(*items)) = i;
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(items[i], i);
	arena_fini(&a);
}
END_TEST

/* Every day of 390 years, forth and back, and against the C library. */
START_TEST(days_of_the_calendar)
{
	char text[TIME_TEXT_LEN], want[TIME_TEXT_LEN];
	int64_t ns, wrong = 0;

	for (int64_t day = -60000; day < 84000; day++) {
		time_t s = (time_t)(day * 86400 + 86399);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.123Z", gmtime(&s));
		time_format((int64_t)s * 1000000000 + 123456789, text);
		wrong += strcmp(text, want) != 0;
		wrong += time_parse(span_of(text), &ns) != 0 || ns != (int64_t)s * 1000000000 + 123000000;
	}
	ck_assert_int_eq(wrong, 0);
}
END_TEST

START_TEST(times)
{
	char text[TIME_TEXT_LEN];
	int64_t ns;

	time_format(1768991400123456789, text);
	ck_assert_str_eq(text, "2026-01-21T10:30:00.123Z");
	ck_assert_int_eq(time_parse(SPAN("2026-01-21T12:30:00.123456789+02:00"), &ns), 0);
	ck_assert_int_eq(ns, 1768991400123456789);
	ck_assert_int_eq(time_parse(SPAN("2026-02-30T12:30:00Z"), &ns), -EINVAL);
	ck_assert_int_eq(time_parse(SPAN("yesterday"), &ns), -EINVAL);
	time_format(-1, text);
	ck_assert_str_eq(text, "1969-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(safe_text)
{
	struct buf b;
	struct id_source ids;
	char id[37], again[37];

	buf_init(&b, 1024);
	text_put_safe(&b, SPAN("a\x1b[31m\xe2\x80\xae\xff\n\xc3\xa9"));
	ck_assert_str_eq(buf_text(&b), "a\\x1b[31m\\u{202e}\\xff\\n\xc3\xa9");
	buf_fini(&b);
	id_init(&ids, 1);
	id_uuid(&ids, id);
	id_init(&ids, 1);
	id_uuid(&ids, again);
	ck_assert_str_eq(id, again);
	ck_assert_int_eq(id[14], '4');
	ck_assert(strchr("89ab", id[19]) != NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base");
	TCase *t = tcase_create("base");

	tcase_add_loop_test(t, value_checks, 0, (int)(sizeof(values) / sizeof(values[0])));
	tcase_add_test(t, depth_is_limited);
	tcase_add_test(t, reads_paths_and_texts);
	tcase_add_test(t, writes);
	tcase_add_test(t, maps);
	tcase_add_test(t, arena_arrays);
	tcase_add_test(t, days_of_the_calendar);
	tcase_add_test(t, times);
	tcase_add_test(t, safe_text);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
