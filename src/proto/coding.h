/* Content codings (RFC 9110 8.4), undone while they stream. A coding is one row in coding.c's table. */
#ifndef CF_PROTO_CODING_H
#define CF_PROTO_CODING_H

#include "base/span.h"

/* Takes decoded bytes; false: no more is wanted. */
typedef bool (*coding_sink)(void *ctx, const char *p, size_t len);

struct coding {
	const char *names[3]; /* lower case */
	void *(*open)(void);
	/* 0, -EBADMSG for malformed input, -ECANCELED when the sink wants no more. */
	int (*decode)(void *state, const char *p, size_t len, coding_sink sink, void *ctx);
	/* The input ended. 0, or -EBADMSG when that is in the middle of the coded stream. */
	int (*end)(void *state, coding_sink sink, void *ctx);
	void (*close)(void *state);
};

extern const struct coding coding_gzip;
extern const struct coding coding_deflate;
extern const struct coding coding_br;
extern const struct coding coding_zstd;

/* A decoder for each coding of a Content-Encoding value, applied in reverse order. */
struct coding_chain;
/* NULL with *why NULL: nothing to undo. NULL with *why: a coding that we cannot undo. */
struct coding_chain *coding_open(struct span names, coding_sink sink, void *ctx, const char **why);
/* NULL, or why decoding cannot go on. */
const char *coding_feed(struct coding_chain *c, const char *p, size_t len);
const char *coding_end(struct coding_chain *c);
void coding_close(struct coding_chain *c);

#endif
