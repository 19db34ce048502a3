/* Sixteen bytes at once; every machine we build for has such registers. For the loops that pass over whole bodies. */
#ifndef CF_BASE_LANES_H
#define CF_BASE_LANES_H

#include <stdint.h>
#include <string.h>

typedef unsigned char lanes __attribute__((vector_size(16)));
typedef uint64_t lanes_half __attribute__((vector_size(16)));

static inline lanes lanes_at(const char *p)
{
	lanes w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* `marks` is the result of comparisons: the place of the first byte that is marked, 16 for none. Little-endian. */
static inline unsigned int lanes_first(lanes marks)
{
	lanes_half h = (lanes_half)marks;

	if (h[0])
		return (unsigned int)__builtin_ctzll(h[0]) >> 3;
	return h[1] ? 8 + ((unsigned int)__builtin_ctzll(h[1]) >> 3) : 16;
}

#endif
