#include "trace/model_redact.h"

#include "base/limits.h"

#include <errno.h>

#define DROPPED "\"[REDACTED]\""

enum side { SIDE_NONE, SIDE_IN, SIDE_OUT };

/* Whose content a field is; fields that are not named are neither. */
static const unsigned char sides[STEP_TYPES][STEP_MAX_FIELDS] = {
	[STEP_USER_INPUT] = { [UI_CONTENT] = SIDE_IN },
	[STEP_LLM_CALL] = { [LLM_INPUT] = SIDE_IN, [LLM_OUTPUT] = SIDE_OUT },
	[STEP_TOOL_CALL] = { [TOOL_ARGUMENTS] = SIDE_IN, [TOOL_RESULT] = SIDE_OUT, [TOOL_ERROR] = SIDE_OUT },
	[STEP_RETRIEVAL] = { [RET_QUERY] = SIDE_IN, [RET_RESULTS] = SIDE_OUT },
	[STEP_MEMORY_READ] = { [MR_QUERY] = SIDE_IN, [MR_RESULTS] = SIDE_OUT },
	[STEP_MEMORY_WRITE] = { [MW_DATA] = SIDE_IN, [MW_CHANGES] = SIDE_IN },
	[STEP_STATE_CHANGE] = { [SC_NEW_VALUE] = SIDE_OUT, [SC_OLD_VALUE] = SIDE_OUT },
	[STEP_INTERRUPT] = { [INT_PROMPT] = SIDE_OUT, [INT_RESPONSE] = SIDE_IN },
	[STEP_FINAL_OUTPUT] = { [FO_CONTENT] = SIDE_OUT },
};

/* Texts that are structure. */
static bool stays(struct span key)
{
	static const char *const names[] = { "role", "type", "name", "id", "finish_reason", "path", NULL };

	for (const char *const *n = names; *n; n++)
		if (json_is(key, *n))
			return true;
	return false;
}

static int put_dropped(struct span raw, unsigned depth, struct buf *out)
{
	struct json_iter it = json_iter(raw);
	struct span key, value;
	enum json_type type = json_type_of(raw);
	int err;

	if (type == JSON_STRING)
		return buf_add_text(out, DROPPED);
	if (type == JSON_NUMBER)
		return buf_add_char(out, '0');
	if (type != JSON_OBJECT && type != JSON_ARRAY)
		return buf_add_span(out, raw);
	err = buf_add_char(out, type == JSON_OBJECT ? '{' : '[');
	while (!err && depth < LIMIT_JSON_DEPTH && json_next(&it, &key, &value)) {
		err = json_put_comma(out);
		if (!err && it.object) {
			err = buf_add_span(out, key);
			if (!err)
				err = buf_add_char(out, ':');
		}
		if (err)
			break;
		bool kept = it.object && json_type_of(value) == JSON_STRING && stays(key);
		err = kept ? buf_add_span(out, value) : put_dropped(value, depth + 1, out);
	}
	return err ? err : buf_add_char(out, type == JSON_OBJECT ? '}' : ']');
}

struct work {
	const struct redactor *r;
	struct arena *a;
	struct buf buf;
	struct buf dropped;
	int n;
	int err;
};

static void redact_value(struct work *w, struct span *raw, bool drop)
{
	struct span from = *raw;

	if (!raw->p || w->err)
		return;
	if (drop) {
		buf_clear(&w->dropped);
		w->err = put_dropped(*raw, 0, &w->dropped);
		from = buf_span(&w->dropped);
		w->n++;
		if (w->err)
			return;
	}
	buf_clear(&w->buf);
	int n = redact_json(w->r, from, &w->buf);
	if (n < 0) {
		w->err = n;
		return;
	}
	if (!n && !drop)
		return;
	w->n += n;
	*raw = arena_copy(w->a, buf_span(&w->buf));
	if (!raw->p)
		w->err = -ENOMEM;
}

static void begin(struct work *w, const struct redactor *r, struct arena *a)
{
	*w = (struct work){ .r = r, .a = a };
	buf_init(&w->buf, LIMIT_STEP);
	buf_init(&w->dropped, LIMIT_STEP);
}

static int end(struct work *w)
{
	buf_fini(&w->buf);
	buf_fini(&w->dropped);
	return w->err ? w->err : w->n;
}

/* metadata.parts is what a user_input's content could not hold. */
static void drop_parts(struct work *w, struct step *s)
{
	struct span parts = s->metadata.p ? json_get(s->metadata, "parts") : SPAN_NONE;

	if (!parts.p || w->err)
		return;
	buf_clear(&w->buf);
	w->err = buf_add(&w->buf, s->metadata.p, (size_t)(parts.p - s->metadata.p));
	if (!w->err)
		w->err = put_dropped(parts, 0, &w->buf);
	const char *rest = parts.p + parts.len;
	if (!w->err)
		w->err = buf_add(&w->buf, rest, (size_t)(s->metadata.p + s->metadata.len - rest));
	s->metadata = arena_copy(w->a, buf_span(&w->buf));
}

int step_redact(const struct redactor *r, struct step *s, struct arena *a)
{
	struct work w;

	begin(&w, r, a);
	for (int i = 0; i < STEP_MAX_FIELDS; i++) {
		unsigned char side = sides[s->type][i];
		redact_value(&w, &s->values[i], (side == SIDE_IN && redactor_drops_inputs(r)) ||
						(side == SIDE_OUT && redactor_drops_outputs(r)));
	}
	if (redactor_drops_inputs(r))
		drop_parts(&w, s);
	redact_value(&w, &s->metadata, false);
	redact_value(&w, &s->extra, false);
	return end(&w);
}

int run_redact(const struct redactor *r, struct run_info *run, struct arena *a)
{
	struct work w;
	struct span input = run->task_info.p ? json_get(run->task_info, "input") : SPAN_NONE;

	begin(&w, r, a);
	redact_value(&w, &run->agent_info, false);
	redact_value(&w, &run->task_info, input.p && redactor_drops_inputs(r));
	redact_value(&w, &run->metadata, false);
	redact_value(&w, &run->extra, false);
	return end(&w);
}
