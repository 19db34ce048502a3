/*
 * Figures of the trace model: bench_model [DIR [STEPS]]. 1,000 steps serialised (830 kB), 10,000 steps written, loaded and
 * checked, 20 MB redacted; NAME=VALUE a line, in ms of processor time. The files stay in DIR for the comparison with
 * Pydantic (bench_model.py).
 */
#include "base/limits.h"
#include "base/redact.h"
#include "sink/dir.h"
#include "trace/check.h"
#include "trace/read.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define T0 1768991400123000000ll

/* Processor time: other programs on the machine do not count. */
static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static long peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static char input[600];

static struct step step_no(int i, char id[32], char parent[32])
{
	struct step s = { .type = i % 2 ? STEP_TOOL_CALL : STEP_LLM_CALL,
			  .began_ns = T0 + i * 1000000ll };

	snprintf(id, 32, "step-%d", i);
	s.id = span_of(id);
	if (i) {
		snprintf(parent, 32, "step-%d", i - 1);
		s.parent_id = span_of(parent);
	}
	if (s.type == STEP_LLM_CALL) {
		s.values[LLM_MODEL] = SPAN("\"claude-sonnet-4\"");
		s.values[LLM_INPUT] = span_of(input);
		s.values[LLM_OUTPUT] = SPAN("\"An answer of some length, as they are.\"");
		s.values[LLM_TOKENS_IN] = SPAN("812");
		s.values[LLM_TOKENS_OUT] = SPAN("41");
		s.values[LLM_LATENCY_MS] = SPAN("1200");
		s.values[LLM_COST] = SPAN("0.0031");
	} else {
		s.values[TOOL_NAME] = SPAN("\"Bash\"");
		s.values[TOOL_ARGUMENTS] = SPAN("{\"command\":\"make test\",\"timeout\":120000}");
		s.values[TOOL_RESULT] = span_of(input);
		s.values[TOOL_SUCCESS] = SPAN("true");
	}
	s.metadata = SPAN("{\"source\":\"tls\",\"provenance\":\"observed\",\"pid\":812}");
	return s;
}

static void bench_write(void)
{
	struct buf out;
	char id[32], parent[32];
	double best = 1e9;

	buf_init(&out, 64 * MIB);
	for (int round = 0; round < 50; round++) {
		double began = now_ms();
		buf_clear(&out);
		for (int i = 0; i < 1000; i++) {
			struct step s = step_no(i, id, parent);
			step_write(&s, &out);
		}
		double took = now_ms() - began;
		best = took < best ? took : best;
	}
	printf("serialise_1000=%.3f\nserialised_kb=%zu\n", best, out.len / 1000);
	buf_fini(&out);
}

static void write_run(const char *dir, const char *id, int n)
{
	struct dir_sink *sink;
	struct dir_run *run;
	struct run_info info = { .run_id = span_of(id),
				 .started_ns = T0,
				 .ended_ns = T0 + n * 1000000ll,
				 .agent_info = SPAN("{\"name\":\"bench\"}"),
				 .metadata = SPAN("{\"state\":\"completed\"}") };
	char sid[32], parent[32];

	if (dir_sink_open(dir, (uid_t)-1, (gid_t)-1, &sink) || dir_sink_begin(sink, &info, &run))
		exit(1);
	for (int i = 0; i < n; i++) {
		struct step s = step_no(i, sid, parent);
		dir_run_step(run, &s);
	}
	dir_run_end(run, &info, NULL);
	dir_sink_close(sink);
}

static void bench_file(const char *dir, const char *id, int n)
{
	char path[400];
	struct check c = { .level = CHECK_AUTO };
	double began = now_ms();

	write_run(dir, id, n);
	printf("write_%d=%.2f\n", n, now_ms() - began);
	snprintf(path, sizeof(path), "%s/trace-%s.json", dir, id);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	began = now_ms();
	check_fd(fd, &c);
	printf("load_%d=%.2f\nproblems=%llu\n", n, now_ms() - began,
	       (unsigned long long)c.problems);
	close(fd);
}

static void bench_redact(void)
{
	struct redact_options o = { .salt = { 1, 2 } };
	struct redactor *r;
	char why[REDACT_WHY];
	struct buf text, out;

	redactor_new(&o, &r, why);
	buf_init(&text, 64 * MIB);
	buf_init(&out, 64 * MIB);
	while (text.len < 20000000)
		buf_add_text(&text, "{\"role\":\"user\",\"content\":\"Here is some text, as people "
				    "write it, with paths /usr/lib/x "
				    "and code: if (p->len > n)\\n\\treturn sk_buff(ptr, s-k);\\n "
				    "and a hash 9f86d081884c7d65\"},");
	double began = now_ms();
	size_t n = 0;
	struct secret s;
	for (size_t at = 0; secret_find(buf_span(&text), at, &s); at = s.at + s.len)
		n++;
	printf("secrets_20mb=%.1f\nsecrets=%zu\n", now_ms() - began, n);
	began = now_ms();
	redact_json(r, buf_span(&text), &out);
	printf("redact_20mb=%.1f\n", now_ms() - began);
	buf_fini(&text);
	buf_fini(&out);
	redactor_free(r);
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "/tmp/bench_model";
	int most = argc > 2 ? atoi(argv[2]) : 0;
	size_t len = 0;

	input[len++] = '"';
	while (len < 560)
		len += (size_t)snprintf(input + len, sizeof(input) - len,
					"A line of what a tool said, %zu.\\n", len);
	input[len] = '"';
	bench_file(dir, "7d5f2c1e-0b7a-4c55-9d0e-3f2b1a0c9d01", 1000);
	bench_file(dir, "7d5f2c1e-0b7a-4c55-9d0e-3f2b1a0c9d02", 10000);
	if (most)
		bench_file(dir, "7d5f2c1e-0b7a-4c55-9d0e-3f2b1a0c9d03", most);
	bench_write();
	printf("peak_mb=%.1f\n", (double)peak_kib() / 1024);
	if (!most)
		bench_redact();
	return 0;
}
