/*
 * Which conversation does a request continue? By the provider's ids, else by the longest common prefix of message
 * hashes with the latest request of each known conversation and the answer that the model gave to it.
 */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>

/* An assistant message shorter than this ("OK") proves nothing when found out of its place. */
#define TELLING_TEXT 24

struct seen seen_of(const struct message *m)
{
	return (struct seen){
		.hash = m->hash,
		.exact = hash_bytes(m->json.p, m->json.len, 1),
		.text_hash = hash_bytes(m->text.p, m->text.len, 2),
		.text_len = (uint32_t)m->text.len,
		.json_len = (uint32_t)m->json.len,
		.role = m->role,
	};
}

uint64_t system_hash_of(const struct call *c)
{
	uint64_t h = 0;

	for (size_t i = 0; i < c->n_messages && c->messages[i].role == ROLE_SYSTEM; i++)
		h = hash_mix(h ^ c->messages[i].hash) + 1;
	return h;
}

/* Prompts of text protocols: one message that is sent again with an observation at its end. */
bool message_grew(const struct seen *old, const struct message *m)
{
	if (old->role != m->role || old->text_len < TELLING_TEXT || m->text.len <= old->text_len)
		return false;
	struct span more = span_at(m->text.p + old->text_len, m->text.len - old->text_len);
	return span_find(more, SPAN("Observation:")).p && hash_bytes(m->text.p, old->text_len, 2) == old->text_hash;
}

static uint64_t id_hash(struct span id)
{
	return hash_bytes(id.p, id.len, 3);
}

/* How well `c` continues `v`; false: not from its beginning. */
static bool match_prefix(const struct conv *v, const struct call *c, struct conv_match *out)
{
	size_t i = 0, spoken = 0;

	while (i < v->n && i < c->n_messages && v->seen[i].hash == c->messages[i].hash)
		spoken += c->messages[i++].role != ROLE_SYSTEM;
	bool grew = i < v->n && i + 1 == v->n && i < c->n_messages && message_grew(&v->seen[i], &c->messages[i]);
	*out = (struct conv_match){ .conv = (struct conv *)v, .common = i };
	if (grew)
		return true;
	if (!spoken)
		return false;
	out->gone = v->n - i;
	if (!out->gone && i == c->n_messages) {
		out->same = true;
	} else if (!out->gone && v->has_answer && c->messages[i].role == ROLE_ASSISTANT) {
		out->answer = true;
		out->rewritten = c->messages[i].hash != v->answer.hash;
	}
	return true;
}

static bool telling(const struct message *m)
{
	return m->role == ROLE_ASSISTANT && (m->text.len >= TELLING_TEXT || m->n_requests);
}

/* An answer of the model that is still there when the beginning is not: the agent cut its history. */
static bool match_remains(const struct conv *v, const struct map *answers)
{
	if (v->has_answer && map_get(answers, v->answer.hash))
		return true;
	for (size_t k = v->n; k > 0; k--)
		if (v->seen[k - 1].role == ROLE_ASSISTANT && map_get(answers, v->seen[k - 1].hash))
			return true;
	return false;
}

static size_t count_gone(const struct conv *v, const struct call *c)
{
	struct map there;
	size_t gone = 0;

	map_init(&there);
	for (size_t i = 0; i < c->n_messages; i++)
		map_set(&there, c->messages[i].hash, &there);
	for (size_t k = 0; k < v->n; k++)
		gone += !map_get(&there, v->seen[k].hash);
	map_fini(&there);
	return gone;
}

static bool better(const struct conv_match *m, const struct conv_match *best)
{
	if (!best->conv)
		return true;
	size_t a = 4 * m->common + 2 * (m->answer && !m->rewritten) + m->answer;
	size_t b = 4 * best->common + 2 * (best->answer && !best->rewritten) + best->answer;
	if (a != b)
		return a > b;
	if (m->gone != best->gone)
		return m->gone < best->gone;
	return m->conv->used > best->conv->used;
}

static void find_prefix(struct tree *t, const struct call *c, struct conv_match *out)
{
	struct conv_match m;

	for (struct run *r = t->runs; r; r = r->next)
		for (struct conv *v = r->convs; v; v = v->next)
			if (match_prefix(v, c, &m) && better(&m, out))
				*out = m;
}

static void find_remains(struct tree *t, const struct call *c, struct conv_match *out)
{
	struct map answers;
	uint64_t used = 0;

	map_init(&answers);
	for (size_t i = 0; i < c->n_messages; i++)
		if (telling(&c->messages[i]))
			map_set(&answers, c->messages[i].hash, &answers);
	for (struct run *r = answers.n ? t->runs : NULL; r; r = r->next)
		for (struct conv *v = r->convs; v; v = v->next)
			if (v->used > used && match_remains(v, &answers)) {
				used = v->used;
				*out = (struct conv_match){ .conv = v, .compacted = true };
			}
	map_fini(&answers);
	if (out->conv)
		out->gone = count_gone(out->conv, c);
}

void conv_find(struct assembler *a, struct tree *t, const struct call *c, struct conv_match *out)
{
	*out = (struct conv_match){ 0 };
	if (c->previous_id.len) {
		out->conv = map_get(&a->responses, id_hash(c->previous_id));
		out->by_id = out->conv;
		if (out->by_id && !c->input_is_delta)
			match_prefix(out->conv, c, out);
		if (out->conv)
			return;
	}
	if (c->input_is_delta)
		return;
	find_prefix(t, c, out);
	if (!out->conv)
		find_remains(t, c, out);
}

static void forget_ids(struct assembler *a, struct conv *v)
{
	size_t n = v->n_ids < CONV_IDS ? v->n_ids : CONV_IDS;

	for (size_t i = 0; i < n; i++)
		if (map_get(&a->responses, v->ids[i]) == v)
			map_del(&a->responses, v->ids[i]);
}

void conv_free(struct conv *v)
{
	for (struct tool *t = v->run->tools; t; t = t->next)
		if (t->conv == v)
			t->conv = NULL;
	for (size_t i = 0; i < RUN_TEXTS; i++)
		if (v->run->texts[i].answer_of == v)
			v->run->texts[i].answer_of = NULL;
	forget_ids(v->run->a, v);
	free(v->seen);
	free(v);
}

static void evict(struct run *r)
{
	struct conv **oldest = &r->convs;

	for (struct conv **at = &r->convs; *at; at = &(*at)->next)
		if ((*at)->used < (*oldest)->used)
			oldest = at;
	struct conv *v = *oldest;
	*oldest = v->next;
	r->n_convs--;
	conv_free(v);
}

struct conv *conv_new(struct run *r, const struct call *c)
{
	if (r->n_convs >= RUN_CONVS)
		evict(r);
	struct conv *v = mem_alloc(sizeof(*v)), **end = &r->convs;
	while (*end)
		end = &(*end)->next;
	*end = v;
	r->n_convs++;
	v->run = r;
	v->number = r->next_conv++;
	v->system_hash = system_hash_of(c);
	return v;
}

static void add_id(struct assembler *a, struct conv *v, struct span id)
{
	if (!id.len)
		return;
	uint64_t h = id_hash(id);
	if (map_get(&a->responses, h) == v)
		return;
	uint64_t *slot = &v->ids[v->n_ids++ % CONV_IDS];
	if (v->n_ids > CONV_IDS && map_get(&a->responses, *slot) == v)
		map_del(&a->responses, *slot);
	*slot = h;
	map_set(&a->responses, h, v);
}

void conv_take(struct assembler *a, struct conv *v, const struct call *c)
{
	size_t n = c->n_messages < LIMIT_HISTORY ? c->n_messages : LIMIT_HISTORY;

	v->seen = mem_room(v->seen, &v->cap, n, sizeof(*v->seen));
	for (size_t i = 0; i < n; i++)
		v->seen[i] = seen_of(&c->messages[i]);
	v->n = n;
	v->has_answer = c->answer.json.p;
	if (v->has_answer)
		v->answer = seen_of(&c->answer);
	v->last_began_ns = c->began_ns;
	v->last_ended_ns = c->ended_ns;
	v->used = ++a->tick;
	add_id(a, v, c->response_id);
	add_id(a, v, c->previous_id);
}
