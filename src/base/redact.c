#include "base/redact.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/map.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

struct redactor {
	uint64_t salt[2];
	char *replacement;
	bool inputs;
	bool outputs;
	size_t n_patterns;
	regex_t patterns[];
};

int redactor_new(const struct redact_options *o, struct redactor **out, char why[REDACT_WHY])
{
	struct redactor *r = calloc(1, sizeof(*r) + o->n_patterns * sizeof(r->patterns[0]));

	if (!r)
		return -ENOMEM;
	memcpy(r->salt, o->salt, sizeof(r->salt));
	r->inputs = o->inputs;
	r->outputs = o->outputs;
	r->replacement = o->replacement ? strdup(o->replacement) : NULL;
	for (size_t i = 0; i < o->n_patterns; i++) {
		int err = regcomp(&r->patterns[i], o->patterns[i], REG_EXTENDED);
		if (err) {
			char text[80];
			regerror(err, &r->patterns[i], text, sizeof(text));
			snprintf(why, REDACT_WHY, "bad pattern '%.60s': %s", o->patterns[i], text);
			redactor_free(r);
			return err == REG_ESPACE ? -ENOMEM : -EINVAL;
		}
		r->n_patterns++;
	}
	*out = r;
	return 0;
}

void redactor_free(struct redactor *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_patterns; i++)
		regfree(&r->patterns[i]);
	free(r->replacement);
	free(r);
}

bool redactor_drops_inputs(const struct redactor *r)
{
	return r->inputs;
}

bool redactor_drops_outputs(const struct redactor *r)
{
	return r->outputs;
}

static unsigned hash_of(const struct redactor *r, const char *p, size_t len)
{
	return (unsigned)hash_sip(r->salt, p, len);
}

/* in_json: a replacement of the user is escaped; ours needs no escapes. */
static int put_replacement(const struct redactor *r, const char *kind, struct span secret, bool in_json, struct buf *out)
{
	if (!r->replacement)
		return buf_printf(out, "[REDACTED:%s:%08x]", kind, hash_of(r, secret.p, secret.len));
	if (!in_json)
		return buf_add_text(out, r->replacement);
	size_t before = out->len;
	int err = json_put_text(out, span_of(r->replacement), NULL);
	if (!err) { /* without its quotes */
		memmove(out->p + before, out->p + before + 1, out->len - before - 2);
		out->len -= 2;
	}
	return err;
}

static int put_without_shapes(const struct redactor *r, struct span text, bool in_json, struct buf *out)
{
	struct secret s;
	size_t at = 0;
	int err = 0, n = 0;

	while (!err && secret_find(text, at, &s)) {
		err = buf_add(out, text.p + at, s.at - at);
		if (!err)
			err = put_replacement(r, s.kind, span_at(text.p + s.at, s.len), in_json, out);
		at = s.at + s.len;
		n++;
	}
	if (!err)
		err = buf_add(out, text.p + at, text.len - at);
	return err ? err : n;
}

/* One pattern over a text from `at` to `end`, a part of the whole. Empty matches hide nothing. */
static int put_part(const struct redactor *r, const regex_t *re, struct span text, size_t at, size_t end, struct buf *out)
{
	regmatch_t m;
	int err = 0, n = 0;

	while (!err && at < end) {
		int flags = (at ? REG_NOTBOL : 0) | (end < text.len ? REG_NOTEOL : 0);
		m.rm_so = 0;
		m.rm_eo = (regoff_t)(end - at);
		if (regexec(re, text.p + at, 1, &m, REG_STARTEND | flags))
			break;
		size_t from = at + (size_t)m.rm_so, to = at + (size_t)m.rm_eo;
		bool empty = from == to;
		if (empty && from < end)
			from = to = from + 1;
		err = buf_add(out, text.p + at, from - at);
		if (!err && !empty)
			err = put_replacement(r, "pattern", span_at(text.p + from, to - from), false, out);
		n += !empty;
		at = empty && to == at ? end : to;
	}
	if (!err && at < end)
		err = buf_add(out, text.p + at, end - at);
	return err ? err : n;
}

/* Length of a replacement of ours at p: only the exact form is spared, so that nothing can be hidden behind its beginning. */
static size_t mark_len(struct span p)
{
	size_t i = sizeof("[REDACTED:") - 1, hash;

	while (i < p.len && ((p.p[i] >= 'a' && p.p[i] <= 'z') || p.p[i] == '-'))
		i++;
	if (i + 10 > p.len || p.p[i] != ':')
		return 0;
	for (hash = 1; hash <= 8; hash++)
		if (!strchr("0123456789abcdef", p.p[i + hash]) || !p.p[i + hash])
			return 0;
	return p.p[i + 9] == ']' ? i + 10 : 0;
}

/* The next such replacement, or the end of the text. */
static size_t next_mark(struct span text, size_t from, size_t *len)
{
	struct span mark;

	*len = 0;
	while ((mark = span_find(span_at(text.p + from, text.len - from), SPAN("[REDACTED:"))).p) {
		*len = mark_len(mark);
		if (*len)
			return (size_t)(mark.p - text.p);
		from = (size_t)(mark.p - text.p) + 1;
	}
	return text.len;
}

/* One pattern over a text; what was replaced before is left alone. */
static int put_without_pattern(const struct redactor *r, const regex_t *re, struct span text, struct buf *out)
{
	size_t at = 0, len;
	int n = 0, one = 0;

	while (one >= 0 && at < text.len) {
		size_t end = next_mark(text, at, &len);
		one = put_part(r, re, text, at, end, out);
		n += one > 0 ? one : 0;
		if (one >= 0 && buf_add(out, text.p + end, len))
			one = -ENOSPC;
		at = end + len;
	}
	return one < 0 ? one : n;
}

/* All patterns, one after the other. */
static int put_without_patterns(const struct redactor *r, struct span text, struct buf *out)
{
	struct buf in, next;
	int n = 0;

	buf_init(&in, out->max);
	buf_init(&next, out->max);
	int err = buf_add_span(&in, text);
	for (size_t i = 0; err >= 0 && i < r->n_patterns; i++) {
		buf_text(&in); /* the end is given, but not every regexec looks at it first */
		struct buf swap = in;
		buf_clear(&next);
		err = put_without_pattern(r, &r->patterns[i], buf_span(&in), &next);
		n += err > 0 ? err : 0;
		in = next;
		next = swap;
	}
	if (err >= 0)
		err = buf_add_span(out, buf_span(&in));
	buf_fini(&in);
	buf_fini(&next);
	return err < 0 ? err : n;
}

int redact_text(const struct redactor *r, struct span text, struct buf *out)
{
	size_t before = out->len;
	struct buf plain;
	int n, more;

	if (!r->n_patterns) {
		n = put_without_shapes(r, text, false, out);
		if (n < 0)
			out->len = before;
		return n;
	}
	buf_init(&plain, out->max);
	n = put_without_shapes(r, text, false, &plain);
	more = n < 0 ? n : put_without_patterns(r, buf_span(&plain), out);
	buf_fini(&plain);
	if (more < 0)
		out->len = before;
	return more < 0 ? more : n + more;
}

/* A JSON string: patterns see what it means, not its escapes. */
static int put_string_without_patterns(const struct redactor *r, struct span raw, struct buf *out)
{
	struct arena a;
	struct buf text;

	arena_init(&a);
	buf_init(&text, out->max);
	int n = put_without_patterns(r, json_text(&a, raw), &text), err = n < 0 ? n : 0;
	if (n > 0)
		err = json_put_text(out, buf_span(&text), NULL);
	else if (!n)
		err = buf_add_span(out, raw);
	buf_fini(&text);
	arena_fini(&a);
	return err ? err : n;
}

static size_t string_len(struct span t, size_t at)
{
	size_t i = at + 1;

	while (i < t.len && t.p[i] != '"')
		i += t.p[i] == '\\' ? 2 : 1;
	return (i < t.len ? i + 1 : t.len) - at;
}

static int put_json_without_patterns(const struct redactor *r, struct span raw, struct buf *out)
{
	size_t at = 0;
	int n = 0, one = 0;

	while (one >= 0 && at < raw.len) {
		const char *quote = memchr(raw.p + at, '"', raw.len - at);
		size_t from = quote ? (size_t)(quote - raw.p) : raw.len;
		one = buf_add(out, raw.p + at, from - at);
		at = from;
		if (one || !quote)
			continue;
		size_t len = string_len(raw, at);
		one = put_string_without_patterns(r, span_at(raw.p + at, len), out);
		n += one > 0 ? one : 0;
		at += len;
	}
	return one < 0 ? one : n;
}

int redact_json(const struct redactor *r, struct span raw, struct buf *out)
{
	size_t before = out->len;
	struct buf plain;
	int n, more;

	if (!r->n_patterns) {
		n = put_without_shapes(r, raw, true, out);
		if (n < 0)
			out->len = before;
		return n;
	}
	buf_init(&plain, out->max);
	n = put_without_shapes(r, raw, true, &plain);
	more = n < 0 ? n : put_json_without_patterns(r, buf_span(&plain), out);
	buf_fini(&plain);
	if (more < 0)
		out->len = before;
	return more < 0 ? more : n + more;
}

static const char *const secret_headers[] = {
	"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "set-cookie",
	"x-amz-security-token", "x-auth-token", "x-subscription-token", "ocp-apim-subscription-key", NULL,
};

bool redact_is_secret_header(struct span name)
{
	for (const char *const *h = secret_headers; *h; h++)
		if (span_ieq(name, span_of(*h)))
			return true;
	return false;
}

/* "Bearer", "Basic" and their kin say nothing secret. */
static size_t scheme_len(struct span name, struct span value)
{
	const char *blank = value.len ? memchr(value.p, ' ', value.len) : NULL;
	size_t n = blank ? (size_t)(blank - value.p) + 1 : 0;

	if (!span_ieq(name, SPAN("authorization")) && !span_ieq(name, SPAN("proxy-authorization")))
		return 0;
	return n <= 24 ? n : 0;
}

int redact_header(const struct redactor *r, struct span name, struct span value, struct buf *out)
{
	size_t before = out->len, scheme = scheme_len(name, value);
	struct secret s;

	if (!redact_is_secret_header(name))
		return redact_text(r, value, out);
	if (scheme == value.len)
		return buf_add_span(out, value);
	struct span secret = span_at(value.p + scheme, value.len - scheme);
	/* The same secret in a body has the same kind and hash. */
	bool known = secret_find(secret, 0, &s) && s.at == 0 && s.len == secret.len;
	int err = buf_add(out, value.p, scheme);
	if (!err)
		err = put_replacement(r, known ? s.kind : "header", secret, false, out);
	if (err)
		out->len = before;
	return err ? err : 1;
}

static void mask(const struct redactor *r, char *p, size_t len)
{
	char hash[9];

	snprintf(hash, sizeof(hash), "%08x", hash_of(r, p, len));
	memset(p, '*', len);
	if (len >= 12)
		memcpy(p, hash, 8);
}

/* A header line at `at` (behind a line end): the part to mask. */
static bool find_header(struct span t, size_t at, struct secret *out)
{
	size_t colon = at;

	while (colon < t.len && colon < at + 32 && t.p[colon] > ' ' && t.p[colon] != ':')
		colon++;
	struct span name = span_at(t.p + at, colon - at);
	if (colon >= t.len || t.p[colon] != ':' || !redact_is_secret_header(name))
		return false;
	size_t from = colon + 1;
	while (from < t.len && t.p[from] == ' ')
		from++;
	const char *end = memchr(t.p + from, '\n', t.len - from);
	size_t stop = end ? (size_t)(end - t.p) : t.len;
	while (stop > from && t.p[stop - 1] == '\r')
		stop--;
	size_t scheme = scheme_len(name, span_at(t.p + from, stop - from));
	*out = (struct secret){ "header", from + scheme, stop - from - scheme };
	return out->len > 0;
}

size_t redact_mask(const struct redactor *r, char *p, size_t len)
{
	struct span t = span_at(p, len);
	struct secret s;
	size_t n = 0, at = 0;

	/* Lines first, so that a whole value is hidden and not only what has a known shape. */
	while (at < len) {
		if (find_header(t, at, &s)) {
			mask(r, p + s.at, s.len);
			n++;
		}
		const char *end = memchr(p + at, '\n', len - at);
		at = end ? (size_t)(end + 1 - p) : len;
	}
	for (at = 0; secret_find(t, at, &s); at = s.at + s.len) {
		mask(r, p + s.at, s.len);
		n++;
	}
	return n;
}
