/*
 * Server-sent events (WHATWG HTML 9.2.6): lines end in LF, CR or CRLF, a blank line dispatches an event that has data.
 * Lines that are no part of the format (an error sent as plain JSON) stay in the body.
 */
#include "proto/framer.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>

struct sse {
	struct framer_sink sink;
	struct buf line; /* begun in an earlier feed */
	struct buf data;
	struct buf name;
	struct buf id; /* of this event only: what a client would carry over is not on the wire */
	bool has_data;
	bool skip_lf; /* the last byte was CR */
	bool begun;   /* past the first line, where a byte order mark may stand */
	bool rest;    /* inside text that is no part of the format */
	bool lost;    /* between a gap and the next blank line */
	bool after_gap;
	bool too_long; /* event beyond LIMIT_FRAME: dropped */
};

static void *sse_open(const struct framer_sink *sink)
{
	struct sse *s = mem_alloc(sizeof(*s));

	s->sink = *sink;
	buf_init(&s->line, LIMIT_FRAME);
	buf_init(&s->data, LIMIT_FRAME);
	buf_init(&s->name, LIMIT_FRAME);
	buf_init(&s->id, LIMIT_FRAME);
	return s;
}

static void forget_event(struct sse *s)
{
	buf_clear(&s->data);
	buf_clear(&s->name);
	buf_clear(&s->id);
	s->has_data = false;
	s->too_long = false;
}

static struct span known(const struct buf *b)
{
	return b->len ? buf_span(b) : SPAN_NONE;
}

static void dispatch(struct sse *s)
{
	struct frame f = {
		.kind = FRAME_SSE,
		.after_gap = s->after_gap,
		.name = known(&s->name),
		.id = known(&s->id),
		.data = buf_span(&s->data),
	};

	if (s->has_data && !s->too_long) {
		s->sink.on_frame(s->sink.ctx, &f);
		s->after_gap = false;
	} else if (s->too_long) {
		s->after_gap = true;
	}
	forget_event(s);
}

static void set(struct sse *s, struct buf *b, struct span value)
{
	buf_clear(b);
	s->too_long |= buf_add_span(b, value) != 0;
}

static void field_event(struct sse *s, struct span value)
{
	set(s, &s->name, value);
}

static void field_id(struct sse *s, struct span value)
{
	set(s, &s->id, value);
}

static void field_data(struct sse *s, struct span value)
{
	if (s->has_data)
		s->too_long |= buf_add_char(&s->data, '\n') != 0;
	s->has_data = true;
	s->too_long |= buf_add_span(&s->data, value) != 0;
}

static void field_retry(struct sse *s, struct span value)
{
	(void)s, (void)value;
}

static const struct {
	struct span name;
	void (*take)(struct sse *s, struct span value);
} fields[] = {
	{ { "data", 4 }, field_data },
	{ { "event", 5 }, field_event },
	{ { "id", 2 }, field_id },
	{ { "retry", 5 }, field_retry },
};

static bool take_field(struct sse *s, struct span line)
{
	const char *colon = memchr(line.p, ':', line.len);
	struct span name = { line.p, colon ? (size_t)(colon - line.p) : line.len };
	struct span value = SPAN("");

	if (colon == line.p)
		return true; /* a comment */
	if (colon)
		value = span_at(colon + 1, line.len - name.len - 1);
	if (value.len && value.p[0] == ' ')
		value = span_at(value.p + 1, value.len - 1);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (!span_eq(name, fields[i].name))
			continue;
		fields[i].take(s, value);
		return true;
	}
	return false;
}

static void take_line(struct sse *s, struct span line)
{
	if (!s->begun && span_starts(line, SPAN("\xef\xbb\xbf")))
		line = span_at(line.p + 3, line.len - 3);
	s->begun = true;
	if (s->lost) {
		s->lost = line.len != 0;
		return;
	}
	if (!line.len) {
		if (s->rest)
			s->sink.on_rest(s->sink.ctx, SPAN("\n"));
		dispatch(s);
		return;
	}
	s->rest = !take_field(s, line);
	if (s->rest) {
		s->sink.on_rest(s->sink.ctx, line);
		s->sink.on_rest(s->sink.ctx, SPAN("\n"));
	}
}

static size_t line_len(const char *p, size_t len)
{
	const char *lf = memchr(p, '\n', len);
	size_t n = lf ? (size_t)(lf - p) : len;
	const char *cr = memchr(p, '\r', n);

	return cr ? (size_t)(cr - p) : n;
}

/* Keeps the part of a line that arrived; a line beyond LIMIT_FRAME spoils its event. */
static void hold(struct sse *s, const char *p, size_t n)
{
	size_t room = s->line.max - s->line.len;

	s->too_long |= n > room;
	buf_add(&s->line, p, n < room ? n : room);
}

static void sse_feed(void *state, const char *p, size_t len)
{
	struct sse *s = state;

	while (len) {
		if (s->skip_lf) {
			s->skip_lf = false;
			if (*p == '\n') {
				p++;
				len--;
				continue;
			}
		}
		size_t n = line_len(p, len);
		if (n == len) {
			hold(s, p, n);
			return;
		}
		s->skip_lf = p[n] == '\r';
		if (s->line.len) {
			hold(s, p, n);
			take_line(s, buf_span(&s->line));
			buf_clear(&s->line);
		} else {
			s->too_long |= n > s->line.max;
			take_line(s, span_at(p, n));
		}
		p += n + 1;
		len -= n + 1;
	}
}

static void sse_gap(void *state)
{
	struct sse *s = state;

	buf_clear(&s->line);
	forget_event(s);
	s->skip_lf = false;
	s->begun = true;
	s->rest = false;
	s->lost = true;
	s->after_gap = true;
}

/* The last event counts without its blank line; of a body that was cut a half line is not an event's. */
static void sse_end(void *state, bool complete)
{
	struct sse *s = state;

	if (s->line.len && !s->lost) {
		if (complete)
			take_line(s, buf_span(&s->line));
		else
			s->sink.on_rest(s->sink.ctx, buf_span(&s->line));
	}
	buf_clear(&s->line);
	if (!s->lost)
		dispatch(s);
}

static size_t sse_held(const void *state)
{
	const struct sse *s = state;

	return s->line.cap + s->data.cap + s->name.cap + s->id.cap;
}

static void sse_close(void *state)
{
	struct sse *s = state;

	buf_fini(&s->line);
	buf_fini(&s->data);
	buf_fini(&s->name);
	buf_fini(&s->id);
	free(s);
}

const struct framer_kind framer_sse = {
	.types = { "text/event-stream" },
	.open = sse_open,
	.feed = sse_feed,
	.gap = sse_gap,
	.end = sse_end,
	.held = sse_held,
	.close = sse_close,
};
