/*
 * metadata.capture: what was seen of the processes of a run, and what was not. `complete` is true only when nothing is
 * missing of what the run could have contained; each reason that speaks against it is named in `missing`.
 */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/timefmt.h"

#include <stdlib.h>

extern const char *const lost_names[];

/* Losses up to an exit are counted when the counters were read this much later. */
#define SETTLE_NS (2 * NS_PER_S)

bool counters_settled(const struct assembler *a, const struct tree *t)
{
	return a->counters.seen && a->counters.ts_ns >= t->exited_ns + SETTLE_NS;
}

static void set_text(char **at, struct span value)
{
	if (*at && span_is(value, *at))
		return;
	free(*at);
	*at = span_dup(value);
}

void conn_take(struct assembler *a, const struct conn_account *account)
{
	const struct conn_info *info = account->conn;
	struct proc *p = proc_get(a, info->pid, info->proc_start_ns);
	struct conn_row **at = &p->tree->conns, *row;

	while (*at && (*at)->id != info->id)
		at = &(*at)->next;
	if (!*at)
		*at = mem_alloc(sizeof(**at));
	row = *at;
	row->id = info->id;
	row->pid = info->pid;
	row->source = info->source;
	row->state = account->state;
	set_text(&row->peer, info->peer);
	set_text(&row->protocol, span_str(account->protocol));
	set_text(&row->reason, span_str(account->reason));
	row->bytes_in = account->bytes_in;
	row->bytes_out = account->bytes_out;
	row->missing_in = account->missing_in;
	row->missing_out = account->missing_out;
	row->carries_tls = account->carries_tls;
	row->bound = account->bound;
	row->joined_late = info->joined_late;
}

void tree_facts_free(struct tree *t)
{
	for (struct conn_row *c = t->conns, *next; c; c = next) {
		next = c->next;
		free(c->peer);
		free(c->protocol);
		free(c->reason);
		free(c);
	}
	for (struct note *n = t->gaps, *next; n; n = next) {
		next = n->next;
		free(n->text);
		free(n);
	}
	for (struct library *l = t->libraries, *next; l; l = next) {
		next = l->next;
		free(l->path);
		free(l->library);
		free(l->reason);
		free(l);
	}
}

/* Reasons against `complete`, gathered while the parts are written. */
struct verdict_buf {
	struct buf missing;
	size_t n;
};

static void against(struct verdict_buf *v, const char *reason)
{
	json_put_comma(&v->missing);
	json_put_text(&v->missing, span_of(reason), NULL);
	v->n++;
}

/* What capture says it made, against what came through. Known only at the end. */
static bool put_lost_between(const struct assembler *a, struct buf *b)
{
	const struct counters *c = &a->counters;
	size_t before = b->len;

	if (c->seen && c->records > (int64_t)a->seen_records)
		json_put_member_i64(b, "records_between", c->records - (int64_t)a->seen_records);
	if (a->sent > a->seen_sent)
		json_put_member_i64(b, "facts", a->sent - a->seen_sent);
	/* Every payload byte that the kernel submitted came through, however the records were cut on the way. */
	if (a->saw_data && c->seen && c->bytes > (int64_t)a->seen_bytes)
		json_put_member_i64(b, "bytes_between", c->bytes - (int64_t)a->seen_bytes);
	return b->len > before;
}

static void put_lost(struct run *r, struct buf *b, struct verdict_buf *v)
{
	const struct assembler *a = r->a;
	const struct counters *c = &a->counters;
	bool any = false;

	if (c->seen && c->events >= 0)
		json_put_member_i64(b, "events", c->events);
	if (c->seen && c->bytes >= 0)
		json_put_member_i64(b, "bytes", c->bytes);
	json_put_key(b, "lost");
	buf_add_char(b, '{');
	for (size_t i = 0; lost_names[i]; i++) {
		if (c->lost[i] <= 0)
			continue;
		json_put_member_i64(b, lost_names[i], c->lost[i]);
		/* "nested" calls are counted and still read */
		any = any || strcmp(lost_names[i], "nested") != 0;
	}
	if (a->finishing && put_lost_between(a, b))
		any = true;
	buf_add_char(b, '}');
	if (any)
		against(v, "events were lost");
	if (a->finishing && !a->stopped)
		against(v, "the end of the observation was not seen");
	if (!c->seen)
		against(v, "the counters of losses are not known");
}

/* Within the host: what programs tell each other through pipes, terminals and unix sockets (those have no peer). */
static bool is_local(const struct conn_row *c)
{
	return c->source == SOURCE_PIPE || c->source == SOURCE_TTY || (c->source == SOURCE_SOCKET && !c->peer);
}

/* Not what carries a connection that is read above it, and of what stays within the host only what is understood. */
static bool counts(const struct conn_row *c)
{
	bool below = c->bound && c->source == SOURCE_SOCKET;

	return !below && (c->state == PROTO_DECODED || !is_local(c));
}

/* A connection whose content nobody read. */
static bool is_unread(const struct conn_row *c)
{
	return counts(c) && c->bytes_in + c->bytes_out && (c->state != PROTO_DECODED || c->carries_tls);
}

/* DNS says which names were looked up, never what was said. */
static bool is_lookup(const struct conn_row *c)
{
	return c->source == SOURCE_SOCKET && !c->carries_tls && c->peer && span_ends(span_of(c->peer), SPAN(":53"));
}

static void put_unread(struct buf *b, const struct conn_row *c)
{
	json_put_comma(b);
	buf_add_char(b, '{');
	json_put_member_text(b, "peer", span_str(c->peer));
	json_put_member_text(b, "protocol", c->protocol ? span_of(c->protocol) : c->carries_tls ? SPAN("tls") : SPAN_NONE);
	json_put_member_i64(b, "bytes", (int64_t)(c->bytes_in + c->bytes_out));
	json_put_member_i64(b, "pid", c->pid);
	json_put_member_text(b, "reason", c->reason ? span_of(c->reason) :
				 c->carries_tls ? SPAN("TLS that is not read") :
				 is_lookup(c) ? SPAN("name lookup") : SPAN("unknown protocol"));
	buf_add_char(b, '}');
}

static void put_conns(struct run *r, struct buf *b, struct verdict_buf *v)
{
	uint64_t seen = 0, decoded = 0, late = 0, missing = 0, unread = 0, harmless = 0, listed = 0;

	for (const struct conn_row *c = r->tree->conns; c; c = c->next) {
		if (!counts(c))
			continue;
		seen++;
		decoded += c->state == PROTO_DECODED && !c->carries_tls;
		late += c->joined_late;
		missing += c->missing_in + c->missing_out;
		unread += is_unread(c);
		harmless += is_unread(c) && is_lookup(c);
	}
	json_put_key(b, "connections");
	buf_add_char(b, '{');
	json_put_member_i64(b, "seen", (int64_t)seen);
	json_put_member_i64(b, "decoded", (int64_t)decoded);
	json_put_key(b, "not_decoded");
	buf_add_char(b, '[');
	for (const struct conn_row *c = r->tree->conns; c && listed < EFFECTS_MAX; c = c->next)
		if (is_unread(c)) {
			put_unread(b, c);
			listed++;
		}
	buf_add_char(b, ']');
	if (unread > listed)
		json_put_member_i64(b, "not_listed", (int64_t)(unread - listed));
	if (late)
		json_put_member_i64(b, "joined_late", (int64_t)late);
	if (missing)
		json_put_member_i64(b, "missing_bytes", (int64_t)missing);
	buf_add_char(b, '}');
	if (unread > harmless)
		against(v, "connections could not be read");
	if (late)
		against(v, "connections were open before the observer came");
	if (missing)
		against(v, "bytes of connections are missing");
}

static void put_processes(struct run *r, struct buf *b, struct verdict_buf *v)
{
	const struct tree *t = r->tree;
	uint64_t hooked = 0, bad = 0;

	for (const struct library *l = t->libraries; l; l = l->next) {
		hooked += l->hooked;
		bad += !l->hooked;
	}
	json_put_key(b, "processes");
	buf_add_char(b, '{');
	json_put_member_i64(b, "seen", (int64_t)t->processes);
	json_put_member_i64(b, "hooked", (int64_t)hooked);
	json_put_key(b, "not_hooked");
	buf_add_char(b, '[');
	for (const struct library *l = t->libraries; l; l = l->next) {
		if (l->hooked)
			continue;
		json_put_comma(b);
		buf_add_char(b, '{');
		json_put_member_i64(b, "pid", l->pid);
		json_put_member_text(b, "path", span_str(l->path));
		json_put_member_text(b, "library", span_str(l->library));
		json_put_member_text(b, "reason", span_str(l->reason));
		buf_add_char(b, '}');
	}
	for (const struct note *n = t->gaps; n; n = n->next) {
		json_put_comma(b);
		buf_add_char(b, '{');
		json_put_member_i64(b, "pid", n->pid);
		json_put_member_text(b, "reason", span_str(n->text));
		buf_add_char(b, '}');
	}
	buf_add_text(b, "]}");
	if (bad)
		against(v, "TLS libraries are not hooked");
	if (t->gaps)
		against(v, "processes are not covered from their beginning");
}

static void put_blind(struct run *r, struct buf *b, struct verdict_buf *v)
{
	const struct tree *t = r->tree;

	json_put_key(b, "blind_spots");
	buf_add_char(b, '[');
	if (t->blind_uring)
		buf_printf(b, "{\"kind\":\"io_uring\",\"times\":%llu}", (unsigned long long)t->blind_uring);
	if (t->blind_splice) {
		json_put_comma(b);
		buf_printf(b, "{\"kind\":\"splice\",\"times\":%llu}", (unsigned long long)t->blind_splice);
	}
	buf_add_char(b, ']');
	if (t->blind_uring || t->blind_splice)
		against(v, "ways past the hooks were used");
}

/* A root that nobody named: the fork that made it, and whose child it is, was lost. */
static bool has_stranger(const struct assembler *a)
{
	for (const struct tree *t = a->trees; t; t = t->next)
		if (!t->root->announced)
			return true;
	return false;
}

static void put_completeness(struct run *r, struct buf *b)
{
	struct verdict_buf v = { .n = 0 };

	buf_init(&v.missing, 64 * KIB);
	buf_add_char(&v.missing, '[');
	buf_add_char(b, '{');
	put_lost(r, b, &v);
	json_put_member_i64(b, "truncated_bodies", (int64_t)r->totals.truncated);
	put_conns(r, b, &v);
	put_processes(r, b, &v);
	put_blind(r, b, &v);
	if (r->totals.truncated)
		against(&v, "bodies were longer than can be kept");
	if (r->totals.incomplete || r->totals.missing_bytes)
		against(&v, "steps are built from incomplete exchanges");
	if (has_stranger(r->a))
		against(&v, "processes were not announced");
	if (r->steps_cut)
		against(&v, "more happened than the lists hold");
	buf_add_char(&v.missing, ']');
	if (v.n)
		json_put_member(b, "missing", buf_span(&v.missing));
	json_put_member_bool(b, "complete", !v.n);
	buf_add_char(b, '}');
	buf_fini(&v.missing);
}

void completeness_write(struct run *r, struct buf *b, bool open)
{
	const struct assembler *a = r->a;
	const struct tree *t = r->tree;
	const char *stopped = t->exited_ns ? "agent exited" : a->stop_reason ? a->stop_reason : "the run was idle for longest";
	char started[TIME_TEXT_LEN];

	buf_add_char(b, '{');
	json_put_member_text(b, "version", a->version ? span_of(a->version) : SPAN(CF_VERSION));
	json_put_member_text(b, "kernel", span_str(a->kernel));
	json_put_member_text(b, "host", span_str(a->host));
	if (t->root->container)
		json_put_member(b, "container", span_of(t->root->container));
	json_put_member_i64(b, "root_pid", t->root->pid);
	json_put_member(b, "command", a->command ? span_of(a->command) : span_str(t->root->argv));
	time_format(wall_ns(a, r->started_ns), started);
	json_put_member_text(b, "started", span_of(started));
	if (!open) {
		json_put_member_text(b, "stopped", span_of(stopped));
		json_put_key(b, "completeness");
		put_completeness(r, b);
	}
	buf_add_char(b, '}');
}
