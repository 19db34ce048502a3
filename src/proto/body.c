/* Content of a message: wire bytes -> codings -> frames or one run of bytes. */
#include "proto/parts.h"

static void stop(struct body *b)
{
	coding_close(b->codings);
	b->codings = NULL;
	b->stopped = true;
}

static void truncate_body(struct body *b)
{
	b->msg->truncated = true;
	stop(b);
}

/* Takes what fits below LIMIT_BODY, so that where the feeds were cut makes no difference. */
static bool keep(struct body *b, const char *p, size_t len)
{
	size_t room = LIMIT_BODY - b->content.len;
	size_t n = len < room ? len : room;

	buf_add(&b->content, p, n);
	if (n < len)
		b->msg->truncated = true;
	return n == len;
}

static void begin_frames(struct body *b, struct span content_type);

#define SNIFF_LEN 6

/* Server-sent events are known by their first field: senders begin DATA frames with events. */
static void sniff(struct body *b)
{
	struct span text = buf_span(&b->content);
	struct buf held = b->content;

	if (text.len < SNIFF_LEN)
		return;
	b->headless = false;
	if (!span_starts(text, SPAN("data:")) && !span_starts(text, SPAN("event:")))
		return;
	begin_frames(b, SPAN("text/event-stream"));
	if (!b->framer)
		return;
	buf_init(&b->content, LIMIT_BODY);
	framer_gap(b->framer);
	framer_feed(b->framer, "\n", 1); /* the gap ends here, at the beginning of an event */
	framer_feed(b->framer, held.p, held.len);
	buf_fini(&held);
}

static bool on_content(void *ctx, const char *p, size_t len)
{
	struct body *b = ctx;

	if (!b->framer) {
		bool all = keep(b, p, len);
		if (b->headless)
			sniff(b);
		return all;
	}
	framer_feed(b->framer, p, len);
	return !b->msg->truncated;
}

static void on_frame(void *ctx, struct frame *f)
{
	struct body *b = ctx;
	struct arena *a = &b->x->ex.arena;

	if (b->msg->truncated)
		return;
	struct frame *to = b->framed + f->data.len <= LIMIT_BODY ? xfer_frame(b->x) : NULL;
	if (!to) {
		b->msg->truncated = true;
		return;
	}
	b->framed += f->data.len;
	*to = *f;
	to->dir = xfer_response_dir(b->x);
	to->ts_ns = b->ts_ns;
	to->name = arena_copy(a, f->name);
	to->id = arena_copy(a, f->id);
	to->data = arena_copy(a, f->data);
}

static void on_rest(void *ctx, struct span text)
{
	keep(ctx, text.p, text.len);
}

/* Requests are not framed: nobody streams them in pieces that mean something alone. */
static void begin_frames(struct body *b, struct span content_type)
{
	struct framer_sink sink = { .on_frame = on_frame, .on_rest = on_rest, .ctx = b };

	if (b == &b->x->response)
		b->framer = framer_open(content_type, &sink);
}

void body_begin(struct body *b, struct span extra_codings)
{
	struct http_message *m = b->msg;
	struct arena *a = &b->x->ex.arena;
	struct span coded = extra_codings;

	if (b->begun) /* content came before its head: it stays as it is */
		return;
	b->begun = true;
	buf_init(&b->content, LIMIT_BODY);
	buf_init(&b->wire, LIMIT_BODY);
	for (size_t i = m->n_fields; i-- > 0;) { /* several fields are one list, RFC 9110 5.3 */
		struct span v = m->fields[i].value;
		if (!v.len || !span_ieq(m->fields[i].name, SPAN("content-encoding")))
			continue;
		coded = coded.len ? arena_printf(a, "%.*s,%.*s", SPAN_FMT(v), SPAN_FMT(coded)) : v;
	}
	b->codings = coding_open(coded, on_content, b, &m->undecoded);
	b->coded = b->codings != NULL;
	if (!m->undecoded)
		begin_frames(b, http_field(m, "content-type"));
}

void body_begin_headless(struct body *b)
{
	body_begin(b, SPAN_NONE);
	b->headless = true;
}

static void undecodable(struct body *b, const char *why)
{
	b->msg->undecoded = why;
	coding_close(b->codings);
	b->codings = NULL;
}

void body_feed(struct body *b, const char *p, size_t len, uint64_t ts_ns)
{
	b->msg->wire_len += len;
	b->ts_ns = ts_ns;
	if (b->stopped || !len)
		return;
	if (!b->coded) {
		if (!on_content(b, p, len))
			truncate_body(b);
		return;
	}
	if (buf_add(&b->wire, p, len)) {
		size_t room = b->wire.max - b->wire.len;
		buf_add(&b->wire, p, len < room ? len : room);
		truncate_body(b);
		return;
	}
	if (!b->codings)
		return;
	const char *why = coding_feed(b->codings, p, len);
	if (b->msg->truncated)
		truncate_body(b);
	else if (why)
		undecodable(b, why);
}

void body_gap(struct body *b, uint64_t missing)
{
	b->msg->missing += missing;
	b->holed = true;
	if (b->coded && !b->msg->undecoded)
		stop(b); /* no coding survives a hole: what was decoded before it stays */
	else if (b->framer)
		framer_gap(b->framer);
}

void body_end(struct body *b, bool complete)
{
	struct http_message *m = b->msg;

	if (b->codings && complete) {
		const char *why = coding_end(b->codings);
		if (why)
			undecodable(b, why);
	}
	coding_close(b->codings);
	b->codings = NULL;
	if (b->framer) {
		framer_end(b->framer, complete && !b->stopped && !m->undecoded);
		framer_close(b->framer);
		b->framer = NULL;
	}
	if (m->undecoded && b->coded && !b->x->ex.n_frames)
		m->body = buf_span(&b->wire);
	else
		m->body = buf_span(&b->content);
	b->stopped = true;
	m->complete |= complete && !b->holed;
}
