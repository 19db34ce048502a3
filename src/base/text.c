#include "base/text.h"

#include "base/timefmt.h"

#include <stdio.h>

size_t utf8_len(const char *p, size_t len)
{
	const unsigned char *s = (const unsigned char *)p;

	if (len == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, past U+10FFFF */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool utf8_valid(struct span s)
{
	while (s.len) {
		size_t n = utf8_len(s.p, s.len);
		if (!n)
			return false;
		s.p += n;
		s.len -= n;
	}
	return true;
}

static uint32_t decode(const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p;

	switch (n) {
	case 1:
		return s[0];
	case 2:
		return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
	case 3:
		return (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
	default:
		return (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
	}
}

/* Controls, C1, zero-width and bidi marks, line and paragraph separators, byte order mark, tags. */
static bool is_trick(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

static int put_one(struct buf *b, struct span *s)
{
	size_t n = utf8_len(s->p, s->len);
	int err;

	if (!n) {
		n = 1;
		err = buf_printf(b, "\\x%02x", (unsigned char)s->p[0]);
	} else {
		uint32_t c = decode(s->p, n);
		if (c == '\n')
			err = buf_add_text(b, "\\n");
		else if (c == '\t')
			err = buf_add_text(b, "\\t");
		else if (!is_trick(c))
			err = buf_add(b, s->p, n);
		else
			err = buf_printf(b, c < 0x20 ? "\\x%02x" : "\\u{%x}", c);
	}
	s->p += n;
	s->len -= n;
	return err;
}

int text_put_safe(struct buf *b, struct span s)
{
	int err = 0;

	while (s.len && !err)
		err = put_one(b, &s);
	return err;
}

int text_put_safe_cut(struct buf *b, struct span s, size_t width)
{
	int err = 0;

	for (size_t n = 0; s.len && !err; n++) {
		if (n + 3 >= width && s.len > 3)
			return buf_add_text(b, "...");
		err = put_one(b, &s);
	}
	return err;
}

static void scaled(double n, const char *const units[], char out[16])
{
	int i = 0;

	while (n >= 999.95 && units[i + 1]) {
		n /= 1000;
		i++;
	}
	if (i == 0)
		snprintf(out, 16, "%.0f%s", n, units[0]);
	else
		snprintf(out, 16, "%.1f%s", n, units[i]);
}

void text_count(uint64_t n, char out[16])
{
	static const char *const units[] = { "", "k", "M", "G", "T", NULL };

	scaled((double)n, units, out);
}

void text_bytes(uint64_t n, char out[16])
{
	static const char *const units[] = { " B", " kB", " MB", " GB", " TB", NULL };

	scaled((double)n, units, out);
}

void text_duration(uint64_t ns, char out[16])
{
	uint64_t s = ns / NS_PER_S;

	if (ns < NS_PER_S)
		snprintf(out, 16, "%u ms", (unsigned int)(ns / NS_PER_MS));
	else if (s < 60)
		snprintf(out, 16, "%.1f s", (double)(ns / NS_PER_MS) / 1000);
	else if (s < 3600)
		snprintf(out, 16, "%um %02us", (unsigned int)(s / 60), (unsigned int)(s % 60));
	else
		snprintf(out, 16, "%uh %02um", (unsigned int)(s / 3600) % 100000u, (unsigned int)(s / 60 % 60));
}
