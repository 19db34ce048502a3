/* A growable byte buffer that must be given a maximum. Running out of host memory ends the program (see mem.h). */
#ifndef CF_BASE_BUF_H
#define CF_BASE_BUF_H

#include "base/span.h"

struct buf {
	char *p;
	size_t len;
	size_t cap;
	size_t max;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* Keeps the memory for reuse. */
void buf_clear(struct buf *b);
/* 0, or -ENOSPC when the maximum would be passed: then nothing was added. */
int buf_add(struct buf *b, const void *p, size_t len);
int buf_add_char(struct buf *b, char c);
int buf_add_text(struct buf *b, const char *text);
int buf_add_span(struct buf *b, struct span s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for `len` more bytes at the end; NULL past the maximum. Commit with b->len += n. */
char *buf_reserve(struct buf *b, size_t len);
/* Drops `n` bytes from the front. */
void buf_shift(struct buf *b, size_t n);
/* NUL-terminates behind len (the NUL is not counted) and returns the text. */
const char *buf_text(struct buf *b);

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){ b->p, b->len };
}

#endif
