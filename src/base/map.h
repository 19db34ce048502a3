/* Hash maps with open addressing: u64 -> pointer, and bytes -> pointer. Values must not be NULL. */
#ifndef CF_BASE_MAP_H
#define CF_BASE_MAP_H

#include "base/span.h"

struct map_slot {
	uint64_t key;
	void *value;
};
struct map {
	struct map_slot *slots;
	size_t n;
	size_t cap;
};

void map_init(struct map *m);
void map_fini(struct map *m);
void *map_get(const struct map *m, uint64_t key);
void map_set(struct map *m, uint64_t key, void *value);
void *map_del(struct map *m, uint64_t key); /* the value that was there, or NULL */
/* Iterates: for (size_t i = 0; map_next(m, &i, &key, &value);). Deleting the current key is not allowed. */
bool map_next(const struct map *m, size_t *i, uint64_t *key, void **value);

/* Keys are copied. */
struct names {
	struct map map; /* hash -> chain of entries */
	size_t n;
};
void names_init(struct names *m);
void names_fini(struct names *m);
void *names_get(const struct names *m, struct span key);
void names_set(struct names *m, struct span key, void *value);
void *names_del(struct names *m, struct span key);

uint64_t hash_mix(uint64_t x);
uint64_t hash_bytes(const void *p, size_t len, uint64_t seed);
/* SipHash-2-4 (Aumasson, Bernstein 2012), keyed: for values that an outsider must not be able to predict. */
uint64_t hash_sip(const uint64_t key[2], const void *p, size_t len);

#endif
