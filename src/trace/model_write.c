#include "trace/model.h"

#include "base/lanes.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/timefmt.h"

#include <errno.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Behind the next run of plain ASCII: no control character, no backslash, nothing above 0x7f. */
static const char *skip_plain(const char *p, const char *end)
{
	while (end - p >= 16) {
		lanes w = lanes_at(p);
		unsigned int n = lanes_first((lanes)((w < 0x20) | (w == '\\') | (w >= 0x80)));
		p += n;
		if (n < 16)
			return p;
	}
	while (p < end && *p >= 0x20 && *p != '\\')
		p++;
	return p;
}

static bool is_surrogate(const char *p, const char *end, char from, char to)
{
	return end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (p[2] | 0x20) == 'd' && (p[3] | 0x20) >= from &&
	       (p[3] | 0x20) <= to;
}

/* Length of the escape at p, or 0 when it is half of a surrogate pair, which no UTF-8 text can hold. */
static size_t escape_len(const char *p, const char *end)
{
	/* The second hex digit: 8-b is a leading half, c-f a trailing one. '8' | 0x20 is '8'. */
	bool leads = is_surrogate(p, end, '8', '9') || is_surrogate(p, end, 'a', 'b');

	if (leads)
		return is_surrogate(p + 6, end, 'c', 'f') ? 12 : 0;
	if (is_surrogate(p, end, 'c', 'f'))
		return 0;
	return end - p < 2 ? 1 : 2;
}

/* The first byte that cannot be written as it stands: a control character, bad UTF-8, a lone surrogate. Or the end. */
static const char *skip_clean(const char *p, const char *end)
{
	while ((p = skip_plain(p, end)) < end) {
		size_t n;
		if (*p == '\\')
			n = escape_len(p, end);
		else if ((unsigned char)*p >= 0x80)
			n = utf8_len(p, (size_t)(end - p));
		else
			n = 0;
		if (!n)
			break;
		p += n;
	}
	return p;
}

const char *value_damage(struct span raw)
{
	const char *p = raw.p, *end = raw.p ? p + raw.len : p;

	while ((p = skip_clean(p, end)) < end) {
		if (*p == '\\')
			return "holds half of a surrogate pair";
		if ((unsigned char)*p >= 0x80)
			return "is not valid UTF-8";
		p++; /* white space between tokens */
	}
	return NULL;
}

static int put_repaired_string(struct buf *out, const char **pp, const char *end, bool *repaired)
{
	const char *p = *pp, *from = p++;
	int err = 0;

	while (!err && p < end && *p != '"') {
		size_t bad = 0, n;
		if (*p == '\\') {
			n = escape_len(p, end);
			bad = n ? 0 : 6;
		} else if ((unsigned char)*p >= 0x80) {
			n = utf8_len(p, (size_t)(end - p));
			bad = n ? 0 : 1;
		} else {
			n = 1;
		}
		if (bad) {
			err = buf_add(out, from, (size_t)(p - from));
			if (!err)
				err = buf_add_text(out, REPLACEMENT);
			*repaired = true;
			from = p + bad;
		}
		p += n + bad;
	}
	p = p < end ? p + 1 : end;
	*pp = p;
	return err ? err : buf_add(out, from, (size_t)(p - from));
}

/* White space between tokens is dropped, text is repaired. */
static int put_repaired(struct buf *out, struct span raw, bool *repaired)
{
	const char *p = raw.p, *end = p + raw.len;
	int err = 0;

	while (!err && p < end) {
		if (*p == '"') {
			err = put_repaired_string(out, &p, end, repaired);
			continue;
		}
		if ((unsigned char)*p > ' ')
			err = buf_add_char(out, *p);
		p++;
	}
	return err;
}

int value_put(struct buf *out, struct span raw, bool *repaired)
{
	bool ignored;

	if (skip_clean(raw.p, raw.p + raw.len) == raw.p + raw.len)
		return buf_add_span(out, raw);
	return put_repaired(out, raw, repaired ? repaired : &ignored);
}

static int put_value_member(struct buf *out, const char *name, struct span raw, bool *repaired)
{
	if (!raw.p)
		return 0;
	int err = json_put_key(out, name);
	return err ? err : value_put(out, raw, repaired);
}

static int put_time_member(struct buf *out, const char *name, int64_t unix_ns)
{
	char text[TIME_TEXT_LEN];

	time_format(unix_ns, text);
	return json_put_member_text(out, name, span_of(text));
}

static bool names_text(struct span array, const char *name)
{
	struct json_iter it = json_iter(array);
	struct span value;

	while (json_next(&it, NULL, &value))
		if (json_is(value, name))
			return true;
	return false;
}

static int put_missing(const struct step *s, unsigned missing, struct buf *out)
{
	const struct step_field *f = step_schemas[s->type].fields;
	struct span before = s->metadata.p ? json_get(s->metadata, "missing") : SPAN_NONE, value;
	struct json_iter it = json_iter(before);
	int err = json_put_key(out, "missing");

	if (!err)
		err = buf_add_char(out, '[');
	while (!err && !it.object && json_next(&it, NULL, &value)) {
		err = json_put_comma(out);
		if (!err)
			err = value_put(out, value, NULL);
	}
	for (int i = 0; !err && i < STEP_MAX_FIELDS; i++) {
		if (!(missing & 1u << i) || names_text(before, f[i].name))
			continue;
		err = json_put_comma(out);
		if (!err)
			err = json_put_text(out, span_of(f[i].name), NULL);
	}
	return err ? err : buf_add_char(out, ']');
}

static int put_pair(struct span key, struct span value, bool *repaired, struct buf *out)
{
	int err = json_put_comma(out);

	if (!err)
		err = value_put(out, key, repaired);
	if (!err)
		err = buf_add_char(out, ':');
	return err ? err : value_put(out, value, repaired);
}

/* The metadata object with what writing found out merged into it. */
static int put_metadata(const struct step *s, unsigned missing, bool repaired, struct buf *out)
{
	struct json_iter it = json_iter(s->metadata);
	struct span key, value;
	size_t start;
	int err;

	bool changed = missing || repaired;

	if (!changed && !s->metadata.p)
		return 0;
	err = json_put_key(out, "metadata");
	start = out->len;
	/* Repairs are found while it is written: then once more. */
	if (!err && !changed)
		err = value_put(out, s->metadata, &repaired);
	if (err || (!changed && !repaired))
		return err;
	out->len = start;
	err = buf_add_char(out, '{');
	while (!err && json_next(&it, &key, &value)) {
		if (!(missing && json_is(key, "missing")) && !json_is(key, "invalid_utf8"))
			err = put_pair(key, value, &repaired, out);
	}
	if (!err && missing)
		err = put_missing(s, missing, out);
	if (!err && repaired)
		err = json_put_member_bool(out, "invalid_utf8", true);
	return err ? err : buf_add_char(out, '}');
}

static int put_fields(const struct step *s, struct buf *out, unsigned *missing, bool *repaired)
{
	const struct step_field *f = step_schemas[s->type].fields;
	int err = 0;

	for (int i = 0; !err && i < STEP_MAX_FIELDS && f[i].name; i++) {
		struct span value = s->values[i];
		if (!value.p && f[i].required) {
			value = span_of(step_empty_value(&f[i]));
			*missing |= 1u << i;
		}
		err = put_value_member(out, f[i].name, value, repaired);
	}
	return err;
}

int step_write(const struct step *s, struct buf *out)
{
	size_t before = out->len;
	unsigned missing = 0;
	bool repaired = false;

	int err = buf_add_text(out, "{\"step_id\":");
	if (!err)
		err = json_put_text(out, s->id, &repaired);
	if (!err)
		err = json_put_member_text(out, "step_type", span_of(step_schemas[s->type].name));
	if (!err)
		err = put_time_member(out, "timestamp", s->began_ns);
	if (!err && s->parent_id.p)
		err = json_put_member_text(out, "parent_step_id", s->parent_id);
	if (!err)
		err = put_fields(s, out, &missing, &repaired);
	if (!err && s->extra.len) {
		err = buf_add_char(out, ',');
		if (!err)
			err = value_put(out, s->extra, &repaired);
	}
	if (!err)
		err = put_metadata(s, missing, repaired, out);
	if (!err)
		err = buf_add_char(out, '}');
	if (err)
		out->len = before;
	return err;
}

static int put_run_metadata(const struct run_info *r, struct buf *out)
{
	int err = json_put_key(out, "metadata");

	if (!err)
		err = buf_add_char(out, '{');
	if (!err && !json_get(r->metadata, "schema").p)
		err = json_put_member_text(out, "schema", SPAN(TRACE_SCHEMA));
	/* What is between the braces of an object is a list of members. */
	struct span inner = r->metadata.len > 2 ? span_trim(span_at(r->metadata.p + 1, r->metadata.len - 2)) : SPAN_NONE;
	if (!err && inner.len) {
		err = json_put_comma(out);
		if (!err)
			err = value_put(out, inner, NULL);
	}
	return err ? err : buf_add_char(out, '}');
}

static int put_run_members(const struct run_info *r, struct buf *out)
{
	int err = buf_add_char(out, '{');

	if (!err)
		err = json_put_member_text(out, "run_id", r->run_id);
	if (!err)
		err = put_time_member(out, "started_at", r->started_ns);
	/* A clock that was set back in between does not make the file unreadable. */
	if (!err && r->ended_ns)
		err = put_time_member(out, "ended_at", r->ended_ns < r->started_ns ? r->started_ns : r->ended_ns);
	if (!err)
		err = put_value_member(out, "agent_info", r->agent_info.p ? r->agent_info : SPAN("{\"name\":\"unknown\"}"), NULL);
	if (!err)
		err = put_value_member(out, "task_info", r->task_info, NULL);
	if (!err && r->extra.len) {
		err = buf_add_char(out, ',');
		if (!err)
			err = value_put(out, r->extra, NULL);
	}
	return err ? err : put_run_metadata(r, out);
}

int run_write_head(const struct run_info *r, struct buf *out)
{
	size_t before = out->len;
	int err = put_run_members(r, out);

	if (!err)
		err = buf_add_text(out, ",\n\"steps\":[");
	if (err)
		out->len = before;
	return err;
}

int run_write_tail(struct buf *out)
{
	return buf_add_text(out, "]}\n");
}

int run_write_line(const struct run_info *r, struct buf *out)
{
	size_t before = out->len;
	int err = put_run_members(r, out);

	if (!err)
		err = buf_add_text(out, "}\n");
	if (err)
		out->len = before;
	return err;
}
