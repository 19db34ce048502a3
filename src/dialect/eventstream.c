#include "dialect/eventstream.h"

#include "base/limits.h"

#include <errno.h>
#include <zlib.h>

static uint32_t be32(const char *p)
{
	const unsigned char *s = (const unsigned char *)p;

	return (uint32_t)s[0] << 24 | (uint32_t)s[1] << 16 | (uint32_t)s[2] << 8 | s[3];
}

static size_t be16(const char *p)
{
	return (size_t)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* Bytes of a header's value behind its type; 6 and 7 have a length in front, here in two bytes. */
static int take_value(struct span *h, unsigned char type, struct span *value)
{
	static const size_t sizes[] = { 0, 0, 1, 2, 4, 8, 0, 0, 8, 16 };
	size_t len, skip = 0;

	if (type >= sizeof(sizes) / sizeof(*sizes))
		return -EINVAL;
	len = sizes[type];
	if (type == 6 || type == 7) {
		if (h->len < 2)
			return -EINVAL;
		len = be16(h->p);
		skip = 2;
	}
	if (h->len < skip + len)
		return -EINVAL;
	*value = type == 7 ? span_at(h->p + skip, len) : SPAN_NONE;
	*h = span_at(h->p + skip + len, h->len - skip - len);
	return 0;
}

static int read_headers(struct span h, struct aws_event *e)
{
	struct span name, value;

	while (h.len) {
		size_t n = (unsigned char)h.p[0];
		if (h.len < n + 2)
			return -EINVAL;
		name = span_at(h.p + 1, n);
		unsigned char type = (unsigned char)h.p[1 + n];
		h = span_at(h.p + n + 2, h.len - n - 2);
		if (take_value(&h, type, &value))
			return -EINVAL;
		if (span_is(name, ":event-type") || span_is(name, ":exception-type"))
			e->type = value;
		else if (span_is(name, ":error-code"))
			e->code = value;
		else if (span_is(name, ":error-message"))
			e->message = value;
		else if (span_is(name, ":message-type"))
			e->exception = !span_is(value, "event");
	}
	return 0;
}

int aws_event_next(struct span *rest, struct aws_event *out)
{
	struct aws_event e = { 0 };
	struct span s = *rest;

	if (!s.len)
		return 0;
	if (s.len < 12)
		return -EAGAIN;
	size_t total = be32(s.p), headers = be32(s.p + 4);
	if (crc32(0, (const Bytef *)s.p, 8) != be32(s.p + 8) || total < 16 || total > LIMIT_FRAME ||
	    headers > total - 16)
		return -EINVAL;
	if (s.len < total)
		return -EAGAIN;
	if (crc32(0, (const Bytef *)s.p, (uInt)total - 4) != be32(s.p + total - 4) ||
	    read_headers(span_at(s.p + 12, headers), &e))
		return -EINVAL;
	e.payload = span_at(s.p + 12 + headers, total - headers - 16);
	*rest = span_at(s.p + total, s.len - total);
	*out = e;
	return 1;
}

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

struct span base64_decode(struct arena *a, struct span text)
{
	uint32_t bits = 0;
	int have = 0;

	while (text.len && text.p[text.len - 1] == '=')
		text.len--;
	char *out = arena_alloc(a, text.len * 3 / 4 + 1), *to = out;
	for (size_t i = 0; i < text.len; i++) {
		int v = sextet(text.p[i]);
		if (v < 0)
			return SPAN_NONE;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*to++ = (char)(bits >> have);
		}
	}
	return span_at(out, (size_t)(to - out));
}
