#include "dialect/read.h"

#include "base/limits.h"
#include "base/text.h"

#include <errno.h>

void read_incomplete(struct call *c, const char *reason)
{
	c->incomplete = true;
	if (!c->reason)
		c->reason = reason;
}

void read_stream_ended(const struct exchange *ex, struct call *c)
{
	if (!c->incomplete || !ex->cut || c->reason != ex->cut || !ex->request.complete ||
	    c->missing_bytes)
		return;
	c->incomplete = false;
	c->reason = NULL;
}

/* Where the valid UTF-8 ends. */
static size_t valid_len(struct span s)
{
	size_t i = 0, n;
	uint64_t w;

	while (i < s.len) {
		if (s.len - i >= 8) {
			memcpy(&w, s.p + i, 8);
			if (!(w & 0x8080808080808080ull)) {
				i += 8;
				continue;
			}
		}
		n = utf8_len(s.p + i, s.len - i);
		if (!n)
			break;
		i += n;
	}
	return i;
}

static struct span clean_utf8(struct call *c, struct span s)
{
	size_t ok = valid_len(s);

	if (ok == s.len)
		return s;
	char *out = arena_alloc(c->arena, s.len * 3), *to = out; /* a byte becomes U+FFFD: three */
	for (;;) {
		memcpy(to, s.p, ok);
		to += ok;
		if (ok == s.len)
			break;
		memcpy(to, "\xef\xbf\xbd", 3);
		to += 3;
		s = span_at(s.p + ok + 1, s.len - ok - 1);
		ok = valid_len(s);
	}
	c->replaced_utf8 = true;
	return span_at(out, (size_t)(to - out));
}

/* Closing cut JSON: walks as far as the text is whole. */
struct closer {
	const char *p, *end;
	const char *safe; /* the text up to here, with `safe_depth` brackets closed, is a value */
	const char *tail; /* a cut text: from its quote, to tail_end */
	size_t tail_len;
	size_t depth, safe_depth;
	struct span key;
	char open[LIMIT_JSON_DEPTH];
};

static void close_blank(struct closer *w)
{
	while (w->p < w->end && strchr(" \t\r\n", *w->p) && *w->p)
		w->p++;
}

/* The beginning of a text is worth keeping; the beginning of an id or a number would be a wrong one. */
static bool worth_keeping(struct span key)
{
	static const char *const texts[] = { "content",	     "text",	     "arguments",
					     "thinking",     "reasoning",    "reasoning_content",
					     "output",	     "partial_json", "input",
					     "instructions", "system" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (json_is(key, texts[i]))
			return true;
	return false;
}

/* p is at the quote of a string that does not end: whole characters and escapes of it. */
static size_t whole_len(const char *p, const char *end)
{
	const char *q = p + 1;

	while (q < end) {
		size_t n = *q == '\\' ? (q + 1 < end && q[1] == 'u' ? 6 : 2)
				      : utf8_len(q, (size_t)(end - q));
		if (!n || n > (size_t)(end - q) || (unsigned char)*q < 0x20)
			break;
		if (*q == '\\') {
			char one[8] = "\"";
			struct span v;
			memcpy(one + 1, q, n);
			one[n + 1] = '"';
			if (json_value(span_at(one, n + 2), &v, NULL))
				break;
		}
		q += n;
	}
	return (size_t)(q - p);
}

static bool close_scalar(struct closer *w)
{
	struct span v, rest = span_at(w->p, (size_t)(w->end - w->p));
	int err = json_value(rest, &v, &rest);

	if (err) {
		if (*w->p == '"' && worth_keeping(w->key)) {
			w->tail = w->p;
			w->tail_len = whole_len(w->p, w->end);
		}
		return false;
	}
	if (!rest.len && json_type_of(v) == JSON_NUMBER)
		return false; /* more digits may have followed */
	w->p = w->safe = v.p + v.len;
	w->safe_depth = w->depth;
	return true;
}

static bool close_key(struct closer *w)
{
	struct span rest = span_at(w->p, (size_t)(w->end - w->p));

	if (w->p >= w->end || *w->p != '"' || json_value(rest, &w->key, &rest))
		return false;
	w->p = rest.p;
	close_blank(w);
	if (w->p >= w->end || *w->p != ':')
		return false;
	w->p++;
	close_blank(w);
	return true;
}

/* A value, or the opening of one. false where the whole text ends. */
static bool close_value(struct closer *w)
{
	if (w->p >= w->end)
		return false;
	if (*w->p != '{' && *w->p != '[')
		return close_scalar(w);
	if (w->depth == LIMIT_JSON_DEPTH - 1)
		return false;
	w->open[w->depth++] = *w->p++;
	w->safe = w->p;
	w->safe_depth = w->depth;
	return true;
}

/* Brackets that close, the comma and the next key. */
static bool close_between(struct closer *w, bool opened)
{
	for (;;) {
		close_blank(w);
		if (w->p >= w->end || !w->depth)
			return false;
		char bracket = w->open[w->depth - 1];
		if (*w->p == (bracket == '{' ? '}' : ']')) {
			w->p++;
			w->safe = w->p;
			w->safe_depth = --w->depth;
			opened = false;
			continue;
		}
		if (!opened) {
			if (*w->p != ',')
				return false;
			w->p++;
			close_blank(w);
		}
		return bracket == '{' ? close_key(w) : true;
	}
}

static struct span close_cut(struct call *c, struct span text)
{
	struct closer w = { .p = text.p, .end = text.p + text.len, .safe = text.p };

	close_blank(&w);
	const char *from = w.p;
	while (close_value(&w)) {
		bool opened =
			w.safe > from && (w.safe[-1] == '{' || w.safe[-1] == '[') && w.safe == w.p;
		if (!w.depth || !close_between(&w, opened))
			break;
	}
	if (w.safe <= from)
		return SPAN_NONE;
	/* A cut text is kept with all between the last whole value and it: the comma and its key. */
	const char *upto = w.tail ? w.tail + w.tail_len : w.safe;
	size_t depth = w.tail ? w.depth : w.safe_depth, len = (size_t)(upto - from);
	char *out = arena_alloc(c->arena, len + depth + 2), *to = out + len;
	memcpy(out, from, len);
	if (w.tail)
		*to++ = '"';
	while (depth)
		*to++ = w.open[--depth] == '{' ? '}' : ']';
	return span_at(out, (size_t)(to - out));
}

struct span read_json(struct call *c, struct span text)
{
	struct span value, rest;

	if (span_starts(text, SPAN("\xef\xbb\xbf")))
		text = span_at(text.p + 3, text.len - 3);
	text = clean_utf8(c, span_trim(text));
	if (!text.len)
		return SPAN_NONE;
	int err = json_value(text, &value, &rest);
	if (!err)
		return value;
	value = close_cut(c, text);
	if (value.p)
		read_incomplete(c, err == -EAGAIN  ? "body cut"
				   : err == -E2BIG ? "nested too deep"
						   : "malformed body");
	return value;
}

struct span read_request(const struct exchange *ex, struct call *c)
{
	return ex->request.undecoded ? SPAN_NONE : read_json(c, ex->request.body);
}

struct span read_response(const struct exchange *ex, struct call *c)
{
	return ex->response.undecoded ? SPAN_NONE : read_json(c, ex->response.body);
}

struct span read_frame(const struct frame *f, struct call *c)
{
	struct span value, text = span_trim(f->data);

	if (f->after_gap)
		read_incomplete(c, "gap");
	if (!text.len || (*text.p != '{' && *text.p != '['))
		return SPAN_NONE; /* [DONE] begins like an array but is none: caught below */
	if (span_starts(text, SPAN("[DONE]")))
		return SPAN_NONE;
	text = clean_utf8(c, text);
	if (json_value(text, &value, NULL)) {
		read_incomplete(c, "malformed event");
		return SPAN_NONE;
	}
	return value;
}

void read_picks(struct span object, const struct pick *picks, size_t n)
{
	struct json_iter it = json_iter(object);
	struct span key, value;

	for (size_t i = 0; i < n; i++)
		*picks[i].to = SPAN_NONE;
	if (!it.object)
		return;
	while (json_next(&it, &key, &value)) {
		bool escaped = memchr(key.p, '\\', key.len) != NULL;
		for (size_t i = 0; i < n; i++) {
			const char *name = picks[i].name;
			if (!escaped && key.p[1] != *name)
				continue;
			size_t len = strlen(name);
			if ((key.len == len + 2 && memcmp(key.p + 1, name, len) == 0) ||
			    (escaped && json_is(key, name)))
				*picks[i].to = json_type_of(value) == JSON_NULL ? SPAN_NONE : value;
		}
	}
}

struct span read_text(struct call *c, struct span raw)
{
	return json_text(c->arena, raw);
}

struct span read_quoted(struct call *c, struct span text)
{
	struct buf b;

	if (!text.p)
		return SPAN_NONE;
	buf_init(&b, 6 * text.len + 2); /* a control character becomes \u00XX */
	json_put_text(&b, text, &c->replaced_utf8);
	struct span out = arena_copy(c->arena, buf_span(&b));
	buf_fini(&b);
	return out;
}

int64_t read_count(struct span raw)
{
	int64_t n;

	return json_i64(raw, &n) && n >= 0 ? n : TOKENS_UNKNOWN;
}

void read_count_into(struct span raw, int64_t *to)
{
	int64_t n = read_count(raw);

	if (n >= 0)
		*to = n;
}

void joined_add(struct call *c, struct joined *j, struct span raw)
{
	if (json_type_of(raw) != JSON_STRING || raw.len < 2)
		return;
	size_t n = raw.len - 2;
	if (!j->p || j->len + n + 1 > j->cap) {
		size_t cap = j->cap ? j->cap : 64;
		while (cap < j->len + n + 2)
			cap *= 2;
		char *p = arena_alloc(c->arena, cap);
		if (j->len)
			memcpy(p, j->p, j->len);
		else
			p[j->len++] = '"';
		j->p = p;
		j->cap = cap;
	}
	memcpy(j->p + j->len, raw.p + 1, n);
	j->len += n;
}

struct span joined_raw(struct joined *j)
{
	if (!j->p)
		return SPAN_NONE;
	j->p[j->len] = '"'; /* joined_add keeps room for it */
	return span_at(j->p, j->len + 1);
}

void read_meta(struct call *c, const char *name, struct span raw)
{
	struct buf b;

	if (!raw.p)
		return;
	buf_init(&b, c->metadata.len + raw.len + strlen(name) * 6 + 16);
	buf_add_span(&b, c->metadata.p ? span_at(c->metadata.p, c->metadata.len - 1) : SPAN("{"));
	json_put_member(&b, name, raw);
	buf_add_char(&b, '}');
	c->metadata = arena_copy(c->arena, buf_span(&b));
	buf_fini(&b);
}

void read_params(struct call *c, struct span object, const char *const *names)
{
	struct json_iter it = json_iter(object);
	struct span key, value;
	struct buf b;
	bool any = false;

	if (!it.object)
		return;
	buf_init(&b, object.len * 2 + 64);
	buf_add_char(&b, '{');
	while (json_next(&it, &key, &value)) {
		if (json_type_of(value) == JSON_NULL)
			continue;
		for (const char *const *n = names; *n; n++) {
			if (!json_is(key, *n))
				continue;
			json_put_member(&b, *n, value);
			any = true;
		}
	}
	buf_add_char(&b, '}');
	if (any)
		read_meta(c, "params", buf_span(&b));
	buf_fini(&b);
}

void read_error(struct call *c, struct span raw)
{
	struct span type, code, status, message, error, inner;
	int64_t n;

	if (json_type_of(raw) == JSON_STRING) {
		c->error.message = read_text(c, raw);
	} else if (json_type_of(raw) == JSON_OBJECT) {
		PICK(raw, { "type", &type }, { "code", &code }, { "status", &status },
		     { "message", &message }, { "error", &error }, { "__type", &inner });
		if (!message.p)
			message = json_get(raw, "detail"); /* FastAPI servers */
		if (!message.p && json_type_of(error) == JSON_STRING)
			message = error;
		const struct span named[] = { type, inner, status, code };
		for (size_t i = 0; i < 4 && !c->error.type.len; i++)
			c->error.type = read_text(c, named[i]);
		c->error.message =
			json_type_of(message) == JSON_STRING ? read_text(c, message) : message;
		if (!c->error.status && json_i64(code, &n) && n >= 100 && n < 1000)
			c->error.status = (int)n;
	} else {
		return;
	}
	if (!c->error.type.len)
		c->error.type = SPAN("error");
}

struct span read_peek(const struct exchange *ex)
{
	for (size_t i = 0; i < ex->n_frames && i < 4; i++) {
		struct span text = span_trim(ex->frames[i].data);
		if (text.len && *text.p == '{')
			return text;
	}
	return span_trim(ex->response.body);
}

bool read_has(struct span body, const char *name)
{
	struct span rest = span_trim(body), key, value;

	if (!rest.len || *rest.p != '{')
		return false;
	do {
		rest = span_at(rest.p + 1, rest.len - 1);
		if (json_value(rest, &key, &rest) || json_type_of(key) != JSON_STRING)
			return false;
		if (json_is(key, name))
			return true;
		rest = span_trim(rest);
		if (!rest.len || *rest.p != ':')
			return false;
		rest = span_at(rest.p + 1, rest.len - 1);
		if (json_value(rest, &value, &rest))
			return false;
		rest = span_trim(rest);
	} while (rest.len && *rest.p == ',');
	return false;
}

bool read_posted(const struct exchange *ex)
{
	return !ex->method.len || span_is(ex->method, "POST");
}
