#include "dialect/message.h"

#include "base/limits.h"
#include "base/map.h"

/* Beside the texts themselves: names, quotes and braces of a part. */
#define PART_OVERHEAD 256

struct span role_name(enum role role)
{
	static const char *const names[] = { "system", "user", "assistant", "tool" };

	return span_of(names[role]);
}

void draft_init(struct draft *d, struct call *c, enum role role)
{
	*d = (struct draft){ .call = c, .role = role };
}

static struct part *add_part(struct draft *d, enum part_kind kind, struct span raw)
{
	if (d->n_parts >= LIMIT_PARTS) {
		d->full = true;
		read_incomplete(d->call, "too many parts");
		return NULL;
	}
	struct part *p = arena_push(d->call->arena, &d->parts, &d->n_parts, sizeof(*p));
	p->kind = kind;
	p->raw = raw;
	return p;
}

void draft_text(struct draft *d, struct span raw)
{
	if (json_type_of(raw) == JSON_STRING && raw.len > 2)
		add_part(d, PART_TEXT, raw);
}

void draft_reasoning(struct draft *d, struct span raw)
{
	if (json_type_of(raw) == JSON_STRING && raw.len > 2)
		add_part(d, PART_REASONING, raw);
}

void draft_media(struct draft *d, const char *media, struct span object)
{
	struct part *p = add_part(d, PART_MEDIA, object);

	if (p)
		p->media = media;
}

void draft_other(struct draft *d, struct span raw)
{
	if (raw.p)
		add_part(d, PART_OTHER, raw);
}

struct tool_request *draft_request(struct draft *d)
{
	struct part *p = add_part(d, PART_REQUEST, SPAN_NONE);

	if (!p)
		return NULL;
	p->index = d->n_requests;
	return arena_push(d->call->arena, &d->requests, &d->n_requests, sizeof(*d->requests));
}

struct tool_result *draft_result(struct draft *d)
{
	struct part *p = add_part(d, PART_RESULT, SPAN_NONE);

	if (!p)
		return NULL;
	p->index = d->n_results;
	return arena_push(d->call->arena, &d->results, &d->n_results, sizeof(*d->results));
}

/* Pairs are near each other; a bound keeps hostile input linear. */
struct tool_request *draft_find(struct draft *d, struct span id)
{
	size_t stop = d->n_requests > 256 ? d->n_requests - 256 : 0;

	if (!id.len)
		return NULL;
	for (size_t i = d->n_requests; i-- > stop;)
		if (span_eq(d->requests[i].id, id))
			return &d->requests[i];
	return NULL;
}

/* A lone surrogate is no text and would keep readers from loading the file: it becomes U+FFFD, in place. */
static void mend_surrogates(char *p, size_t len)
{
	char *end = p + len, *hit;

	while ((hit = memmem(p, (size_t)(end - p), "\\u", 2)) != NULL) {
		size_t slashes = 1;
		while (hit - slashes >= p && hit[-(ptrdiff_t)slashes] == '\\')
			slashes++;
		p = hit + 2;
		if (slashes % 2 == 0 || end - hit < 6 || (hit[2] | 0x20) != 'd' || hit[3] < '8')
			continue;
		bool high = hit[3] <= '9' || (hit[3] | 0x20) == 'a' || (hit[3] | 0x20) == 'b';
		bool pair = high && end - hit >= 12 && hit[6] == '\\' && hit[7] == 'u' &&
			    (hit[8] | 0x20) == 'd' && (hit[9] | 0x20) >= 'c';
		if (!pair)
			memcpy(hit + 2, "fffd", 4);
		p = hit + (pair ? 12 : 6);
	}
}

static bool has_surrogates(struct span s)
{
	const char *p = s.p, *end = s.len ? s.p + s.len : s.p;

	while (p && end - p >= 6 && (p = memchr(p, '\\', (size_t)(end - p) - 5)) != NULL) {
		if (p[1] == 'u' && (p[2] | 0x20) == 'd')
			return true;
		p += 2;
	}
	return false;
}

/* The same raw JSON without lone surrogates. */
static struct span mended(struct call *c, struct span raw)
{
	if (!has_surrogates(raw))
		return raw;
	struct span copy = arena_copy(c->arena, raw);
	mend_surrogates((char *)copy.p, copy.len);
	return copy;
}

/* An object's members behind a fixed type; cache marks are the client's business and move from call to call. */
static void put_media(struct buf *b, const struct part *p)
{
	struct json_iter it = json_iter(p->raw);
	struct span key, value;

	buf_add_char(b, '{');
	json_put_member_text(b, "type", span_of(p->media));
	while (it.object && json_next(&it, &key, &value)) {
		if (json_is(key, "type") || json_is(key, "cache_control"))
			continue;
		json_put_comma(b);
		buf_add_span(b, key);
		buf_add_char(b, ':');
		buf_add_span(b, value);
	}
	buf_add_char(b, '}');
}

static void put_result(struct buf *b, struct span id, struct span content, bool is_error)
{
	buf_add_text(b, "{\"type\":\"tool_result\"");
	json_put_member_text(b, "id", id);
	json_put_member(b, "content", content.p ? content : SPAN("null"));
	if (is_error)
		json_put_member_bool(b, "is_error", true);
	buf_add_char(b, '}');
}

static void put_request(struct buf *b, const struct tool_request *r)
{
	buf_add_text(b, "{\"type\":\"tool_call\"");
	json_put_member_text(b, "id", r->id);
	json_put_member_text(b, "name", r->name.p ? r->name : SPAN(""));
	json_put_member(b, "arguments", r->arguments.p ? r->arguments : SPAN("{}"));
	if (r->server_side)
		json_put_member_bool(b, "server_side", true);
	buf_add_char(b, '}');
	if (r->server_side && r->result.p) {
		buf_add_char(b, ',');
		put_result(b, r->id, r->result, r->failed);
	}
}

static void put_part(struct buf *b, const struct draft *d, const struct part *p)
{
	json_put_comma(b);
	switch (p->kind) {
	case PART_TEXT:
	case PART_REASONING:
		buf_printf(b, "{\"type\":\"%s\",\"text\":",
			   p->kind == PART_TEXT ? "text" : "reasoning");
		buf_add_span(b, p->raw);
		buf_add_char(b, '}');
		break;
	case PART_REQUEST:
		put_request(b, &d->requests[p->index]);
		break;
	case PART_RESULT: {
		const struct tool_result *r = &d->results[p->index];
		put_result(b, r->id, r->result, r->is_error);
		break;
	}
	case PART_MEDIA:
		put_media(b, p);
		break;
	case PART_OTHER:
		buf_add_text(b, "{\"type\":\"other\",\"value\":");
		buf_add_span(b, p->raw);
		buf_add_char(b, '}');
		break;
	}
}

/* Room that the written parts can need at most. */
static size_t parts_room(const struct draft *d)
{
	size_t room = PART_OVERHEAD;

	for (size_t i = 0; i < d->n_parts; i++)
		room += d->parts[i].raw.len + PART_OVERHEAD;
	for (size_t i = 0; i < d->n_requests; i++) {
		const struct tool_request *r = &d->requests[i];
		room += 12 * r->id.len + 6 * r->name.len + r->arguments.len + r->result.len;
	}
	for (size_t i = 0; i < d->n_results; i++)
		room += 6 * d->results[i].id.len + d->results[i].result.len;
	return room;
}

static bool only_text(const struct draft *d)
{
	for (size_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].kind != PART_TEXT)
			return false;
	return true;
}

static void put_joined(struct buf *b, const struct draft *d)
{
	bool first = true;

	buf_add_char(b, '"');
	for (size_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		if (p->kind != PART_TEXT)
			continue;
		if (!first)
			buf_add_text(b, "\\n");
		first = false;
		buf_add(b, p->raw.p + 1, p->raw.len - 2);
	}
	buf_add_char(b, '"');
}

static void put_array(struct buf *b, const struct draft *d)
{
	buf_add_char(b, '[');
	for (size_t i = 0; i < d->n_parts; i++)
		put_part(b, d, &d->parts[i]);
	buf_add_char(b, ']');
}

/* The most frequent and the largest: copied once. */
static struct span render_text(struct call *c, struct span raw, struct span before,
			       struct span after, struct span *inner)
{
	size_t len = before.len + raw.len + after.len;
	char *out = arena_alloc(c->arena, len), *p = out;

	if (before.len)
		memcpy(p, before.p, before.len);
	p += before.len;
	memcpy(p, raw.p, raw.len);
	if (has_surrogates(raw))
		mend_surrogates(p, raw.len);
	if (after.len)
		memcpy(p + raw.len, after.p, after.len);
	if (inner)
		*inner = span_at(p, raw.len);
	return span_at(out, len);
}

/* The wrapped content in the arena; *inner is where the content itself lies. */
static struct span render(const struct draft *d, struct span before, struct span after,
			  struct span *inner)
{
	struct buf b;

	if (d->n_parts == 1 && d->parts[0].kind == PART_TEXT)
		return render_text(d->call, d->parts[0].raw, before, after, inner);
	buf_init(&b, parts_room(d) + before.len + after.len);
	buf_reserve(&b, b.max - PART_OVERHEAD * d->n_parts);
	buf_add_span(&b, before);
	if (only_text(d))
		put_joined(&b, d);
	else
		put_array(&b, d);
	size_t end = b.len;
	buf_add_span(&b, after);
	if (has_surrogates(buf_span(&b)))
		mend_surrogates(b.p, b.len);
	struct span out = arena_copy(d->call->arena, buf_span(&b));
	buf_fini(&b);
	if (inner)
		*inner = span_at(out.p + before.len, end - before.len);
	return out;
}

struct span draft_content(const struct draft *d)
{
	return render(d, SPAN_NONE, SPAN_NONE, NULL);
}

static struct span plain_text(const struct draft *d)
{
	const struct part *one = NULL;
	size_t n = 0;

	for (size_t i = 0; i < d->n_parts; i++) {
		if (d->parts[i].kind != PART_TEXT)
			continue;
		one = &d->parts[i];
		n++;
	}
	if (!n)
		return SPAN("");
	if (n == 1)
		return read_text(d->call, one->raw);
	struct buf b;
	buf_init(&b, parts_room(d));
	put_joined(&b, d);
	struct span raw = arena_copy(d->call->arena, buf_span(&b));
	buf_fini(&b);
	return read_text(d->call, raw);
}

static uint64_t hash_span(uint64_t h, struct span s)
{
	return hash_bytes(s.p ? s.p : "", s.len, h);
}

/* By value as far as white space goes. */
static uint64_t hash_json(uint64_t h, struct span raw)
{
	struct buf b;

	if (!raw.p)
		return hash_span(h, SPAN("-"));
	buf_init(&b, raw.len + 1);
	json_put_compact(&b, raw);
	h = hash_span(h, buf_span(&b));
	buf_fini(&b);
	return h;
}

static uint64_t hash_media(uint64_t h, const struct part *p)
{
	struct json_iter it = json_iter(p->raw);
	struct span key, value;

	while (it.object && json_next(&it, &key, &value))
		if (!json_is(key, "type") && !json_is(key, "cache_control"))
			h = hash_json(hash_span(h, key), value);
	return h;
}

static uint64_t hash_draft(const struct draft *d, struct span text)
{
	uint64_t h = hash_span(0x6366, role_name(d->role));

	h = hash_span(h, span_trim(text));
	for (size_t i = 0; i < d->n_requests; i++) {
		const struct tool_request *r = &d->requests[i];
		if (r->server_side)
			continue; /* clients may leave them out when they send the answer again */
		h = r->id.len ? hash_span(h + 1, r->id)
			      : hash_json(hash_span(h + 2, r->name), r->arguments);
	}
	for (size_t i = 0; i < d->n_results; i++) {
		const struct tool_result *r = &d->results[i];
		h = r->id.len ? hash_span(h + 3, r->id)
			      : hash_json(hash_span(h + 4, r->name), r->result);
	}
	for (size_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		if (p->kind == PART_MEDIA)
			h = hash_media(h + 5, p);
		else if (p->kind == PART_OTHER && d->role != ROLE_ASSISTANT)
			h = hash_json(h + 6, p->raw);
	}
	return h;
}

void draft_finish(struct draft *d, struct message *out)
{
	struct call *c = d->call;
	struct span head = arena_printf(c->arena,
					"{\"role\":\"%s\",\"content\":", role_name(d->role).p),
		    inner;

	for (size_t i = 0; i < d->n_requests; i++) {
		d->requests[i].arguments = mended(c, d->requests[i].arguments);
		d->requests[i].result = mended(c, d->requests[i].result);
	}
	for (size_t i = 0; i < d->n_results; i++)
		d->results[i].result = mended(c, d->results[i].result);
	*out = (struct message){ .role = d->role, .text = plain_text(d) };
	out->json = render(d, head, SPAN("}"), &inner);
	if (!only_text(d))
		out->parts = inner;
	out->requests = d->requests;
	out->n_requests = d->n_requests;
	out->results = d->results;
	out->n_results = d->n_results;
	out->has_user_content = d->role == ROLE_USER && (d->n_parts > d->n_results || !d->n_parts);
	out->hash = hash_draft(d, out->text);
}

struct message *call_add_message(struct call *c)
{
	if (c->n_messages >= LIMIT_MESSAGES) {
		read_incomplete(c, "too many messages");
		return NULL;
	}
	return arena_push(c->arena, &c->messages, &c->n_messages, sizeof(*c->messages));
}

void call_add_tool(struct call *c, struct span name)
{
	if (name.p && c->n_tools_offered < LIMIT_TOOLS_OFFERED)
		*(struct span *)arena_push(c->arena, &c->tools_offered, &c->n_tools_offered,
					   sizeof(name)) = name;
}

void call_set_answer(struct call *c, struct draft *d, struct span finish_reason)
{
	struct buf b;

	if (json_type_of(finish_reason) == JSON_STRING)
		c->finish_reason = read_text(c, finish_reason);
	draft_finish(d, &c->answer);
	if (!c->answer.parts.p) {
		c->output = draft_content(d);
		return;
	}
	buf_init(&b, c->answer.json.len + 6 * c->finish_reason.len + PART_OVERHEAD);
	buf_add(&b, c->answer.json.p, c->answer.json.len - 1);
	json_put_member_text(&b, "finish_reason", c->finish_reason);
	buf_add_char(&b, '}');
	c->output = arena_copy(c->arena, buf_span(&b));
	buf_fini(&b);
}

struct span tool_arguments(struct call *c, struct span raw)
{
	if (json_type_of(raw) != JSON_STRING)
		return raw.p ? raw : SPAN("{}");
	struct span text = span_trim(read_text(c, raw));
	if (!text.len)
		return SPAN("{}");
	return json_valid(text) ? text : raw;
}

void draft_function_calls(struct draft *d, struct span calls)
{
	struct json_iter it = json_iter(calls);
	struct span one, id, function, name, arguments;

	while (!it.object && json_next(&it, NULL, &one)) {
		struct tool_request *r = draft_request(d);
		if (!r)
			return;
		PICK(one, { "id", &id }, { "function", &function });
		PICK(function, { "name", &name }, { "arguments", &arguments });
		r->id = read_text(d->call, id);
		r->name = read_text(d->call, name);
		r->arguments = tool_arguments(d->call, arguments);
	}
}
