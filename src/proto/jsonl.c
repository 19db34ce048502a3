/* One JSON value a line. Lines are not parsed here: what they hold is for the dialects. */
#include "proto/framer.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>

struct jsonl {
	struct framer_sink sink;
	struct buf line;
	bool lost; /* between a gap and the next line end */
	bool after_gap;
	bool too_long;
};

static void *jsonl_open(const struct framer_sink *sink)
{
	struct jsonl *s = mem_alloc(sizeof(*s));

	s->sink = *sink;
	buf_init(&s->line, LIMIT_FRAME);
	return s;
}

static void take_line(struct jsonl *s, struct span line)
{
	struct frame f = { .kind = FRAME_JSON_LINE,
			   .after_gap = s->after_gap,
			   .data = span_trim(line) };

	if (s->lost || s->too_long) {
		s->after_gap = true;
		s->lost = false;
		s->too_long = false;
		return;
	}
	if (!f.data.len)
		return;
	s->sink.on_frame(s->sink.ctx, &f);
	s->after_gap = false;
}

static void hold(struct jsonl *s, const char *p, size_t n)
{
	size_t room = s->line.max - s->line.len;

	s->too_long |= n > room;
	buf_add(&s->line, p, n < room ? n : room);
}

static void jsonl_feed(void *state, const char *p, size_t len)
{
	struct jsonl *s = state;

	while (len) {
		const char *lf = memchr(p, '\n', len);
		size_t n = lf ? (size_t)(lf - p) : len;
		if (!lf || s->line.len)
			hold(s, p, n);
		if (!lf)
			return;
		s->too_long |= n > s->line.max;
		take_line(s, s->line.len ? buf_span(&s->line) : span_at(p, n));
		buf_clear(&s->line);
		p += n + 1;
		len -= n + 1;
	}
}

static void jsonl_gap(void *state)
{
	struct jsonl *s = state;

	buf_clear(&s->line);
	s->lost = true;
	s->too_long = false;
	s->after_gap = true;
}

static void jsonl_end(void *state, bool complete)
{
	struct jsonl *s = state;

	(void)complete; /* a last line that is whole counts, however the body ended */
	if (!s->line.len || s->lost)
		return;
	if (json_valid(buf_span(&s->line)))
		take_line(s, buf_span(&s->line));
	else
		s->sink.on_rest(s->sink.ctx, buf_span(&s->line));
	buf_clear(&s->line);
}

static size_t jsonl_held(const void *state)
{
	return ((const struct jsonl *)state)->line.cap;
}

static void jsonl_close(void *state)
{
	struct jsonl *s = state;

	buf_fini(&s->line);
	free(s);
}

const struct framer_kind framer_jsonl = {
	.types = { "application/x-ndjson", "application/ndjson", "application/jsonl",
		   "application/x-jsonlines", "application/json-lines" },
	.open = jsonl_open,
	.feed = jsonl_feed,
	.gap = jsonl_gap,
	.end = jsonl_end,
	.held = jsonl_held,
	.close = jsonl_close,
};
