#include "trace/react.h"

static struct span after(struct span text, struct span mark)
{
	struct span at = span_find(text, mark);

	return at.p ? span_at(at.p + mark.len, at.len - mark.len) : SPAN_NONE;
}

static struct span before(struct span text, struct span mark)
{
	struct span at = span_find(text, mark);

	return at.p ? span_at(text.p, (size_t)(at.p - text.p)) : text;
}

/* At the beginning of a line; blanks and list or bold marks may stand before it. */
static struct span find_line(struct span text, struct span mark)
{
	struct span at = text;

	while ((at = span_find(at, mark)).p) {
		const char *p = at.p;
		while (p > text.p && (p[-1] == ' ' || p[-1] == '*' || p[-1] == '\t'))
			p--;
		if (p == text.p || p[-1] == '\n')
			return at;
		at = span_at(at.p + 1, at.len - 1);
	}
	return SPAN_NONE;
}

static struct span last_line(struct span text, struct span mark)
{
	struct span found = SPAN_NONE, at;

	for (at = find_line(text, mark); at.p; at = find_line(span_at(at.p + 1, at.len - 1), mark)) {
		/* find_line takes the beginning of what it is given for a line's beginning: look back ourselves */
		if (at.p == text.p || at.p[-1] == '\n' || at.p[-1] == ' ' || at.p[-1] == '*' || at.p[-1] == '\t')
			found = at;
	}
	return found;
}

static struct span strip_fence(struct span s)
{
	s = span_trim(s);
	if (span_starts(s, SPAN("```")) && s.len >= 6 && span_ends(s, SPAN("```"))) {
		s = span_at(s.p + 3, s.len - 6);
		if (span_starts(s, SPAN("json")))
			s = span_at(s.p + 4, s.len - 4);
		s = span_trim(s);
	}
	return s;
}

bool react_parse(struct span text, struct react_action *out)
{
	/* What a model dreams up behind its own action is not part of it. */
	struct span until = before(text, SPAN("\nObservation"));
	struct span action = last_line(until, SPAN("Action:"));

	if (!action.p)
		return false;
	struct span input = find_line(action, SPAN("Action Input:"));
	if (!input.p || find_line(input, SPAN("Final Answer:")).p)
		return false;
	struct span name = span_at(action.p + 7, (size_t)(input.p - action.p) - 7);
	while (name.len && (name.p[name.len - 1] == '*' || name.p[name.len - 1] == ' '))
		name.len--;
	name = span_trim(name);
	while (name.len && strchr("*`[\"' ", name.p[0]))
		name = span_at(name.p + 1, name.len - 1);
	while (name.len && strchr("*`]\"'", name.p[name.len - 1]))
		name.len--;
	if (!name.len || name.len > 256 || memchr(name.p, '\n', name.len))
		return false;
	input = span_at(input.p + 13, input.len - 13);
	if (span_starts(input, SPAN("**"))) /* the end of a bold label */
		input = span_at(input.p + 2, input.len - 2);
	*out = (struct react_action){ name, strip_fence(input) };
	return true;
}

bool react_asks(const struct call *c)
{
	struct react_action unused;

	return !c->answer.n_requests && !c->n_tools_offered && c->answer.text.len && react_parse(c->answer.text, &unused);
}

bool react_is_observation(struct span text)
{
	return span_starts(span_trim(text), SPAN("Observation:"));
}

/* The last place where the action is followed by its observation. */
struct span react_result(struct span text, struct span name, struct span input)
{
	struct span found = SPAN_NONE, at = text;

	if (react_is_observation(text)) {
		found = after(text, SPAN("Observation:"));
	} else {
		while ((at = after(at, SPAN("Action:"))).p) {
			struct span obs = after(at, SPAN("\nObservation:"));
			struct span asked = obs.p ? span_at(at.p, at.len - obs.len - 13) : SPAN_NONE;
			if (!asked.p || !span_starts(span_trim(asked), name) || (input.len && !span_find(asked, input).p))
				continue;
			found = obs;
		}
	}
	if (!found.p)
		return SPAN_NONE;
	found = span_trim(found);
	/* The prompt goes on with the word that the model shall continue. */
	if (span_ends(found, SPAN("Thought:")))
		found.len -= 8;
	return span_trim(found);
}
