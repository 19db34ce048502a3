#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_LEN 8192
#define ALIGN 16

struct arena_block {
	struct arena_block *next;
	size_t len;
	size_t cap;
	_Alignas(ALIGN) char p[];
};

void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void arena_fini(struct arena *a)
{
	while (a->head) {
		struct arena_block *next = a->head->next;
		free(a->head);
		a->head = next;
	}
	a->used = 0;
}

static struct arena_block *new_block(size_t cap)
{
	struct arena_block *b = mem_grow(NULL, sizeof(*b) + cap);

	if (!b) /* only in the tracer library: see mem.h */
		return NULL;
	b->next = NULL;
	b->len = 0;
	b->cap = cap;
	return b;
}

/* A large item gets a block of its own behind the head, so that the head's free room stays in use. */
static void *alloc_large(struct arena *a, size_t len)
{
	struct arena_block *b = new_block(len);

	if (!b)
		return NULL;
	b->len = len;
	if (a->head) {
		b->next = a->head->next;
		a->head->next = b;
	} else {
		a->head = b;
	}
	return b->p;
}

static void *take(struct arena *a, size_t len)
{
	size_t need = (len + ALIGN - 1) & ~(size_t)(ALIGN - 1);

	a->used += need;
	if (need > BLOCK_LEN / 2)
		return alloc_large(a, need);
	if (!a->head || a->head->cap - a->head->len < need) {
		struct arena_block *b = new_block(BLOCK_LEN);
		if (!b)
			return NULL;
		b->next = a->head;
		a->head = b;
	}
	void *p = a->head->p + a->head->len;
	a->head->len += need;
	return p;
}

void *arena_alloc(struct arena *a, size_t len)
{
	void *p = take(a, len);

	return p ? memset(p, 0, len) : NULL;
}

struct span arena_copy(struct arena *a, struct span s)
{
	if (!s.p)
		return s;
	char *p = take(a, s.len + 1);
	if (!p)
		return SPAN_NONE;
	memcpy(p, s.p, s.len);
	p[s.len] = 0;
	return span_at(p, s.len);
}

struct span arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return SPAN_NONE;
	char *p = take(a, (size_t)n + 1);
	if (!p)
		return SPAN_NONE;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return span_at(p, (size_t)n);
}

/* The capacity is implied: powers of two from 8 on. */
void *arena_push(struct arena *a, void *items, size_t *n, size_t size)
{
	void *array = *(void **)items;
	size_t count = *n;

	if (count == 0 || (count >= 8 && (count & (count - 1)) == 0)) {
		size_t cap = count ? count * 2 : 8;
		void *bigger = take(a, cap * size);
		if (!bigger)
			return NULL;
		if (count)
			memcpy(bigger, array, count * size);
		array = bigger;
		*(void **)items = array;
	}
	*n = count + 1;
	return memset((char *)array + count * size, 0, size);
}
