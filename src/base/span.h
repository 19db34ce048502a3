/* A borrowed run of bytes. Not NUL-terminated; {NULL, 0} is "absent". */
#ifndef CF_BASE_SPAN_H
#define CF_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p;
	size_t len;
};

#define SPAN(lit) ((struct span){ (lit), sizeof(lit) - 1 })
#define SPAN_NONE ((struct span){ NULL, 0 })
/* For printf("%.*s", SPAN_FMT(s)). */
#define SPAN_FMT(s) (int)(s).len, (s).p ? (s).p : ""

static inline struct span span_of(const char *text)
{
	return (struct span){ text, text ? strlen(text) : 0 };
}

static inline struct span span_at(const void *p, size_t len)
{
	return (struct span){ p, len };
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
	return span_eq(a, span_of(text));
}

/* ASCII only: header names, method names, hosts. */
bool span_ieq(struct span a, struct span b);
bool span_starts(struct span a, struct span prefix);
bool span_ends(struct span a, struct span suffix);
bool span_istarts(struct span a, struct span prefix);
/* Finds `needle`, or returns a span with p == NULL. The result runs from the match to the end of `hay`. */
struct span span_find(struct span hay, struct span needle);
struct span span_trim(struct span a);
/* Cuts the part before `sep` off *rest; the separator is dropped. false when *rest is used up. */
bool span_split(struct span *rest, char sep, struct span *out);
/* Whole decimal number without sign; false on anything else or overflow. */
bool span_u64(struct span a, uint64_t *out);

#endif
