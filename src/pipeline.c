#include "pipeline.h"

#include "base/json.h"
#include "base/map.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/exit.h"
#include "dialect/mcp.h"
#include "dialect/socket.h"
#include "proto/exchange.h"
#include "sink/console.h"
#include "sink/dir.h"
#include "stream/stream.h"
#include "trace/assemble.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct pipeline {
	const struct options *options;
	struct pipeline_hooks hooks;
	struct streams *streams;
	struct assembler *assembler; /* from the first fact on: it brings the seed and the clock's offset */
	struct redactor *redactor;
	struct dir_sink *dir;
	struct dir_run **open_runs;  /* to be flushed after each batch */
	size_t n_open, open_cap;
	struct console *console;
	uint64_t now_ns;             /* time of the last record */
	bool stopped;
	bool finished;
	int write_error;             /* the first: -errno */
	char reason[160];
};

/* What the pipeline keeps of one connection. */
struct link {
	struct pipeline *p;
	struct conn *conn;
	struct conn_info info;
	struct proto_conn *proto;
	enum proto_state state;
	const char *protocol;
	const char *reason;
	struct mcp_session *mcp; /* JSON-RPC without HTTP */
	struct socket_session *socket; /* model API over a WebSocket */
};

static enum conn_source source_of(uint8_t layer)
{
	static const enum conn_source sources[] = {
		[0] = SOURCE_TLS, /* its open record was lost */
		[CF_LAYER_TLS] = SOURCE_TLS,
		[CF_LAYER_SOCKET] = SOURCE_SOCKET,
		[CF_LAYER_PIPE] = SOURCE_PIPE,
		[CF_LAYER_TTY] = SOURCE_TTY,
	};

	return layer < sizeof(sources) / sizeof(sources[0]) ? sources[layer] : SOURCE_SOCKET;
}

/* A bind may come after the first bytes: what is known now is copied before every use. */
static void refresh(struct link *l)
{
	const struct conn_facts *f = conn_facts(l->conn);

	l->info.id = f->id;
	l->info.source = source_of(f->layer);
	l->info.pid = f->pid;
	l->info.proc_start_ns = f->start_ns;
	l->info.maybe_late = f->layer == CF_LAYER_TLS && !f->bound;
	l->info.joined_late = f->late || (l->proto && proto_conn_late(l->proto));
	l->info.peer = f->peer[0] ? span_of(f->peer) : SPAN_NONE;
	l->info.local = f->local[0] ? span_of(f->local) : SPAN_NONE;
}

static void on_exchange(void *ctx, struct exchange *ex)
{
	struct link *l = ctx;
	struct call call;

	if (!l->p->assembler)
		return;
	if (call_from_exchange(ex, &call))
		assembler_call(l->p->assembler, ex, &call);
	else
		assembler_exchange(l->p->assembler, ex);
}

static void on_paired_call(void *ctx, const struct exchange *ex, const struct call *call)
{
	struct link *l = ctx;

	if (l->p->assembler)
		assembler_call(l->p->assembler, ex, call);
}

static void on_message(void *ctx, const struct conn_info *conn, const struct exchange *upgrade, const struct frame *f)
{
	struct link *l = ctx;

	if (upgrade) {
		if (!l->socket)
			l->socket = socket_new(conn, upgrade, on_paired_call, l);
		socket_feed(l->socket, f);
		return;
	}
	if (!l->mcp)
		l->mcp = mcp_new(conn, on_paired_call, l);
	mcp_feed(l->mcp, f);
}

static void ask_mode(struct link *l, enum cf_mode mode)
{
	const struct conn_facts *f = conn_facts(l->conn);
	struct request r = { .kind = REQUEST_MODE, .value = mode, .stream = f->in };

	if (f->layer != CF_LAYER_TLS && f->mode == CF_MODE_SAMPLE && l->p->hooks.request)
		l->p->hooks.request(l->p->hooks.ctx, &r);
}

static void on_state(void *ctx, const struct conn_info *conn, enum proto_state state, const char *protocol, const char *reason)
{
	struct link *l = ctx;

	(void)conn;
	l->state = state;
	l->protocol = protocol;
	l->reason = reason;
	if (state == PROTO_DECODED)
		ask_mode(l, CF_MODE_FULL);
	else if (state == PROTO_OPAQUE || state == PROTO_TUNNEL)
		ask_mode(l, CF_MODE_COUNT);
}

static const struct proto_events proto_events = { on_exchange, on_message, on_state };

static void open_conn(void *ctx, struct conn *c)
{
	struct link *l = mem_alloc(sizeof(*l));

	l->p = ctx;
	l->conn = c;
	conn_set_user(c, l);
}

static struct link *with_proto(struct conn *c)
{
	struct link *l = conn_user(c);

	refresh(l);
	if (!l->proto)
		l->proto = proto_conn_new(&l->info, &proto_events, l);
	return l;
}

static enum dir dir_of(int dir)
{
	return dir ? DIR_OUT : DIR_IN;
}

static void on_chunk(void *ctx, struct conn *c, int dir, struct span bytes, uint64_t began_ns, uint64_t ts_ns)
{
	(void)ctx;
	/* What is written began to move when the call began; what is read was there when it returned. */
	proto_feed(with_proto(c)->proto, dir_of(dir), bytes.p, bytes.len, dir ? began_ns : ts_ns);
}

static void on_gap(void *ctx, struct conn *c, int dir, uint64_t missing, uint64_t ts_ns)
{
	(void)ctx;
	proto_gap(with_proto(c)->proto, dir_of(dir), missing, ts_ns);
}

static void on_eof(void *ctx, struct conn *c, int dir, uint64_t ts_ns)
{
	struct link *l = conn_user(c);

	(void)ctx;
	refresh(l);
	if (l->proto)
		proto_eof(l->proto, dir_of(dir), ts_ns);
}

static const char *undecoded(const struct link *l, const struct conn_facts *f)
{
	if (l->reason)
		return l->reason;
	if (f->tls && !f->bound)
		return "TLS that is not read: no covered TLS library moved these bytes";
	if (f->internal || f->layer == CF_LAYER_PIPE)
		return "between followed processes, no protocol that is read";
	if (f->family == AF_UNIX)
		return "unix socket, only counted";
	if (f->protocol == IPPROTO_UDP)
		return "datagrams are only counted";
	return "no protocol that is read";
}

static void account(struct link *l)
{
	const struct conn_facts *f = conn_facts(l->conn);
	struct conn_account a = {
		.conn = &l->info,
		.state = l->state,
		.protocol = l->protocol,
		.reason = l->state == PROTO_DECODED ? NULL : undecoded(l, f),
		.bytes_in = f->moved[0],
		.bytes_out = f->moved[1],
		.missing_in = f->missing[0],
		.missing_out = f->missing[1],
		.counted_only = (f->internal || f->layer == CF_LAYER_PIPE) && l->state != PROTO_DECODED,
		.carries_tls = f->tls,
		.bound = f->layer == CF_LAYER_SOCKET && f->bound,
	};

	if (l->p->assembler && (a.bytes_in || a.bytes_out))
		assembler_conn(l->p->assembler, &a);
}

static void on_close(void *ctx, struct conn *c, const char *why, uint64_t ts_ns)
{
	struct link *l = conn_user(c);

	(void)ctx;
	refresh(l);
	if (l->proto)
		proto_conn_finish(l->proto, ts_ns, why);
	if (l->mcp) {
		mcp_finish(l->mcp, ts_ns, why);
		mcp_free(l->mcp);
	}
	if (l->socket) {
		socket_finish(l->socket, ts_ns, why);
		socket_free(l->socket);
	}
	account(l);
	free(l);
}

static const struct stream_events stream_events = { open_conn, on_chunk, on_gap, on_eof, on_close };

/* Says it once, and lets capture stop: what cannot be kept need not be taken. */
static void write_failed(struct pipeline *p, int err)
{
	const struct dir_stats *st = dir_sink_stats(p->dir);
	struct request stop = { .kind = REQUEST_STOP };
	char bytes[16];

	if (!err || err == -EMSGSIZE || p->write_error)
		return;
	p->write_error = err;
	text_bytes(st->bytes, bytes);
	log_error("%s after %s: capture stopped, %llu steps kept",
		  err == -ENOSPC || err == -EDQUOT ? "disk full" : strerror(-err), bytes,
		  (unsigned long long)(st->steps - st->lost));
	if (p->hooks.request)
		p->hooks.request(p->hooks.ctx, &stop);
}

static void on_run(void *ctx, struct run *run, const struct run_info *info)
{
	struct pipeline *p = ctx;
	struct dir_run *file = NULL;

	int err = dir_sink_begin(p->dir, info, &file);
	write_failed(p, err);
	run_set_user(run, file);
	if (!file)
		return;
	p->open_runs = mem_room(p->open_runs, &p->open_cap, p->n_open + 1, sizeof(struct dir_run *));
	p->open_runs[p->n_open++] = file;
}

static void on_step(void *ctx, struct run *run, const struct step *step, bool again)
{
	struct dir_run *file = run_user(run);
	struct pipeline *p = ctx;

	console_step(p->console, step, again);
	if (file)
		write_failed(p, dir_run_step(file, step));
}

static void forget_open(struct pipeline *p, const struct dir_run *file)
{
	for (size_t i = 0; i < p->n_open; i++)
		if (p->open_runs[i] == file)
			p->open_runs[i] = p->open_runs[--p->n_open];
}

static void on_run_end(void *ctx, struct run *run, const struct run_info *info)
{
	struct dir_run *file = run_user(run);
	char name[DIR_FILE_MAX];
	struct pipeline *p = ctx;

	run_set_user(run, NULL);
	if (!file) {
		console_run_end(p->console, info, NULL);
		return;
	}
	forget_open(p, file);
	int err = dir_run_end(file, info, name);
	console_run_end(p->console, info, err ? NULL : name);
	if (err)
		log_error("the trace of a run could not be finished: %s. Its journal stays; try: cf-observe recover %s",
			  strerror(-err), p->options->output);
}

static const struct run_events run_events = { on_run, on_step, on_run_end };

static int64_t number(struct span json, const char *name)
{
	int64_t v = 0;

	json_i64(json_get(json, name), &v);
	return v;
}

static void on_host(struct pipeline *p, const struct cf_event *e)
{
	struct span json = fact_json(e);
	struct assemble_options o = {
		.seed = (uint64_t)number(json, "seed"),
		.wall_offset_ns = number(json, "wall_offset_ns"),
		.no_inputs = p->options->no_inputs,
		.no_outputs = p->options->no_outputs,
	};
	char why[REDACT_WHY];

	if (p->assembler)
		return;
	pipeline_redactor(p->options, o.seed, &p->redactor, why); /* the patterns were compiled once before */
	o.redactor = p->redactor;
	p->assembler = assembler_new(&o, &run_events, p);
}

int pipeline_redactor(const struct options *o, uint64_t seed, struct redactor **out, char why[REDACT_WHY])
{
	struct redact_options r = {
		.salt = { hash_mix(seed ^ 0x5a17), hash_mix(seed + 0x5a18) },
		.patterns = o->patterns,
		.n_patterns = o->n_patterns,
		.inputs = o->no_inputs,
		.outputs = o->no_outputs,
	};

	return redactor_new(&r, out, why);
}

static int check_patterns(const struct options *o, char *why, size_t why_len)
{
	struct redactor *r;
	char text[REDACT_WHY];
	int err = pipeline_redactor(o, 0, &r, text);

	if (err)
		snprintf(why, why_len, "--redact: %s", text);
	else
		redactor_free(r);
	return err;
}

static struct console *new_console(const struct options *o)
{
	struct winsize w = { 0 };
	struct console_setup setup = {
		.fd = STDERR_FILENO,
		.color = isatty(STDERR_FILENO) && !getenv("NO_COLOR"),
		.json = o->json_log,
		.quiet = o->quiet,
		.verbose = o->verbose,
		.buffer = o->buffer,
		.dir = o->output,
	};

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0)
		setup.width = w.ws_col;
	return console_new(&setup);
}

int pipeline_new(const struct options *o, const struct pipeline_hooks *hooks, struct pipeline **out, char *why, size_t why_len)
{
	struct pipeline *p;
	int err = check_patterns(o, why, why_len);

	if (err)
		return err;
	p = mem_alloc(sizeof(*p));
	err = dir_sink_open(o->output, (uid_t)-1, (gid_t)-1, &p->dir);
	if (err) {
		snprintf(why, why_len, "cannot write %s: %s. Choose -o DIR", o->output, strerror(-err));
		free(p);
		return err;
	}
	p->options = o;
	if (hooks)
		p->hooks = *hooks;
	p->streams = streams_new(&stream_events, p);
	p->console = new_console(o);
	*out = p;
	return 0;
}

static void on_stop(struct pipeline *p, const struct cf_event *e)
{
	struct arena a;

	arena_init(&a);
	struct span reason = json_get_text(&a, fact_json(e), "reason");
	snprintf(p->reason, sizeof(p->reason), "%.*s", SPAN_FMT(reason));
	p->stopped = true;
	arena_fini(&a);
}

void pipeline_event(struct pipeline *p, const struct cf_event *e)
{
	if (e->ts_ns > p->now_ns)
		p->now_ns = e->ts_ns;
	if (e->kind == CF_FACT_HOST)
		on_host(p, e);
	else if (e->kind == CF_FACT_STOP)
		on_stop(p, e);
	console_event(p->console, e);
	if (e->kind == CF_FACT_COUNTERS && json_true(json_get(fact_json(e), "tell")))
		console_counters(p->console);
	if (p->assembler)
		assembler_event(p->assembler, e);
	streams_event(p->streams, e);
}

void pipeline_flush(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_open; i++)
		write_failed(p, dir_run_flush(p->open_runs[i]));
}

bool pipeline_stopped(const struct pipeline *p)
{
	return p->stopped;
}

int pipeline_finish(struct pipeline *p, const char *reason)
{
	if (p->finished)
		return EXIT_FINE;
	p->finished = true;
	if (p->stopped)
		reason = p->reason;
	streams_finish(p->streams, p->now_ns, "observer stopped");
	if (p->assembler)
		assembler_finish(p->assembler, p->now_ns, reason);
	console_end(p->console);
	if (p->write_error || dir_sink_stats(p->dir)->error)
		return EXIT_WRITE;
	return p->options->fail_incomplete && !console_complete(p->console) ? EXIT_INCOMPLETE : EXIT_FINE;
}

bool pipeline_covered(const struct pipeline *p)
{
	return console_covered(p->console);
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	streams_free(p->streams);
	if (p->assembler)
		assembler_free(p->assembler);
	dir_sink_close(p->dir);
	console_free(p->console);
	redactor_free(p->redactor);
	free(p->open_runs);
	free(p);
}
