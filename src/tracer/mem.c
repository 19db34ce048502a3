/* The library's own base/mem.h: what cannot be had is NULL, and base/ passes it on. */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *mem_alloc(size_t len)
{
	return calloc(1, len ? len : 1);
}

void *mem_grow(void *p, size_t len)
{
	return realloc(p, len ? len : 1);
}

char *mem_text(const char *text)
{
	return strdup(text);
}

void *mem_room(void *items, size_t *cap, size_t need, size_t size)
{
	size_t n = *cap ? *cap : 8;

	if (need <= *cap)
		return items;
	while (n < need)
		n *= 2;
	void *more = n > SIZE_MAX / size ? NULL : realloc(items, n * size);
	if (more)
		*cap = n;
	return more;
}

void mem_freep(void *pp)
{
	free(*(void **)pp);
}

void mem_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
