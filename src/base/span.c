#include "base/span.h"

#include <strings.h>

bool span_ieq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.p, b.p, a.len) == 0);
}

bool span_starts(struct span a, struct span prefix)
{
	return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.p, prefix.p, prefix.len) == 0);
}

bool span_istarts(struct span a, struct span prefix)
{
	return a.len >= prefix.len && (prefix.len == 0 || strncasecmp(a.p, prefix.p, prefix.len) == 0);
}

bool span_ends(struct span a, struct span suffix)
{
	return a.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(a.p + a.len - suffix.len, suffix.p, suffix.len) == 0);
}

struct span span_find(struct span hay, struct span needle)
{
	if (needle.len == 0)
		return hay;
	if (!hay.p || hay.len < needle.len)
		return SPAN_NONE;
	const char *p = memmem(hay.p, hay.len, needle.p, needle.len);
	if (!p)
		return SPAN_NONE;
	return span_at(p, hay.len - (size_t)(p - hay.p));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span a)
{
	while (a.len && is_blank(a.p[0])) {
		a.p++;
		a.len--;
	}
	while (a.len && is_blank(a.p[a.len - 1]))
		a.len--;
	return a;
}

bool span_split(struct span *rest, char sep, struct span *out)
{
	if (!rest->p)
		return false;
	const char *p = rest->len ? memchr(rest->p, sep, rest->len) : NULL;
	if (!p) {
		*out = *rest;
		*rest = SPAN_NONE;
		return true;
	}
	size_t n = (size_t)(p - rest->p);
	*out = span_at(rest->p, n);
	*rest = span_at(p + 1, rest->len - n - 1);
	return true;
}

bool span_u64(struct span a, uint64_t *out)
{
	uint64_t n = 0;

	if (a.len == 0)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		unsigned int d = (unsigned char)a.p[i] - '0';
		if (d > 9 || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, d, &n))
			return false;
	}
	*out = n;
	return true;
}
