/* Where does a message begin? Asked of a new connection, after a gap, and when we joined in the middle. */
#include "proto/http1.h"

#include <ctype.h>

/* Longest run looked at behind a start line for the name of a field. */
#define NAME_MAX_LEN 64
#define STATUS_LINE_MAX 1024

static const struct span methods[] = {
	{ "GET", 3 },  { "POST", 4 },	 { "PUT", 3 },	   { "DELETE", 6 }, { "PATCH", 5 },
	{ "HEAD", 4 }, { "OPTIONS", 7 }, { "CONNECT", 7 }, { "TRACE", 5 },
};

/* Behind a start line: a field name and its colon, or the blank line. */
static enum verdict field_begins(struct span text, size_t at)
{
	size_t i = at;

	if (i < text.len && text.p[i] == '\r')
		i++;
	if (i < text.len && text.p[i] == '\n')
		return VERDICT_YES;
	for (i = at; i < text.len && i - at < NAME_MAX_LEN; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c == ':' && i > at)
			return VERDICT_YES;
		if (!isalnum(c) && c != '-' && c != '_' && !(c == '\r' && i == at))
			return VERDICT_NO;
	}
	return i < text.len ? VERDICT_NO : VERDICT_MORE;
}

/* "HTTP/1." stands at `at`: is it the start of a status line? */
static enum verdict status_begins(struct span text, size_t at)
{
	size_t room = text.len - at < STATUS_LINE_MAX ? text.len - at : STATUS_LINE_MAX;
	const char *lf = memchr(text.p + at, '\n', room);
	struct span rest = { text.p + at, text.len - at };
	struct start_line start;
	struct span line;

	for (size_t i = 7; i < 13 && i < room;
	     i++) { /* HTTP/1.x SP 3DIGIT, then SP or the line end */
		unsigned char c = (unsigned char)rest.p[i];
		bool digit = i == 7 || (i >= 9 && i < 12);
		if (digit ? !isdigit(c) : c != ' ' && !(i == 12 && (c == '\r' || c == '\n')))
			return VERDICT_NO;
	}
	if (!lf)
		return room < STATUS_LINE_MAX ? VERDICT_MORE : VERDICT_NO;
	http1_line(&rest, &line);
	if (!http1_start_line(line, &start) || !start.response)
		return VERDICT_NO;
	return field_begins(text, (size_t)(lf - text.p) + 1);
}

/* "HTTP/1." stands at `at`: does it end a request line? Then *at is where that begins. */
static enum verdict request_begins(struct span text, size_t *at)
{
	size_t i = *at + 8, target, method;
	size_t least = *at > HTTP1_LINE_MAX ? *at - HTTP1_LINE_MAX : 0;

	if (*at < 6 || text.p[*at - 1] != ' ')
		return VERDICT_NO;
	for (target = *at - 1; target > least && (unsigned char)text.p[target - 1] > ' '; target--)
		;
	if (target == *at - 1 || target <= least || text.p[target - 1] != ' ')
		return VERDICT_NO;
	for (method = 0; method < sizeof(methods) / sizeof(*methods); method++)
		if (span_ends(span_at(text.p, target - 1), methods[method]))
			break;
	if (method == sizeof(methods) / sizeof(*methods))
		return VERDICT_NO;
	if (i - 1 < text.len && !isdigit((unsigned char)text.p[i - 1]))
		return VERDICT_NO;
	if (i < text.len && text.p[i] == '\r')
		i++;
	if (i >= text.len)
		return VERDICT_MORE;
	if (text.p[i] != '\n')
		return VERDICT_NO;
	enum verdict v = field_begins(text, i + 1);
	if (v == VERDICT_YES)
		*at = target - 1 - methods[method].len;
	return v;
}

enum verdict http1_find_start(struct span text, enum wanted wanted, size_t *from, size_t *at)
{
	static const char mark[] = "HTTP/1.";
	const size_t mark_len = sizeof(mark) - 1;

	for (;;) {
		const char *hit = *from < text.len
					  ? memmem(text.p + *from, text.len - *from, mark, mark_len)
					  : NULL;
		enum verdict v = VERDICT_NO;

		if (!hit) {
			if (text.len > mark_len && text.len - mark_len > *from)
				*from = text.len - mark_len;
			return VERDICT_MORE;
		}
		*from = *at = (size_t)(hit - text.p);
		if (wanted & WANT_REQUEST)
			v = request_begins(text, at);
		if (v == VERDICT_NO && wanted & WANT_RESPONSE)
			v = status_begins(text, *at);
		if (v != VERDICT_NO)
			return v;
		*from += 1;
	}
}

/* Larger chunks are not looked for: that bounds what is held. */
#define CHUNK_MAX (32 * KIB)

static enum verdict looks_like_event(struct span data)
{
	size_t n = data.len < 5 ? data.len : 5;

	if (memcmp(data.p, "data:", n) != 0 && memcmp(data.p, "event", n) != 0)
		return VERDICT_NO;
	return n < 5 ? VERDICT_MORE : VERDICT_YES;
}

static enum verdict chunk_begins(struct span rest, bool events_only)
{
	struct span data = rest, line;
	enum verdict v = VERDICT_YES;
	uint64_t size;
	size_t i = 0;

	while (i < rest.len && i < 6 && isxdigit((unsigned char)rest.p[i]))
		i++;
	if (i < rest.len && (!i || rest.p[i] != '\r'))
		return VERDICT_NO;
	if (i + 1 >= rest.len)
		return VERDICT_MORE;
	if (rest.p[i + 1] != '\n' || !http1_line(&data, &line) || !http1_chunk_size(line, &size) ||
	    size > CHUNK_MAX)
		return VERDICT_NO;
	if (events_only)
		v = size < 5 ? VERDICT_NO : looks_like_event(data);
	if (v == VERDICT_NO || data.len < size + 2)
		return v == VERDICT_NO ? VERDICT_NO : VERDICT_MORE;
	return data.p[size] == '\r' && data.p[size + 1] == '\n' ? VERDICT_YES : VERDICT_NO;
}

enum verdict http1_find_chunk(struct span text, bool events_only, size_t *from, size_t *at)
{
	for (; *from < text.len; (*from)++) {
		const char *lf = memchr(text.p + *from, '\n', text.len - *from);
		*from = lf ? (size_t)(lf - text.p) : text.len;
		if (!lf)
			break;
		*at = *from + 1;
		enum verdict v = chunk_begins(span_at(lf + 1, text.len - *at), events_only);
		if (v != VERDICT_NO)
			return v;
	}
	return VERDICT_MORE;
}

/* A connection that begins with a request line or a status line. */
static enum verdict probe_anchored(struct probe *p)
{
	size_t n = p->text.len < HTTP1_LINE_MAX ? p->text.len : HTTP1_LINE_MAX;
	struct span rest = { p->text.p, n };
	struct start_line start;
	struct span line;

	while (rest.len && (*rest.p == '\r' || *rest.p == '\n'))
		rest = span_at(rest.p + 1, rest.len - 1);
	for (size_t i = 0; i < rest.len && i < 16; i++) {
		if (rest.p[i] == ' ' && i)
			break;
		if (!isalnum((unsigned char)rest.p[i]) && !memchr("/.-_", rest.p[i], 4))
			return VERDICT_NO;
	}
	if (!http1_line(&rest, &line))
		return n < HTTP1_LINE_MAX ? VERDICT_MORE : VERDICT_NO;
	return http1_start_line(line, &start) ? VERDICT_YES : VERDICT_NO;
}

enum verdict http1_probe(struct probe *p, const struct conn_info *info)
{
	size_t at;

	(void)info;
	if (p->anchored)
		return probe_anchored(p);
	return http1_find_start(p->text, WANT_EITHER, &p->from, &at);
}
