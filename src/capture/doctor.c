/* cf-observe doctor: the findings, told in text or in JSON. */
#include "capture/doctor.h"

#include "base/exit.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "capture/doctor_int.h"
#include "capture/room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_MAX (1024 * 1024)

static const char *const verdict_names[] = {
	[VERDICT_FINE] = "ok",
	[VERDICT_LIMITED] = "limited",
	[VERDICT_MISSING] = "MISSING",
	[VERDICT_UNKNOWN] = "unknown",
};

/* What doctor says about one process, apart from how it is printed. */
struct opinion {
	bool sees; /* anything of what it says over TLS */
	char seen[256];
	char unseen[512];
};

static void add(char *text, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(char *text, size_t cap, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	if (len && len + 2 < cap)
		len += (size_t)snprintf(text + len, cap - len, "; ");
	va_start(ap, fmt);
	vsnprintf(text + len, cap - len, fmt, ap);
	va_end(ap);
}

static const char *reason_of(const struct locate_lib *lib)
{
	if (*lib->reason)
		return lib->reason;
	return lib->n_sites ? "found, but this version has no probes for its way of calling" : "not located";
}

static void judge(const struct target *t, struct opinion *o)
{
	*o = (struct opinion){ .sees = t->n_hookable > 0 };
	add(o->seen, sizeof(o->seen),
	    "processes and their arguments, files written, connections, plain HTTP");
	for (size_t i = 0; i < t->n_files; i++) {
		const struct locate_result *r = &t->files[i].found;

		for (uint32_t k = 0; k < r->n_libs; k++) {
			if (attach_functions(&r->libs[k]))
				add(o->seen, sizeof(o->seen), "what goes through %s",
				    r->libs[k].library);
			else
				add(o->unseen, sizeof(o->unseen), "what goes through %s: %s",
				    r->libs[k].library, reason_of(&r->libs[k]));
		}
		if (!r->n_libs)
			add(o->unseen, sizeof(o->unseen), "TLS in %s: %s", t->files[i].path,
			    r->reason);
	}
	if (t->maps_error)
		add(o->unseen, sizeof(o->unseen), "its libraries could not be listed: %s",
		    strerror(-t->maps_error));
	else if (!t->n_files)
		add(o->unseen, sizeof(o->unseen),
		    "no TLS library that is known is loaded (one that is loaded later will be "
		    "found)");
	if (t->n_unread)
		add(o->unseen, sizeof(o->unseen), "%zu mapped files could not be opened",
		    t->n_unread);
	if (t->io_uring)
		add(o->unseen, sizeof(o->unseen), "what goes through io_uring");
	if (t->seccomp && host_seccomp_kills())
		add(o->unseen, sizeof(o->unseen),
		    "it is under seccomp, and this kernel allows no return probes there");
}

static void put_safe(struct buf *b, const char *text)
{
	text_put_safe(b, span_of(text));
}

static void text_host(struct buf *b, const struct finding *f)
{
	buf_printf(b, "  %-20s %-8s ", f->name, verdict_names[f->verdict]);
	put_safe(b, f->text);
	if (*f->advice) {
		buf_add_text(b, ". ");
		put_safe(b, f->advice);
	}
	buf_add_char(b, '\n');
}

static void text_target(struct buf *b, const struct target *t, const struct opinion *o)
{
	buf_printf(b, "\nProcess %" PRIu32 " (", t->pid);
	put_safe(b, t->comm);
	buf_printf(b, "), user %" PRIu32 "\n  executable   ", t->uid);
	put_safe(b, *t->exe ? t->exe : "not to be read");
	if (*t->container)
		buf_printf(b, "\n  container    %s, where it is process %" PRIu32, t->container,
			   t->inner_pid);
	for (size_t i = 0; i < t->n_files; i++) {
		const struct locate_result *r = &t->files[i].found;

		buf_add_text(b, "\n  TLS          ");
		put_safe(b, t->files[i].path);
		for (uint32_t k = 0; k < r->n_libs; k++) {
			buf_add_text(b, "\n                 ");
			put_safe(b, r->libs[k].library);
			buf_printf(b, ", by %s: %zu functions", r->libs[k].method,
				   attach_functions(&r->libs[k]));
			if (*r->libs[k].reason || !attach_functions(&r->libs[k])) {
				buf_add_text(b, "; ");
				put_safe(b, reason_of(&r->libs[k]));
			}
		}
	}
	buf_add_text(b, "\n  will be seen ");
	put_safe(b, o->seen);
	if (*o->unseen) {
		buf_add_text(b, "\n  will NOT be  ");
		put_safe(b, o->unseen);
	}
	buf_add_char(b, '\n');
}

static void json_host(struct buf *b, const struct finding *f)
{
	json_put_comma(b);
	buf_add_char(b, '{');
	json_put_member_text(b, "name", span_of(f->name));
	json_put_member_text(b, "verdict", span_of(verdict_names[f->verdict]));
	json_put_member_bool(b, "required", f->required);
	json_put_member_text(b, "found", span_of(f->text));
	if (*f->advice)
		json_put_member_text(b, "advice", span_of(f->advice));
	buf_add_char(b, '}');
}

static void json_library(struct buf *b, const char *path, const struct locate_lib *lib)
{
	json_put_comma(b);
	buf_add_char(b, '{');
	json_put_member_text(b, "path", span_of(path));
	json_put_member_text(b, "library", span_of(lib->library));
	json_put_member_text(b, "method", span_of(lib->method));
	json_put_member_i64(b, "functions", (int64_t)attach_functions(lib));
	if (*lib->reason || !attach_functions(lib))
		json_put_member_text(b, "reason", span_of(reason_of(lib)));
	buf_add_char(b, '}');
}

static void json_target(struct buf *b, const struct target *t, const struct opinion *o)
{
	json_put_comma(b);
	buf_add_char(b, '{');
	json_put_member_i64(b, "pid", t->pid);
	json_put_member_text(b, "comm", span_of(t->comm));
	json_put_member_text(b, "exe", span_of(t->exe));
	json_put_member_i64(b, "uid", t->uid);
	if (*t->container) {
		json_put_member_text(b, "container", span_of(t->container));
		json_put_member_i64(b, "inner_pid", t->inner_pid);
	}
	json_put_key(b, "libraries");
	buf_add_char(b, '[');
	for (size_t i = 0; i < t->n_files; i++) {
		for (uint32_t k = 0; k < t->files[i].found.n_libs; k++)
			json_library(b, t->files[i].path, &t->files[i].found.libs[k]);
	}
	buf_add_char(b, ']');
	json_put_member_bool(b, "hookable", o->sees);
	json_put_member_text(b, "seen", span_of(o->seen));
	if (*o->unseen)
		json_put_member_text(b, "not_seen", span_of(o->unseen));
	buf_add_char(b, '}');
}

static int report_host(struct buf *b, bool json)
{
	struct finding found[HOST_FINDINGS];
	int status = EXIT_FINE;

	host_look(found);
	buf_add_text(b, json ? "{\"host\":[" : "Host\n");
	for (size_t i = 0; i < HOST_FINDINGS; i++) {
		(json ? json_host : text_host)(b, &found[i]);
		if (found[i].required && found[i].verdict == VERDICT_MISSING)
			status = EXIT_HOST;
	}
	if (json)
		buf_add_char(b, ']');
	return status;
}

static int report_target(struct buf *b, bool json, uint32_t pid)
{
	struct opinion opinion;
	struct target target;
	int status = EXIT_TARGET;

	if (!target_look(pid, &target)) {
		judge(&target, &opinion);
		(json ? json_target : text_target)(b, &target, &opinion);
		status = opinion.sees ? EXIT_FINE : EXIT_UNHOOKED;
	}
	target_free(&target);
	return status;
}

int doctor_run(const uint32_t *pids, size_t n_pids, bool json)
{
	char why[256];
	struct buf b;
	int status;

	for (size_t i = 0; i < n_pids; i++) {
		if (target_check(pids[i], why, sizeof(why))) {
			fprintf(stderr, "cf-observe: %s\n", why);
			return EXIT_TARGET;
		}
	}
	buf_init(&b, REPORT_MAX);
	status = report_host(&b, json);
	if (json)
		buf_add_text(&b, ",\"processes\":[");
	for (size_t i = 0; i < n_pids; i++) {
		int one = report_target(&b, json, pids[i]);

		status = status ? status : one;
	}
	if (json)
		buf_add_text(&b, "]}\n");
	fwrite(b.p, 1, b.len, stdout);
	buf_fini(&b);
	return status;
}
