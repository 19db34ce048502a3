/*
 * Allocation that ends the program with a message when the host has no memory left: every size has a limit, so it
 * means a broken host. The tracer library lives in other people's processes: it links mem_alloc and mem_grow of its own,
 * which return NULL, and of this file's users only buf (-ENOSPC), arena (NULL) and what is built on those two alone.
 */
#ifndef CF_BASE_MEM_H
#define CF_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t len);          /* zeroed */
void *mem_grow(void *p, size_t len);  /* realloc */
char *mem_text(const char *text);     /* strdup */
/* Doubles *cap (in items of `size` bytes) until it holds `need`; returns the moved array. */
void *mem_room(void *items, size_t *cap, size_t need, size_t size);

#define CLEANUP(fn) __attribute__((cleanup(fn)))
void mem_freep(void *pp);
void mem_closep(int *fd);
#define AUTO_FREE CLEANUP(mem_freep)
#define AUTO_CLOSE CLEANUP(mem_closep)

#endif
