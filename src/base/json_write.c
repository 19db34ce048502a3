#include "base/json.h"
#include "base/lanes.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool needs_escape(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static int put_escape(struct buf *b, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";
	const char *f = c ? strchr(from, c) : NULL;

	if (f)
		return buf_add(b, (char[]){ '\\', into[f - from] }, 2);
	return buf_printf(b, "\\u%04x", c);
}

/* Bytes from p on that can be copied as they are. */
static size_t plain_len(const char *p, size_t len)
{
	size_t i = 0;

	while (i < len) {
		unsigned char c = (unsigned char)p[i];
		if (len - i >= 16) {
			lanes w = lanes_at(p + i);
			unsigned int n = lanes_first((lanes)((w < 0x20) | (w == '"') | (w == '\\') | (w >= 0x7f)));
			i += n;
			if (n == 16)
				continue;
			c = (unsigned char)p[i];
		}
		if (c < 0x80) {
			if (needs_escape(c))
				break;
			i++;
			continue;
		}
		size_t n = utf8_len(p + i, len - i);
		if (!n)
			break;
		i += n;
	}
	return i;
}

int json_put_text(struct buf *b, struct span text, bool *replaced)
{
	int err = buf_add_char(b, '"');

	while (text.len && !err) {
		size_t n = plain_len(text.p, text.len);
		err = buf_add(b, text.p, n);
		text.p += n;
		text.len -= n;
		if (!text.len || err)
			break;
		if ((unsigned char)*text.p < 0x80) {
			err = put_escape(b, (unsigned char)*text.p);
		} else {
			err = buf_add_text(b, "\xef\xbf\xbd");
			if (replaced)
				*replaced = true;
		}
		text.p++;
		text.len--;
	}
	return err ? err : buf_add_char(b, '"');
}

int json_put_comma(struct buf *b)
{
	char last = b->len ? b->p[b->len - 1] : '{';

	return last == '{' || last == '[' || last == ':' ? 0 : buf_add_char(b, ',');
}

int json_put_key(struct buf *b, const char *name)
{
	int err = json_put_comma(b);

	if (!err)
		err = json_put_text(b, span_of(name), NULL);
	return err ? err : buf_add_char(b, ':');
}

int json_put_member(struct buf *b, const char *name, struct span raw)
{
	if (!raw.p)
		return 0;
	int err = json_put_key(b, name);
	return err ? err : buf_add_span(b, raw);
}

int json_put_member_text(struct buf *b, const char *name, struct span text)
{
	if (!text.p)
		return 0;
	int err = json_put_key(b, name);
	return err ? err : json_put_text(b, text, NULL);
}

int json_put_member_i64(struct buf *b, const char *name, int64_t value)
{
	int err = json_put_key(b, name);

	return err ? err : buf_printf(b, "%lld", (long long)value);
}

int json_put_member_double(struct buf *b, const char *name, double value)
{
	char text[40];

	if (!isfinite(value))
		return 0;
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	/* The process may have a locale with another decimal point: the tracer library is a guest. */
	text[strcspn(text, ",")] = text[strcspn(text, ",")] ? '.' : 0;
	int err = json_put_key(b, name);
	return err ? err : buf_add_text(b, text);
}

int json_put_member_bool(struct buf *b, const char *name, bool value)
{
	return json_put_member(b, name, value ? SPAN("true") : SPAN("false"));
}

/* Behind the string that begins at p; never past end. */
static const char *string_end(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return end;
}

int json_put_compact(struct buf *b, struct span raw)
{
	const char *p = raw.p, *end = p + raw.len;
	int err = 0;

	while (p < end && !err) {
		const char *from = p;
		if (*p == '"') {
			p = string_end(p, end);
		} else if (strchr(" \t\r\n", *p)) {
			p++;
			continue;
		} else {
			while (p < end && *p != '"' && !strchr(" \t\r\n", *p))
				p++;
		}
		err = buf_add(b, from, (size_t)(p - from));
	}
	return err;
}

static int put_line(struct buf *b, int indent, int depth)
{
	int err = buf_add_char(b, '\n');

	for (int i = 0; i < indent * depth && !err; i++)
		err = buf_add_char(b, ' ');
	return err;
}

static bool closes_next(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n", *p))
		p++;
	return p < end && (*p == '}' || *p == ']');
}

int json_put_indented(struct buf *b, struct span raw, int indent)
{
	const char *p = raw.p, *end = p + raw.len;
	int depth = 0, err = 0;

	while (p < end && !err) {
		char c = *p;
		if (c == '"') {
			const char *q = string_end(p, end);
			err = buf_add(b, p, (size_t)(q - p));
			p = q;
			continue;
		}
		p++;
		if (strchr(" \t\r\n", c))
			continue;
		if ((c == '}' || c == ']') && depth) {
			depth--;
			if (b->len && !strchr("{[", b->p[b->len - 1]))
				err = put_line(b, indent, depth);
		}
		if (!err)
			err = buf_add_char(b, c);
		if (err)
			break;
		if (c == ':')
			err = buf_add_char(b, ' ');
		else if (c == ',')
			err = put_line(b, indent, depth);
		else if (c == '{' || c == '[') {
			depth++;
			if (!closes_next(p, end))
				err = put_line(b, indent, depth);
		}
	}
	return err;
}
