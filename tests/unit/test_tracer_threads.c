/*
 * Many threads record into one run: none lost, none torn, ids unique, order of time kept. Usage: [THREADS STEPS]; more
 * of both under ThreadSanitizer in tests/tracer.
 */
#include "contextforge/tracer.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int n_threads = 16, n_steps = 2000;
static char root[64];
static cf_run *run;
static atomic_bool stop;

static void *record(void *arg)
{
	long me = (long)arg;
	long failed = 0;
	char content[64];
	cf_id id;

	for (int i = 0; i < n_steps; i++) {
		snprintf(content, sizeof(content), "thread %ld step %d", me, i);
		if (i % 10 == 0) {
			cf_span *span = cf_begin(run, CF_TOOL_CALL, content, NULL);
			failed += !span || cf_tool_call(run, NULL, cf_json("{}"), cf_text(content),
							CF_WITH(cf_tool_call_options, .step.span = span), &id);
		} else {
			failed += cf_user_input(run, content, NULL, &id) != 0;
		}
	}
	return (void *)failed;
}

/* Somebody reads the run and changes it while it grows. */
static void *watch(void *arg)
{
	long failed = 0;

	for (int i = 0; i < 20 && !atomic_load(&stop); i++) {
		char *json = cf_run_to_json(run, 0);
		failed += !json || cf_run_add_metadata(run, cf_json("{\"watched\":true}"));
		cf_free(json);
		usleep(20000);
	}
	(void)arg;
	return (void *)failed;
}

/* Which steps of which thread were seen, in their order. */
static void count(const char *path)
{
	cf_reader *r = cf_reader_open(path);
	int *next = calloc((size_t)n_threads, sizeof(*next));
	const char *json;
	long total = 0, wrong = 0;
	int more;

	while ((more = cf_reader_next(r, &json, NULL)) > 0) {
		const char *at = strstr(json, "\"thread ");
		int thread = -1, step = -1;
		if (!at || sscanf(at, "\"thread %d step %d\"", &thread, &step) != 2 || thread < 0 || thread >= n_threads)
			wrong++;
		else if (next[thread] != step)
			wrong++, next[thread] = step + 1;
		else
			next[thread]++;
		total++;
	}
	cf_reader_close(r);
	free(next);
	ck_assert_int_eq(more, 0);
	ck_assert_int_eq(total, (long)n_threads * n_steps);
	ck_assert_int_eq(wrong, 0);
}

START_TEST(none_is_lost)
{
	cf_run_options o = { sizeof(o) };
	pthread_t threads[64], watcher;
	char path[400], command[128];
	void *failed;
	long all = 0;

	snprintf(root, sizeof(root), "/tmp/test_threads.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	o.agent_name = "threads";
	o.output_path = root;
	run = cf_run_open(&o);
	ck_assert_msg(run != NULL, "%s", cf_error());
	for (long i = 0; i < n_threads; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, record, (void *)i), 0);
	ck_assert_int_eq(pthread_create(&watcher, NULL, watch, NULL), 0);
	for (int i = 0; i < n_threads; i++) {
		pthread_join(threads[i], &failed);
		all += (long)failed;
	}
	atomic_store(&stop, true);
	pthread_join(watcher, &failed);
	ck_assert_int_eq(all + (long)failed, 0);
	snprintf(path, sizeof(path), "%s", cf_run_path(run));
	ck_assert_int_eq(cf_run_close(run), 0);
	int problems = cf_check(path); /* unique ids, order, every rule */
	ck_assert_msg(problems == 0, "%d: %s", problems, cf_error());
	count(path);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s = suite_create("tracer_threads");
	TCase *c = tcase_create("tracer_threads");
	struct rusage u;

	if (argc == 3) {
		n_threads = atoi(argv[1]) < 64 ? atoi(argv[1]) : 64;
		n_steps = atoi(argv[2]);
	}
	tcase_set_timeout(c, argc == 3 ? 900 : 50);
	tcase_add_test(c, none_is_lost);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	getrusage(RUSAGE_CHILDREN, &u);
	if (argc == 3)
		printf("peak memory %ld MB\n", u.ru_maxrss / 1024);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
