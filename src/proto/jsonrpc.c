/* JSON-RPC, one message a line, on pipes and sockets (MCP's stdio transport). Other lines are somebody's log. */
#include "proto/parts.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>

struct lines {
	struct buf line;
	bool lost; /* until the next line end */
	bool after_gap;
	uint64_t last_ns; /* last byte seen */
};

struct jsonrpc {
	struct proto_conn *c;
	struct lines lines[2]; /* by dir */
};

static bool is_message(struct span line)
{
	line = span_trim(line);
	if (!line.len || (line.p[0] != '{' && line.p[0] != '[') || !json_valid(line))
		return false;
	return json_get(line.p[0] == '[' ? json_at(line, 0) : line, "jsonrpc").p; /* [: a batch */
}

static enum verdict jsonrpc_probe(struct probe *p, const struct conn_info *info)
{
	if (info->source == SOURCE_TLS)
		return VERDICT_NO;
	/* On pipes other output may come first; whoever speaks JSON-RPC over a socket begins with it. */
	if (info->source == SOURCE_SOCKET && p->anchored && p->text.p[0] != '{' &&
	    p->text.p[0] != '[')
		return VERDICT_NO;
	while (p->from < p->text.len) {
		struct span rest = span_at(p->text.p + p->from, p->text.len - p->from), line;
		if (!memchr(rest.p, '\n', rest.len))
			break;
		span_split(&rest, '\n', &line);
		if (is_message(line))
			return VERDICT_YES;
		p->from += line.len + 1;
	}
	return p->text.len < LIMIT_DETECT || info->joined_late ? VERDICT_MORE : VERDICT_NO;
}

static void *jsonrpc_open(struct proto_conn *c)
{
	struct jsonrpc *j = mem_alloc(sizeof(*j));

	j->c = c;
	for (int dir = 0; dir < 2; dir++)
		buf_init(&j->lines[dir].line, LIMIT_FRAME);
	return j;
}

static void take_line(struct jsonrpc *j, enum dir dir, struct span line, uint64_t ts_ns)
{
	struct lines *l = &j->lines[dir];
	struct frame f = {
		.kind = FRAME_JSON_LINE, .dir = dir, .ts_ns = ts_ns, .data = span_trim(line)
	};

	if (l->lost) {
		l->lost = false;
		return;
	}
	if (!is_message(line))
		return;
	f.after_gap = l->after_gap;
	l->after_gap = false;
	conn_message(j->c, NULL, &f);
}

static void lose(struct lines *l)
{
	buf_clear(&l->line);
	l->lost = true;
	l->after_gap = true;
}

static void jsonrpc_feed(void *state, enum dir dir, const char *p, size_t len, uint64_t ts_ns)
{
	struct jsonrpc *j = state;
	struct lines *l = &j->lines[dir];

	l->last_ns = ts_ns;
	while (len) {
		const char *lf = memchr(p, '\n', len);
		size_t n = lf ? (size_t)(lf - p) : len;

		if (n > LIMIT_FRAME - l->line.len)
			lose(l); /* too long */
		else if (!l->lost && (!lf || l->line.len))
			buf_add(&l->line, p, n);
		if (!lf)
			return;
		take_line(j, dir, l->line.len ? buf_span(&l->line) : span_at(p, n), ts_ns);
		buf_clear(&l->line);
		p += n + 1;
		len -= n + 1;
	}
}

static void jsonrpc_gap(void *state, enum dir dir, uint64_t missing, uint64_t ts_ns)
{
	struct jsonrpc *j = state;

	(void)missing, (void)ts_ns;
	lose(&j->lines[dir]);
}

/* The last line may lack its end. */
static void jsonrpc_eof(void *state, enum dir dir, uint64_t ts_ns)
{
	struct jsonrpc *j = state;
	struct lines *l = &j->lines[dir];

	(void)ts_ns;
	if (l->line.len)
		take_line(j, dir, buf_span(&l->line), l->last_ns);
	buf_clear(&l->line);
}

static void jsonrpc_finish(void *state, uint64_t ts_ns, const char *why)
{
	(void)why;
	jsonrpc_eof(state, DIR_IN, ts_ns);
	jsonrpc_eof(state, DIR_OUT, ts_ns);
}

static size_t jsonrpc_held(const void *state)
{
	const struct jsonrpc *j = state;

	return j->lines[DIR_IN].line.cap + j->lines[DIR_OUT].line.cap;
}

static void jsonrpc_free(void *state)
{
	struct jsonrpc *j = state;

	buf_fini(&j->lines[DIR_IN].line);
	buf_fini(&j->lines[DIR_OUT].line);
	free(j);
}

const struct protocol protocol_jsonrpc = {
	.name = "json-rpc",
	.probe = jsonrpc_probe,
	.open = jsonrpc_open,
	.feed = jsonrpc_feed,
	.gap = jsonrpc_gap,
	.eof = jsonrpc_eof,
	.finish = jsonrpc_finish,
	.held = jsonrpc_held,
	.free = jsonrpc_free,
};
