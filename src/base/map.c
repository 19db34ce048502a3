#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>

/* Linear probing; a deleted slot is closed by moving later ones back, so there are no tombstones. */

uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint64_t load(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

uint64_t hash_bytes(const void *p, size_t len, uint64_t seed)
{
	const char *s = p;
	uint64_t h = seed ^ (len * 0x9e3779b97f4a7c15ull);
	uint64_t w = 0;

	/* Long texts in four lanes: one alone waits for its multiplications. */
	if (len >= 64) {
		uint64_t a = h, b = h + 1, c = h + 2, d = h + 3;
		for (; len >= 32; len -= 32, s += 32) {
			a = hash_mix(a ^ load(s)) + 0x9e3779b97f4a7c15ull;
			b = hash_mix(b ^ load(s + 8)) + 0x9e3779b97f4a7c15ull;
			c = hash_mix(c ^ load(s + 16)) + 0x9e3779b97f4a7c15ull;
			d = hash_mix(d ^ load(s + 24)) + 0x9e3779b97f4a7c15ull;
		}
		h = hash_mix(hash_mix(hash_mix(a ^ b) + c) ^ d);
	}
	for (; len >= 8; len -= 8, s += 8)
		h = hash_mix(h ^ load(s)) + 0x9e3779b97f4a7c15ull;
	if (len)
		memcpy(&w, s, len);
	return hash_mix(h ^ w);
}

static uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
}

uint64_t hash_sip(const uint64_t key[2], const void *p, size_t len)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
			  key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull };
	const char *s = p;
	uint64_t m, last = (uint64_t)len << 56;
	size_t left = len;

	for (; left >= 8; left -= 8, s += 8) {
		memcpy(&m, s, 8);
		sip_word(v, m);
	}
	m = 0;
	if (left)
		memcpy(&m, s, left);
	sip_word(v, m | last);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_fini(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}

static size_t slot_of(const struct map *m, uint64_t key)
{
	size_t i = hash_mix(key) & (m->cap - 1);

	while (m->slots[i].value && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return i;
}

void *map_get(const struct map *m, uint64_t key)
{
	return m->cap ? m->slots[slot_of(m, key)].value : NULL;
}

static void grow(struct map *m)
{
	struct map old = *m;

	m->cap = old.cap ? old.cap * 2 : 16;
	m->slots = mem_alloc(m->cap * sizeof(*m->slots));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].value)
			m->slots[slot_of(m, old.slots[i].key)] = old.slots[i];
	free(old.slots);
}

void map_set(struct map *m, uint64_t key, void *value)
{
	if (m->n * 4 >= m->cap * 3)
		grow(m);
	size_t i = slot_of(m, key);
	if (!m->slots[i].value)
		m->n++;
	m->slots[i] = (struct map_slot){ key, value };
}

void *map_del(struct map *m, uint64_t key)
{
	if (!m->cap)
		return NULL;
	size_t i = slot_of(m, key);
	void *value = m->slots[i].value;
	if (!value)
		return NULL;
	m->n--;
	size_t hole = i;
	for (;;) {
		i = (i + 1) & (m->cap - 1);
		if (!m->slots[i].value)
			break;
		size_t home = hash_mix(m->slots[i].key) & (m->cap - 1);
		if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole].value = NULL;
	return value;
}

bool map_next(const struct map *m, size_t *i, uint64_t *key, void **value)
{
	for (; *i < m->cap; (*i)++) {
		if (!m->slots[*i].value)
			continue;
		if (key)
			*key = m->slots[*i].key;
		*value = m->slots[*i].value;
		(*i)++;
		return true;
	}
	return false;
}

struct name_entry {
	struct name_entry *next;
	void *value;
	size_t len;
	char key[];
};

void names_init(struct names *m)
{
	*m = (struct names){ 0 };
}

void names_fini(struct names *m)
{
	void *value;

	for (size_t i = 0; map_next(&m->map, &i, NULL, &value);) {
		for (struct name_entry *e = value, *next; e; e = next) {
			next = e->next;
			free(e);
		}
	}
	map_fini(&m->map);
	m->n = 0;
}

static struct name_entry *find_name(const struct names *m, struct span key, uint64_t h)
{
	struct name_entry *e = map_get(&m->map, h);

	while (e && !span_eq(span_at(e->key, e->len), key))
		e = e->next;
	return e;
}

void *names_get(const struct names *m, struct span key)
{
	struct name_entry *e = find_name(m, key, hash_bytes(key.p, key.len, 0));

	return e ? e->value : NULL;
}

void names_set(struct names *m, struct span key, void *value)
{
	uint64_t h = hash_bytes(key.p, key.len, 0);
	struct name_entry *e = find_name(m, key, h);

	if (!e) {
		e = mem_alloc(sizeof(*e) + key.len + 1);
		e->len = key.len;
		if (key.len)
			memcpy(e->key, key.p, key.len);
		e->next = map_get(&m->map, h);
		map_set(&m->map, h, e);
		m->n++;
	}
	e->value = value;
}

void *names_del(struct names *m, struct span key)
{
	uint64_t h = hash_bytes(key.p, key.len, 0);
	struct name_entry *e = find_name(m, key, h);

	if (!e)
		return NULL;
	struct name_entry *head = map_get(&m->map, h);
	if (head == e) {
		if (e->next)
			map_set(&m->map, h, e->next);
		else
			map_del(&m->map, h);
	} else {
		while (head->next != e)
			head = head->next;
		head->next = e->next;
	}
	void *value = e->value;
	free(e);
	m->n--;
	return value;
}
