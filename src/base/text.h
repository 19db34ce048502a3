/* Text for people and for files: UTF-8 repair and terminal-safe escaping. */
#ifndef CF_BASE_TEXT_H
#define CF_BASE_TEXT_H

#include "base/buf.h"

/* Length of the valid UTF-8 sequence at p (1-4), or 0. */
size_t utf8_len(const char *p, size_t len);
bool utf8_valid(struct span s);
/* Escapes control characters, terminal escapes, bidi overrides, line separators and invalid UTF-8 as \xNN / \u{NNNN}. */
int text_put_safe(struct buf *b, struct span s);
/* The same, cut to `width` characters with "..." when longer. */
int text_put_safe_cut(struct buf *b, struct span s, size_t width);
/* 8.1k, 1.2M, 412 */
void text_count(uint64_t n, char out[16]);
/* 1.5 kB, 2.0 MB, 830 B (powers of 1000) */
void text_bytes(uint64_t n, char out[16]);
/* 3.4 s, 120 ms, 2m 04s */
void text_duration(uint64_t ns, char out[16]);

#endif
