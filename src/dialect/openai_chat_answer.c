/* The answer of a chat exchange. A whole message is read as one large delta, so both forms give the same call. */
#include "dialect/openai.h"

#include "base/limits.h"

struct tool {
	int64_t index; /* -1: the server gives none */
	struct span id;
	struct span name;
	struct joined arguments;
	struct span value;    /* arguments given as an object (Mistral) */
	struct joined output; /* server_side (Groq's executed_tools) */
	bool custom;
	bool server_side;
};

struct choice {
	int64_t index;
	struct joined content, reasoning, refusal, transcript, audio;
	struct span audio_id;
	struct span *others; /* content parts that are no text: raw */
	size_t n_others;
	struct tool *tools;
	size_t n_tools;
	struct span finish, native_finish, annotations;
};

struct answer {
	struct call *c;
	struct choice *choices;
	size_t n_choices;
	size_t last; /* the choice of the piece before */
	bool begun, done;
	struct span usage, fingerprint, tier, upstream, timings, citations, search, filters,
		usage_breakdown;
};

static struct choice *find_choice(struct answer *a, int64_t index)
{
	if (a->last < a->n_choices && a->choices[a->last].index == index)
		return &a->choices[a->last];
	for (size_t i = 0; i < a->n_choices; i++) {
		if (a->choices[i].index == index) {
			a->last = i;
			return &a->choices[i];
		}
	}
	if (a->n_choices >= LIMIT_CHOICES) {
		read_incomplete(a->c, "too many choices");
		return NULL;
	}
	a->last = a->n_choices;
	struct choice *ch = arena_push(a->c->arena, &a->choices, &a->n_choices, sizeof(*ch));
	ch->index = index;
	return ch;
}

/* Servers repeat index 0 for different whole calls, or leave index, id or both out. */
static struct tool *find_tool(struct answer *a, struct choice *ch, int64_t index, struct span id,
			      bool named, bool server)
{
	struct tool *t;

	for (size_t i = ch->n_tools; i-- > 0;) {
		t = &ch->tools[i];
		if (t->server_side != server)
			continue;
		bool other_id = id.len && t->id.len && !span_eq(id, t->id);
		if (index >= 0 && t->index == index)
			if (!other_id || !named)
				return t;
		if (index < 0 && (id.len ? span_eq(id, t->id) : !named))
			return t;
	}
	if (ch->n_tools >= LIMIT_STREAM_TOOLS) {
		read_incomplete(a->c, "too many tool calls");
		return NULL;
	}
	t = arena_push(a->c->arena, &ch->tools, &ch->n_tools, sizeof(*t));
	t->index = index;
	t->server_side = server;
	return t;
}

static void set_once(struct call *c, struct span *to, struct span raw)
{
	if (!to->len && json_type_of(raw) == JSON_STRING)
		*to = read_text(c, raw);
}

/* One element of tool_calls or executed_tools, or function_call as a whole (`bare`). */
static void tool_delta(struct answer *a, struct choice *ch, struct span raw, bool bare, bool server)
{
	struct span index, id, function, custom, name, arguments, input, type, output;
	int64_t n = -1;

	PICK(raw, { "index", &index }, { "id", &id }, { "function", &function },
	     { "custom", &custom }, { "type", &type }, { "output", &output });
	if (bare)
		n = -2;
	else if (!json_i64(index, &n) || n < 0)
		n = -1;
	PICK(custom.p	  ? custom
	     : function.p ? function
			  : raw,
	     { "name", &name }, { "arguments", &arguments }, { "input", &input });
	if (server && !name.p)
		name = type;
	struct tool *t = find_tool(a, ch, n, read_text(a->c, id), name.len > 2, server);
	if (!t)
		return;
	if (bare)
		t->index = -2;
	t->custom |= custom.p != NULL;
	set_once(a->c, &t->id, id);
	set_once(a->c, &t->name, name);
	if (custom.p)
		arguments = input;
	if (json_type_of(arguments) == JSON_STRING)
		joined_add(a->c, &t->arguments, arguments);
	else if (arguments.p)
		t->value = arguments;
	joined_add(a->c, &t->output, output);
}

static void each_tool(struct answer *a, struct choice *ch, struct span list, bool server)
{
	struct json_iter it = json_iter(list);
	struct span one;

	while (!it.object && json_next(&it, NULL, &one))
		tool_delta(a, ch, one, false, server);
}

/* Content as an array of parts: texts and thoughts join what came before, the rest is kept whole. */
static void content_parts(struct answer *a, struct choice *ch, struct span list)
{
	struct json_iter it = json_iter(list), inner;
	struct span part, type, text, thinking, one, *other;

	while (!it.object && json_next(&it, NULL, &part)) {
		PICK(part, { "type", &type }, { "text", &text }, { "thinking", &thinking });
		if (json_is(type, "text")) {
			joined_add(a->c, &ch->content, text);
		} else if (json_is(type, "thinking")) {
			joined_add(a->c, &ch->reasoning, thinking);
			inner = json_iter(thinking);
			while (!inner.object && json_next(&inner, NULL, &one))
				joined_add(a->c, &ch->reasoning, json_get(one, "text"));
		} else if (ch->n_others < LIMIT_STREAM_TOOLS) {
			other = arena_push(a->c->arena, &ch->others, &ch->n_others, sizeof(*other));
			*other = part;
		}
	}
}

static void reasoning_details(struct answer *a, struct choice *ch, struct span list)
{
	struct json_iter it = json_iter(list);
	struct span one, text, summary;

	while (!it.object && json_next(&it, NULL, &one)) {
		PICK(one, { "text", &text }, { "summary", &summary });
		joined_add(a->c, &ch->reasoning, text.p ? text : summary);
	}
}

/* A delta, or a whole message. */
static void read_delta(struct answer *a, struct choice *ch, struct span delta)
{
	struct call *c = a->c;
	struct span content, refusal, calls, call, reasoning, reasoning2, details, audio, images,
		executed, notes, one;

	PICK(delta, { "content", &content }, { "refusal", &refusal }, { "tool_calls", &calls },
	     { "function_call", &call }, { "reasoning_content", &reasoning },
	     { "reasoning", &reasoning2 }, { "reasoning_details", &details }, { "audio", &audio },
	     { "images", &images }, { "executed_tools", &executed }, { "annotations", &notes });
	if (!reasoning.p)
		reasoning = reasoning2;
	if (reasoning.p)
		joined_add(c, &ch->reasoning, reasoning);
	else
		reasoning_details(a, ch, details);
	joined_add(c, &ch->content, content);
	content_parts(a, ch, content);
	content_parts(a, ch, images);
	joined_add(c, &ch->refusal, refusal);
	each_tool(a, ch, calls, false);
	each_tool(a, ch, executed, true);
	if (call.p)
		tool_delta(a, ch, call, true, false);
	if (audio.p) {
		set_once(c, &ch->audio_id, json_get(audio, "id"));
		joined_add(c, &ch->transcript, json_get(audio, "transcript"));
		one = json_get(audio, "data");
		joined_add(c, &ch->audio, one);
	}
	if (json_count(notes))
		ch->annotations = notes;
	a->begun |= content.len > 2 || reasoning.len > 2 || details.len > 2 || refusal.len > 2 ||
		    calls.len > 2 || call.p || audio.p || images.len > 2 || executed.len > 2;
}

static void keep(struct span *to, struct span raw)
{
	if (raw.p)
		*to = raw;
}

static void read_choice(struct answer *a, struct span raw, size_t position)
{
	struct span index, message, delta, text, finish, native, usage, error, filters;
	int64_t n;

	PICK(raw, { "index", &index }, { "message", &message }, { "delta", &delta },
	     { "text", &text }, { "finish_reason", &finish }, { "native_finish_reason", &native },
	     { "usage", &usage }, { "error", &error }, { "content_filter_results", &filters });
	struct choice *ch = find_choice(a, json_i64(index, &n) ? n : (int64_t)position);
	if (!ch)
		return;
	read_delta(a, ch, message.p ? message : delta);
	joined_add(a->c, &ch->content, message.p || delta.p ? SPAN_NONE : text);
	a->begun |= text.len > 2;
	keep(&ch->finish, finish);
	keep(&ch->native_finish, native);
	keep(&a->usage, usage);
	keep(&a->filters, filters);
	a->done |= finish.p != NULL;
	if (error.p)
		read_error(a->c, error);
}

/* A chunk, or the whole response. */
static void read_object(struct answer *a, struct span raw)
{
	struct call *c = a->c;
	struct span id, model, choices, usage, error, groq, fingerprint, tier, upstream, timings,
		citations, search, breakdown, one;
	size_t position = 0;

	PICK(raw, { "id", &id }, { "model", &model }, { "choices", &choices }, { "usage", &usage },
	     { "error", &error }, { "x_groq", &groq }, { "system_fingerprint", &fingerprint },
	     { "service_tier", &tier }, { "provider", &upstream }, { "timings", &timings },
	     { "citations", &citations }, { "search_results", &search },
	     { "usage_breakdown", &breakdown });
	set_once(c, &c->response_id, id);
	if (json_type_of(model) == JSON_STRING && model.len > 2 && !c->model.p)
		c->model = read_text(c, model);
	keep(&a->usage, json_get(groq, "usage"));
	keep(&a->usage, usage);
	keep(&a->fingerprint, fingerprint);
	keep(&a->tier, tier);
	keep(&a->upstream, upstream);
	keep(&a->timings, timings);
	keep(&a->citations, citations);
	keep(&a->search, search);
	keep(&a->usage_breakdown, breakdown);
	struct json_iter it = json_iter(choices);
	while (!it.object && json_next(&it, NULL, &one))
		read_choice(a, one, position++);
	if (!error.p)
		error = json_get(groq, "error");
	if (error.p)
		read_error(c, error);
}

static void draft_choice(struct call *c, struct choice *ch, struct draft *d)
{
	draft_init(d, c, ROLE_ASSISTANT);
	draft_reasoning(d, joined_raw(&ch->reasoning));
	draft_text(d, joined_raw(&ch->content));
	struct span refusal = joined_raw(&ch->refusal);
	if (refusal.len > 2)
		c->refusal = true;
	draft_text(d, refusal);
	for (size_t i = 0; i < ch->n_others; i++)
		openai_part(d, ch->others[i]);
	if (ch->audio_id.p || ch->audio.p || ch->transcript.p) {
		struct span data = joined_raw(&ch->audio), transcript = joined_raw(&ch->transcript);
		struct span id = read_quoted(c, ch->audio_id);
		struct buf b;
		buf_init(&b, data.len + transcript.len + id.len + 64);
		buf_add_char(&b, '{');
		json_put_member(&b, "id", id);
		json_put_member(&b, "transcript", transcript);
		json_put_member(&b, "data", data);
		buf_add_char(&b, '}');
		draft_media(d, "audio", arena_copy(c->arena, buf_span(&b)));
		buf_fini(&b);
	}
	for (size_t i = 0; i < ch->n_tools; i++) {
		struct tool *t = &ch->tools[i];
		struct tool_request *r = draft_request(d);
		if (!r)
			break;
		r->id = t->id;
		r->name = t->name;
		r->server_side = t->server_side;
		r->result = joined_raw(&t->output);
		struct span text = joined_raw(&t->arguments);
		r->arguments = t->value.p  ? t->value
			       : t->custom ? (text.p ? text : SPAN("\"\""))
					   : tool_arguments(c, text);
	}
}

/* n > 1: the first choice is the answer, the others are shown beside it. */
static void other_choices(struct answer *a, size_t first)
{
	struct buf b;

	buf_init(&b, LIMIT_BODY * 2);
	buf_add_char(&b, '[');
	for (size_t i = 0; i < a->n_choices; i++) {
		struct draft d;
		struct message m;
		if (i == first)
			continue;
		bool refusal = a->c->refusal;
		draft_choice(a->c, &a->choices[i], &d);
		a->c->refusal = refusal;
		draft_finish(&d, &m);
		json_put_comma(&b);
		buf_add(&b, m.json.p, m.json.len - 1);
		json_put_member(&b, "finish_reason", a->choices[i].finish);
		json_put_member_i64(&b, "index", a->choices[i].index);
		buf_add_char(&b, '}');
	}
	if (buf_add_char(&b, ']') == 0)
		read_meta(a->c, "other_choices", buf_span(&b));
	buf_fini(&b);
}

static void finish(struct answer *a)
{
	struct call *c = a->c;
	size_t first = 0;
	struct draft d;

	for (size_t i = 1; i < a->n_choices; i++)
		if (a->choices[i].index < a->choices[first].index)
			first = i;
	if (a->n_choices) {
		draft_choice(c, &a->choices[first], &d);
		call_set_answer(c, &d, a->choices[first].finish);
		read_meta(c, "native_finish_reason", a->choices[first].native_finish);
		read_meta(c, "annotations", a->choices[first].annotations);
	}
	if (a->n_choices > 1)
		other_choices(a, first);
	openai_usage(c, a->usage);
	read_meta(c, "system_fingerprint", a->fingerprint);
	read_meta(c, "response_service_tier", a->tier);
	read_meta(c, "upstream_provider", a->upstream);
	read_meta(c, "timings", a->timings);
	read_meta(c, "citations", a->citations);
	read_meta(c, "search_results", a->search);
	read_meta(c, "content_filter_results", a->filters);
	read_meta(c, "usage_breakdown", a->usage_breakdown);
}

void openai_chat_answer(const struct exchange *ex, struct call *c)
{
	struct answer a = { .c = c };

	for (size_t i = 0; i < ex->n_frames; i++) {
		const struct frame *f = &ex->frames[i];
		if (span_starts(span_trim(f->data), SPAN("[DONE]"))) {
			a.done = true;
			continue;
		}
		struct span raw = read_frame(f, c);
		if (!raw.p)
			continue;
		read_object(&a, raw);
		if (a.begun && !c->first_token_ns)
			c->first_token_ns = f->ts_ns;
	}
	if (ex->n_frames) {
		if (a.done || c->error.type.p)
			read_stream_ended(ex, c);
		else
			read_incomplete(c, "stream ended early");
	} else {
		struct span raw = read_response(ex, c);
		if (json_type_of(raw) == JSON_OBJECT)
			read_object(&a, raw);
	}
	finish(&a);
}
