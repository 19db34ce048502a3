/* Heads: start lines, fields and what they say about the body. */
#include "proto/http1.h"

#include <ctype.h>
#include <errno.h>

static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) &&
		    !(s.p[i] && strchr("!#$%&'*+-.^_`|~", s.p[i])))
			return false;
	return s.len > 0;
}

bool http1_line(struct span *text, struct span *line)
{
	const char *lf = text->len ? memchr(text->p, '\n', text->len) : NULL;

	if (!lf)
		return false;
	size_t n = (size_t)(lf - text->p);
	*line = span_at(text->p, n && lf[-1] == '\r' ? n - 1 : n);
	*text = span_at(lf + 1, text->len - n - 1);
	return true;
}

static bool version(struct span s, int *minor)
{
	if (s.len != 8 || memcmp(s.p, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)s.p[7]))
		return false;
	*minor = s.p[7] - '0';
	return true;
}

static bool status_line(struct span line, struct start_line *out)
{
	uint64_t status;

	if (line.len < 12 || !version(span_at(line.p, 8), &out->minor) || line.p[8] != ' ' ||
	    (line.len > 12 && line.p[12] != ' ') || !span_u64(span_at(line.p + 9, 3), &status) ||
	    status < 100)
		return false;
	out->response = true;
	out->status = (int)status;
	return true;
}

static bool is_target(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return s.len > 0;
}

bool http1_start_line(struct span line, struct start_line *out)
{
	struct span method;

	*out = (struct start_line){ 0 };
	if (span_starts(line, SPAN("HTTP/")))
		return status_line(line, out);
	if (!span_split(&line, ' ', &method) || !is_token(method) || method.len > 32 ||
	    line.len < 10)
		return false;
	out->method = method;
	out->target = span_at(line.p, line.len - 9);
	return line.p[line.len - 9] == ' ' && is_target(out->target) &&
	       version(span_at(line.p + line.len - 8, 8), &out->minor);
}

size_t http1_head_len(const char *p, size_t len, size_t from)
{
	/* The line end before the blank line may be among the bytes searched before. */
	size_t i = from > 3 ? from - 3 : 0;
	const char *lf;

	while (i < len && (lf = memchr(p + i, '\n', len - i))) {
		i = (size_t)(lf - p) + 1;
		if (i < len && p[i] == '\n')
			return i + 1;
		if (i + 1 < len && p[i] == '\r' && p[i + 1] == '\n')
			return i + 2;
	}
	return 0;
}

int http1_fields(struct arena *a, struct span text, struct field **fields, size_t *n)
{
	struct field *last = NULL;
	struct span line;

	while (http1_line(&text, &line)) {
		if (line.len && (line.p[0] == ' ' || line.p[0] == '\t')) { /* obs-fold */
			if (!last)
				continue;
			struct span more = span_trim(line);
			last->value =
				arena_printf(a, "%.*s %.*s", SPAN_FMT(last->value), SPAN_FMT(more));
			continue;
		}
		const char *colon = line.len ? memchr(line.p, ':', line.len) : NULL;
		last = NULL;
		if (!colon || colon == line.p)
			continue;
		if (*n >= LIMIT_HTTP_FIELDS)
			return -E2BIG;
		last = arena_push(a, fields, n, sizeof(*last));
		last->name = span_trim(span_at(line.p, (size_t)(colon - line.p)));
		last->value =
			span_trim(span_at(colon + 1, line.len - (size_t)(colon - line.p) - 1));
	}
	return 0;
}

static enum framing length_of(const struct http_message *m, uint64_t *length, bool *found)
{
	struct span list, item;
	uint64_t n;

	*found = false;
	for (size_t i = 0; i < m->n_fields; i++) {
		if (!span_ieq(m->fields[i].name, SPAN("content-length")))
			continue;
		list = m->fields[i].value;
		while (span_split(&list, ',', &item)) {
			if (!span_u64(span_trim(item), &n) || (*found && n != *length))
				return FRAMING_BAD;
			*length = n;
			*found = true;
		}
	}
	return FRAMING_LENGTH;
}

enum framing http1_framing(const struct http_message *m, bool response, uint64_t *length,
			   struct span *codings)
{
	struct span te = http_field(m, "transfer-encoding");
	bool found;

	*codings = SPAN_NONE;
	if (te.p) {
		struct span tail = SPAN("chunked");
		if (te.len >= tail.len &&
		    span_ieq(span_at(te.p + te.len - tail.len, tail.len), tail)) {
			te = span_trim(span_at(te.p, te.len - tail.len));
			if (te.len && te.p[te.len - 1] == ',')
				*codings = span_at(te.p, te.len - 1);
			return FRAMING_CHUNKED;
		}
		if (!span_ieq(te, SPAN("identity"))) {
			*codings = te;
			return response ? FRAMING_CLOSE : FRAMING_BAD;
		}
	}
	if (length_of(m, length, &found) == FRAMING_BAD)
		return FRAMING_BAD;
	if (found)
		return FRAMING_LENGTH;
	return response ? FRAMING_CLOSE : FRAMING_NONE;
}

bool http1_chunk_size(struct span line, uint64_t *size)
{
	size_t i;

	*size = 0;
	for (i = 0; i < line.len && isxdigit((unsigned char)line.p[i]); i++) {
		unsigned char c = (unsigned char)line.p[i];
		if (i >= 15)
			return false;
		*size = *size * 16 + (isdigit(c) ? c - '0' : (c | 32) - 'a' + 10);
	}
	if (!i)
		return false;
	struct span rest = span_trim(span_at(line.p + i, line.len - i));
	return !rest.len || rest.p[0] == ';';
}
