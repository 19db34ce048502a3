/* The trace directory: journals, final files, owners and modes, amended steps, a full disk. */
#include "sink/dir.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/limits.h"
#include "trace/sorter.h"
#include "trace/write.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define T0 1768991400123000000ll /* 2026-01-21T10:30:00.123Z */

static char root[64];
static struct buf text;

static void setup(void)
{
	snprintf(root, sizeof(root), "/tmp/test_sink_dir.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	buf_init(&text, 1 << 30);
}

static void teardown(void)
{
	char command[128];

	buf_fini(&text);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static const char *content_of(const char *name)
{
	FILE *f = fopen(path_of(name), "re");
	char part[65536];
	size_t n;

	ck_assert_msg(f != NULL, "no file %s", name);
	buf_clear(&text);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(&text, part, n);
	fclose(f);
	return buf_text(&text);
}

static bool exists(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static int count_files(void)
{
	DIR *d = opendir(root);
	int n = 0;

	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static struct dir_sink *open_sink(void)
{
	struct dir_sink *s = NULL;

	ck_assert_int_eq(dir_sink_open(root, (uid_t)-1, (gid_t)-1, &s), 0);
	return s;
}

static struct run_info run_named(const char *id)
{
	return (struct run_info){ .run_id = span_of(id), .started_ns = T0, .agent_info = SPAN("{\"name\":\"a\"}") };
}

static struct step step_at(const char *id, int64_t ms, const char *content)
{
	struct step s = { .type = STEP_FINAL_OUTPUT, .id = span_of(id), .began_ns = T0 + ms * 1000000 };

	s.values[FO_CONTENT] = span_of(content);
	return s;
}

static void put_step(struct dir_run *r, const char *id, int64_t ms, const char *content)
{
	struct step s = step_at(id, ms, content);

	ck_assert_int_eq(dir_run_step(r, &s), 0);
}

START_TEST(steps_come_out_in_order_of_time)
{
	struct dir_sink *s = open_sink();
	struct run_info run = run_named("r1");
	struct dir_run *r;
	char file[DIR_FILE_MAX];
	struct span raw;

	ck_assert_int_eq(dir_sink_begin(s, &run, &r), 0);
	ck_assert_int_eq(dir_sink_begin(s, &run, &(struct dir_run *){ NULL }), -EEXIST);
	put_step(r, "late", 30, "1");
	put_step(r, "tie-a", 10, "2");
	put_step(r, "tie-b", 10, "3");
	put_step(r, "first", 0, "4");
	ck_assert(!exists("trace-r1.json"));
	ck_assert_int_eq(dir_run_flush(r), 0);
	ck_assert_str_eq(content_of("trace-r1.jsonl.part"),
		"{\"run_id\":\"r1\",\"started_at\":\"2026-01-21T10:30:00.123Z\",\"agent_info\":{\"name\":\"a\"},"
		"\"metadata\":{\"schema\":\"contextforge-trace/1\"}}\n"
		"{\"step_id\":\"late\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00.153Z\",\"content\":1}\n"
		"{\"step_id\":\"tie-a\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00.133Z\",\"content\":2}\n"
		"{\"step_id\":\"tie-b\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00.133Z\",\"content\":3}\n"
		"{\"step_id\":\"first\",\"step_type\":\"final_output\",\"timestamp\":\"2026-01-21T10:30:00.123Z\",\"content\":4}\n");
	run.ended_ns = T0 + 40000000;
	ck_assert_int_eq(dir_run_end(r, &run, file), 0);
	ck_assert_str_eq(file, "trace-r1.json");
	ck_assert_int_eq(count_files(), 1);
	ck_assert_int_eq(json_value(span_of(content_of(file)), &raw, NULL), 0);
	static const char *const order[] = { "first", "tie-a", "tie-b", "late" };
	struct span steps = json_get(raw, "steps");
	ck_assert_uint_eq(json_count(steps), 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert(json_is(json_get(json_at(steps, i), "step_id"), order[i]));
	ck_assert(json_is(json_get(raw, "ended_at"), "2026-01-21T10:30:00.163Z"));
	dir_sink_close(s);
}
END_TEST

START_TEST(a_later_step_with_the_same_id_replaces_the_former)
{
	struct dir_sink *s = open_sink();
	struct run_info run = run_named("r1");
	struct dir_run *r;
	struct span raw;

	ck_assert_int_eq(dir_sink_begin(s, &run, &r), 0);
	put_step(r, "a", 1, "\"old\"");
	put_step(r, "b", 1, "\"b\"");
	put_step(r, "a", 1, "\"new\"");
	put_step(r, "a", 1, "\"newest\"");
	ck_assert_int_eq(dir_run_end(r, &run, NULL), 0);
	ck_assert_int_eq(json_value(span_of(content_of("trace-r1.json")), &raw, NULL), 0);
	ck_assert_uint_eq(json_count(json_get(raw, "steps")), 2);
	ck_assert(json_is(json_path(raw, "steps[0].content"), "newest")); /* keeps its arrival */
	ck_assert(json_is(json_path(raw, "steps[1].step_id"), "b"));
	dir_sink_close(s);
}
END_TEST

START_TEST(an_empty_run_is_a_trace)
{
	struct dir_sink *s = open_sink();
	struct run_info run = run_named("r1");
	struct dir_run *r;

	ck_assert_int_eq(dir_sink_begin(s, &run, &r), 0);
	run.agent_info = SPAN("{\"name\":\"learnt\"}");
	ck_assert_int_eq(dir_run_info(r, &run), 0);
	ck_assert_int_eq(dir_run_end(r, NULL, NULL), 0);
	ck_assert_str_eq(content_of("trace-r1.json"),
		"{\"run_id\":\"r1\",\"started_at\":\"2026-01-21T10:30:00.123Z\",\"agent_info\":{\"name\":\"learnt\"},"
		"\"metadata\":{\"schema\":\"contextforge-trace/1\"},\n\"steps\":[]}\n");
	dir_sink_close(s);
}
END_TEST

START_TEST(ten_thousand_steps_in_any_order)
{
	struct dir_sink *s = open_sink();
	struct run_info run = run_named("r1");
	struct dir_run *r;
	struct span raw, value;
	char id[16], content[1000];

	memset(content, 'x', sizeof(content) - 1);
	content[0] = content[sizeof(content) - 2] = '"';
	content[sizeof(content) - 1] = 0;
	ck_assert_int_eq(dir_sink_begin(s, &run, &r), 0);
	for (int i = 0; i < 10000; i++) {
		int n = i * 7919 % 10000; /* a permutation */
		snprintf(id, sizeof(id), "%d", n);
		put_step(r, id, n, content);
	}
	ck_assert_int_eq(dir_run_end(r, &run, NULL), 0);
	ck_assert_int_eq(json_value(span_of(content_of("trace-r1.json")), &raw, NULL), 0);
	struct json_iter it = json_iter(json_get(raw, "steps"));
	int n = 0;
	for (; json_next(&it, NULL, &value); n++) {
		snprintf(id, sizeof(id), "%d", n);
		ck_assert(json_is(json_get(value, "step_id"), id));
		ck_assert_uint_eq(json_get(value, "content").len, sizeof(content) - 1);
	}
	ck_assert_int_eq(n, 10000);
	ck_assert_uint_eq(dir_sink_stats(s)->steps, 10000);
	ck_assert_uint_gt(dir_sink_stats(s)->bytes, 10000000);
	dir_sink_close(s);
}
END_TEST

START_TEST(only_the_owner_can_look)
{
	char path[128];
	struct dir_sink *s;
	struct run_info run = run_named("r1");
	struct dir_run *r;
	struct stat st;
	bool is_root = geteuid() == 0;

	umask(0);
	snprintf(path, sizeof(path), "%s/a/b//c/", root);
	ck_assert_int_eq(dir_sink_open(path, is_root ? 65534 : (uid_t)-1, is_root ? 65533 : (gid_t)-1, &s), 0);
	ck_assert_int_eq(dir_sink_begin(s, &run, &r), 0);
	static const char *const names[] = { "a", "a/b", "a/b/c", "a/b/c/trace-r1.jsonl.part", "a/b/c/trace-r1.json" };
	for (int i = 0; i < 5; i++) {
		if (i == 4)
			ck_assert_int_eq(dir_run_end(r, &run, NULL), 0);
		ck_assert_int_eq(stat(path_of(names[i]), &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, i < 3 ? 0700 : 0600);
		if (is_root) {
			ck_assert_uint_eq(st.st_uid, 65534);
			ck_assert_uint_eq(st.st_gid, 65533);
		}
	}
	dir_sink_close(s);
}
END_TEST

START_TEST(links_are_not_followed)
{
	struct dir_sink *s = NULL;
	struct run_info run = run_named("r1");
	struct dir_run *r;
	char path[128];

	ck_assert_int_eq(mkdir(path_of("real"), 0755), 0);
	ck_assert_int_eq(symlink("real", path_of("link")), 0);
	snprintf(path, sizeof(path), "%s/link", root);
	ck_assert_int_lt(dir_sink_open(path, (uid_t)-1, (gid_t)-1, &s), 0);
	snprintf(path, sizeof(path), "%s/file", root);
	fclose(fopen(path, "we"));
	ck_assert_int_eq(dir_sink_open(path, (uid_t)-1, (gid_t)-1, &s), -ENOTDIR);
	s = open_sink();
	ck_assert_int_eq(symlink("file", path_of("trace-r1.jsonl.part")), 0);
	ck_assert_int_eq(dir_sink_begin(s, &run, &r), -EEXIST);
	/* A link where the final file is written goes away, what it points to stays empty. */
	unlink(path_of("trace-r1.jsonl.part"));
	ck_assert_int_eq(symlink("file", path_of("trace-r1.json.tmp")), 0);
	ck_assert_int_eq(symlink("file", path_of("trace-r1.json")), 0);
	ck_assert_int_eq(dir_sink_begin(s, &run, &r), 0);
	ck_assert_int_eq(dir_run_end(r, &run, NULL), 0);
	ck_assert_uint_eq(strlen(content_of("file")), 0);
	ck_assert_uint_gt(strlen(content_of("trace-r1.json")), 0);
	dir_sink_close(s);
}
END_TEST

START_TEST(a_run_id_stays_in_the_directory)
{
	static const char *const bad[] = { "../x", "a/b", "", ".hidden", "a\nb" };
	struct dir_sink *s = open_sink();
	struct dir_run *r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct run_info run = run_named(bad[i]);
		ck_assert_int_eq(dir_sink_begin(s, &run, &r), -EINVAL);
	}
	ck_assert_int_eq(count_files(), 0);
	dir_sink_close(s);
}
END_TEST

/* A limit on the size of files acts as a full disk does: a write that is cut short, then one that fails. */
START_TEST(a_full_disk_keeps_what_was_captured)
{
	struct dir_sink *s = open_sink();
	struct run_info run = run_named("r1");
	struct rlimit small = { 100000, RLIM_INFINITY }, whole = { RLIM_INFINITY, RLIM_INFINITY };
	struct dir_run *r;
	int told = 0, at = -1;
	char id[16];

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(dir_sink_begin(s, &run, &r), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 2000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		struct step step = step_at(id, i, "\"some text that takes room\"");
		int err = dir_run_step(r, &step);
		if (!err && i % 100 == 99)
			err = dir_run_flush(r);
		if (err) {
			ck_assert_int_eq(err, -EFBIG);
			told++;
			at = i;
		}
	}
	ck_assert_int_eq(told, 1);
	ck_assert_int_ge(at, 100);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &whole), 0);
	const struct dir_stats *st = dir_sink_stats(s);
	ck_assert_int_eq(st->error, -EFBIG);
	uint64_t kept = st->steps - st->lost;
	ck_assert_uint_gt(kept, 500);
	ck_assert_int_eq(dir_run_end(r, &run, NULL), 0);
	struct span raw;
	ck_assert_int_eq(json_value(span_of(content_of("trace-r1.json")), &raw, NULL), 0);
	ck_assert_uint_eq(json_count(json_get(raw, "steps")), kept);
	dir_sink_close(s);
}
END_TEST

START_TEST(a_closed_sink_leaves_journals)
{
	struct dir_sink *s = open_sink();
	struct run_info run = run_named("r1");
	struct dir_run *r;

	ck_assert_int_eq(dir_sink_begin(s, &run, &r), 0);
	put_step(r, "a", 1, "1");
	dir_sink_close(s);
	ck_assert(exists("trace-r1.jsonl.part"));
	ck_assert_ptr_nonnull(strstr(content_of("trace-r1.jsonl.part"), "\"step_id\":\"a\""));
}
END_TEST

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

START_TEST(more_than_the_memory_is_sorted)
{
	struct sorter s;
	uint64_t n = 1000003, v, step = 611953, wrong = 0;

	sorter_init(&s, sizeof(v), by_number, AT_FDCWD);
	for (uint64_t i = 0; i < n; i++) {
		v = i * step % n;
		wrong += sorter_add(&s, &v) || s.cap * s.size > LIMIT_SORT_MEMORY;
	}
	ck_assert_int_eq(sorter_sort(&s), 0);
	ck_assert_uint_gt(s.n_parts, 3);
	for (uint64_t i = 0; i < n; i++)
		wrong += sorter_next(&s, &v) != 1 || v != i;
	ck_assert_uint_eq(wrong, 0);
	ck_assert_int_eq(sorter_next(&s, &v), 0);
	sorter_fini(&s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sink_dir");
	TCase *c = tcase_create("sink_dir");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, steps_come_out_in_order_of_time);
	tcase_add_test(c, a_later_step_with_the_same_id_replaces_the_former);
	tcase_add_test(c, an_empty_run_is_a_trace);
	tcase_add_test(c, ten_thousand_steps_in_any_order);
	tcase_add_test(c, only_the_owner_can_look);
	tcase_add_test(c, links_are_not_followed);
	tcase_add_test(c, a_run_id_stays_in_the_directory);
	tcase_add_test(c, a_full_disk_keeps_what_was_captured);
	tcase_add_test(c, a_closed_sink_leaves_journals);
	tcase_add_test(c, more_than_the_memory_is_sorted);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
