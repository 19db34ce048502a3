#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *or_die(void *p, size_t len)
{
	if (p)
		return p;
	fprintf(stderr, "cf-observe: out of memory (%zu bytes more were needed)\n", len);
	_exit(1);
}

void *mem_alloc(size_t len)
{
	return or_die(calloc(1, len ? len : 1), len);
}

void *mem_grow(void *p, size_t len)
{
	return or_die(realloc(p, len ? len : 1), len);
}

char *mem_text(const char *text)
{
	return or_die(strdup(text), strlen(text));
}

void *mem_room(void *items, size_t *cap, size_t need, size_t size)
{
	size_t n = *cap ? *cap : 8;

	if (need <= *cap)
		return items;
	while (n < need)
		n *= 2;
	if (n > SIZE_MAX / size)
		or_die(NULL, SIZE_MAX);
	items = mem_grow(items, n * size);
	*cap = n;
	return items;
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
