#include "base/json.h"

#include "base/lanes.h"
#include "base/limits.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>

static const char *skip_blank(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

enum json_type json_type_of(struct span raw)
{
	if (!raw.len)
		return JSON_NONE;
	switch (raw.p[0]) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return raw.p[0] == '-' || (raw.p[0] >= '0' && raw.p[0] <= '9') ? JSON_NUMBER : JSON_NONE;
	}
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Plain characters of a string: no quote, backslash or control character among them. */
static const char *skip_plain(const char *p, const char *end)
{
	while (end - p >= 16) {
		lanes w = lanes_at(p);
		unsigned int n = lanes_first((lanes)((w == '"') | (w == '\\') | (w < 0x20)));
		p += n;
		if (n < 16)
			return p;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

/* A table: source code in strings has an escape every few bytes. */
static bool is_escape(char c)
{
	static const bool known[256] = { ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
					 ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true };

	return known[(unsigned char)c];
}

/* p is behind the opening quote; *out behind the closing one. */
static int scan_string(const char *p, const char *end, const char **out)
{
	for (;;) {
		p = skip_plain(p, end);
		if (p >= end)
			return -EAGAIN;
		if (*p == '"') {
			*out = p + 1;
			return 0;
		}
		if (*p != '\\')
			return -EINVAL;
		if (end - p < 2)
			return -EAGAIN;
		if (p[1] != 'u') {
			if (!is_escape(p[1]))
				return -EINVAL;
			p += 2;
			continue;
		}
		for (int i = 2; i < 6; i++) {
			if (p + i >= end)
				return -EAGAIN;
			if (!is_hex(p[i]))
				return -EINVAL;
		}
		p += 6;
	}
}

static const char *scan_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static int scan_number(const char *p, const char *end, const char **out)
{
	const char *q;

	if (*p == '-')
		p++;
	q = scan_digits(p, end);
	if (q == p)
		return p < end ? -EINVAL : -EAGAIN;
	if (*p == '0' && q > p + 1)
		return -EINVAL;
	p = q;
	if (p < end && *p == '.') {
		q = scan_digits(++p, end);
		if (q == p)
			return p < end ? -EINVAL : -EAGAIN;
		p = q;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		q = scan_digits(p, end);
		if (q == p)
			return p < end ? -EINVAL : -EAGAIN;
		p = q;
	}
	*out = p;
	return 0;
}

static int scan_word(const char *p, const char *end, const char *word, const char **out)
{
	size_t n = strlen(word), have = (size_t)(end - p);

	if (memcmp(p, word, have < n ? have : n) != 0)
		return -EINVAL;
	if (have < n)
		return -EAGAIN;
	*out = p + n;
	return 0;
}

static int scan_scalar(const char *p, const char *end, const char **out)
{
	switch (*p) {
	case '"':
		return scan_string(p + 1, end, out);
	case 't':
		return scan_word(p, end, "true", out);
	case 'f':
		return scan_word(p, end, "false", out);
	case 'n':
		return scan_word(p, end, "null", out);
	default:
		return scan_number(p, end, out);
	}
}

/* A member's name and its colon. */
static int scan_key(const char *p, const char *end, const char **out)
{
	if (p >= end)
		return -EAGAIN;
	if (*p != '"')
		return -EINVAL;
	int err = scan_string(p + 1, end, &p);
	if (err)
		return err;
	p = skip_blank(p, end);
	if (p >= end)
		return -EAGAIN;
	if (*p != ':')
		return -EINVAL;
	*out = skip_blank(p + 1, end);
	return 0;
}

/* What may follow a value inside containers: closes as many as end here. *p is then at the next value, or depth is 0. */
static int scan_after(const char **pp, const char *end, const char *open, size_t *depth)
{
	const char *p = *pp;

	while (*depth) {
		p = skip_blank(p, end);
		if (p >= end)
			return -EAGAIN;
		char closer = open[*depth - 1] == '{' ? '}' : ']';
		if (*p == closer) {
			p++;
			(*depth)--;
			continue;
		}
		if (*p != ',')
			return -EINVAL;
		p = skip_blank(p + 1, end);
		if (open[*depth - 1] == '{') {
			int err = scan_key(p, end, &p);
			if (err)
				return err;
		}
		break;
	}
	*pp = p;
	return 0;
}

static int scan_value(const char *p, const char *end, const char **out)
{
	char open[LIMIT_JSON_DEPTH]; /* the bracket of each open container */
	size_t depth = 0;
	int err;

	do {
		if (p >= end)
			return -EAGAIN;
		if (*p == '{' || *p == '[') {
			if (depth == LIMIT_JSON_DEPTH)
				return -E2BIG;
			char bracket = *p;
			open[depth++] = bracket;
			p = skip_blank(p + 1, end);
			if (p >= end)
				return -EAGAIN;
			if (*p != (bracket == '{' ? '}' : ']')) {
				err = bracket == '{' ? scan_key(p, end, &p) : 0;
				if (err)
					return err;
				continue;
			}
		} else {
			err = scan_scalar(p, end, &p);
			if (err)
				return err;
		}
		err = scan_after(&p, end, open, &depth);
		if (err)
			return err;
	} while (depth);
	*out = p;
	return 0;
}

int json_value(struct span text, struct span *value, struct span *rest)
{
	if (!text.p)
		return -EAGAIN;
	const char *end = text.p + text.len, *p = skip_blank(text.p, end), *q;

	if (p >= end)
		return -EAGAIN;
	int err = scan_value(p, end, &q);
	if (err)
		return err;
	*value = span_at(p, (size_t)(q - p));
	if (rest)
		*rest = span_at(q, (size_t)(end - q));
	return 0;
}

bool json_valid(struct span text)
{
	struct span value, rest;

	return json_value(text, &value, &rest) == 0 && span_trim(rest).len == 0;
}

struct json_iter json_iter(struct span raw)
{
	enum json_type type = json_type_of(raw);

	if (type != JSON_ARRAY && type != JSON_OBJECT)
		return (struct json_iter){ 0 };
	return (struct json_iter){ .rest = span_at(raw.p + 1, raw.len - 1), .object = type == JSON_OBJECT };
}

static bool ends_scalar(char c)
{
	return c == ',' || c == '}' || c == ']' || (unsigned char)c <= ' ';
}

/* Behind a checked value at p; brackets are matched, strings skipped. */
static const char *skip_value(const char *p, const char *end)
{
	size_t depth = 0;

	do {
		if (*p == '"') {
			if (scan_string(p + 1, end, &p))
				return end;
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			p++;
		} else if (depth) {
			p++;
		} else {
			while (p < end && !ends_scalar(*p))
				p++;
			return p;
		}
	} while (depth && p < end);
	return p;
}

bool json_next(struct json_iter *it, struct span *key, struct span *value)
{
	const char *p = it->rest.p, *end = p ? p + it->rest.len : NULL, *q;

	if (!p)
		return false;
	p = skip_blank(p, end);
	if (it->begun && p < end && *p == ',')
		p = skip_blank(p + 1, end);
	it->begun = true;
	if (p >= end || *p == '}' || *p == ']') {
		it->rest = SPAN_NONE;
		return false;
	}
	struct span name = SPAN_NONE;
	if (it->object) {
		if (*p != '"' || scan_string(p + 1, end, &q)) {
			it->rest = SPAN_NONE;
			return false;
		}
		name = span_at(p, (size_t)(q - p));
		p = skip_blank(q, end);
		p = skip_blank(p < end ? p + 1 : p, end); /* the colon */
	}
	if (p >= end) {
		it->rest = SPAN_NONE;
		return false;
	}
	q = skip_value(p, end);
	if (key)
		*key = name;
	*value = span_at(p, (size_t)(q - p));
	it->rest = span_at(q, (size_t)(end - q));
	return true;
}

static bool key_is(struct span raw, struct span name)
{
	if (raw.len == name.len + 2 && memcmp(raw.p + 1, name.p, name.len) == 0)
		return true;
	return raw.len > name.len + 2 && memchr(raw.p, '\\', raw.len) && json_is(raw, name.p);
}

struct span json_get(struct span object, const char *name)
{
	struct json_iter it = json_iter(object);
	struct span key, value, found = SPAN_NONE, want = span_of(name);

	if (!it.object)
		return SPAN_NONE;
	while (json_next(&it, &key, &value))
		if (key_is(key, want))
			found = value;
	return found;
}

struct span json_at(struct span array, size_t index)
{
	struct json_iter it = json_iter(array);
	struct span value;

	if (it.object)
		return SPAN_NONE;
	while (json_next(&it, NULL, &value))
		if (index-- == 0)
			return value;
	return SPAN_NONE;
}

size_t json_count(struct span raw)
{
	struct json_iter it = json_iter(raw);
	struct span value;
	size_t n = 0;

	while (json_next(&it, NULL, &value))
		n++;
	return n;
}

struct span json_path(struct span raw, const char *path)
{
	char name[64];

	while (*path && raw.p) {
		if (*path == '[') {
			char *after;
			raw = json_at(raw, strtoul(path + 1, &after, 10));
			path = *after == ']' ? after + 1 : after;
			continue;
		}
		if (*path == '.')
			path++;
		size_t n = strcspn(path, ".[");
		if (n >= sizeof(name))
			return SPAN_NONE;
		memcpy(name, path, n);
		name[n] = 0;
		raw = json_get(raw, name);
		path += n;
	}
	return raw;
}

static uint32_t hex4(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];
		v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

static size_t put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* One escape at p (a backslash): at most 4 bytes, never more than the escape itself has. */
static const char *unescape(const char *p, const char *end, char *to, size_t *n)
{
	static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";

	if (p[1] != 'u') {
		const char *f = strchr(from, p[1]);
		*to = f ? into[f - from] : p[1];
		*n = 1;
		return p + 2;
	}
	uint32_t c = hex4(p + 2);
	p += 6;
	if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
		uint32_t low = hex4(p + 2);
		if (low >= 0xdc00 && low < 0xe000) {
			*n = put_utf8(to, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
			return p + 6;
		}
	}
	*n = put_utf8(to, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	return p;
}

struct span json_text(struct arena *a, struct span raw)
{
	if (raw.len < 2 || raw.p[0] != '"')
		return SPAN_NONE;
	const char *p = raw.p + 1, *end = raw.p + raw.len - 1;
	const char *slash = memchr(p, '\\', (size_t)(end - p));
	if (!slash)
		return span_at(p, (size_t)(end - p));
	char *out = arena_alloc(a, (size_t)(end - p) + 1), *to = out;
	if (!out) /* only in the tracer library: see mem.h */
		return SPAN_NONE;
	while (p < end) {
		slash = memchr(p, '\\', (size_t)(end - p));
		size_t plain = (size_t)((slash ? slash : end) - p), n = 0;
		memcpy(to, p, plain);
		to += plain;
		if (!slash)
			break;
		p = unescape(slash, end, to, &n);
		to += n;
	}
	return span_at(out, (size_t)(to - out));
}

struct span json_get_text(struct arena *a, struct span object, const char *name)
{
	return json_text(a, json_get(object, name));
}

bool json_is(struct span raw, const char *text)
{
	if (raw.len < 2 || raw.p[0] != '"')
		return false;
	const char *p = raw.p + 1, *end = raw.p + raw.len - 1;
	while (p < end) {
		char one[4] = { *p };
		size_t n = 1;
		if (*p == '\\')
			p = unescape(p, end, one, &n);
		else
			p++;
		if (strncmp(text, one, n) != 0 || memchr(one, 0, n))
			return false;
		text += n;
	}
	return *text == 0;
}

bool json_double(struct span raw, double *out)
{
	char text[64], *end;

	if (json_type_of(raw) != JSON_NUMBER || raw.len >= sizeof(text))
		return false;
	memcpy(text, raw.p, raw.len);
	text[raw.len] = 0;
	/* strtod wants the decimal point of the process's locale. */
	char *point = strchr(text, '.');
	if (point)
		*point = *localeconv()->decimal_point;
	*out = strtod(text, &end);
	return *end == 0 && *out - *out == 0; /* finite */
}

bool json_i64(struct span raw, int64_t *out)
{
	char text[64], *end;
	double d;

	if (json_type_of(raw) != JSON_NUMBER || raw.len >= sizeof(text))
		return false;
	memcpy(text, raw.p, raw.len);
	text[raw.len] = 0;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (*end == 0) {
		*out = v;
		return errno == 0;
	}
	if (!json_double(raw, &d) || d < -9e15 || d > 9e15 || d != (double)(int64_t)d)
		return false;
	*out = (int64_t)d;
	return true;
}

bool json_true(struct span raw)
{
	return json_type_of(raw) == JSON_TRUE;
}
