/* Memory that is given back all at once. One arena follows an exchange to its call and its steps. */
#ifndef CF_BASE_ARENA_H
#define CF_BASE_ARENA_H

#include "base/span.h"

struct arena_block;
struct arena {
	struct arena_block *head;
	size_t used; /* bytes handed out */
};

void arena_init(struct arena *a);
void arena_fini(struct arena *a);
void *arena_alloc(struct arena *a, size_t len); /* zeroed, 16-byte aligned */
struct span arena_copy(struct arena *a, struct span s); /* also NUL-terminated behind len */
struct span arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Grows an array of `size`-byte items by one and returns the new zeroed item; *items moves, *n grows. */
void *arena_push(struct arena *a, void *items, size_t *n, size_t size);

#endif
