/* Streamed bodies cut into frames. A kind is one row in framer.c's table, chosen by content type. */
#ifndef CF_PROTO_FRAMER_H
#define CF_PROTO_FRAMER_H

#include "base/buf.h"
#include "base/span.h"
#include "proto/exchange.h"

struct framer;

/* Where a framer leaves what it found; spans are valid during the call only. */
struct framer_sink {
	void (*on_frame)(void *ctx, struct frame *f);
	/* Bytes of the body that are not part of any frame. */
	void (*on_rest)(void *ctx, struct span text);
	void *ctx;
};

struct framer_kind {
	const char *types[6]; /* content types without parameters, lower case */
	void *(*open)(const struct framer_sink *sink);
	void (*feed)(void *state, const char *p, size_t len);
	/* Bytes are missing here: what is half read is dropped, the next whole frame says after_gap. */
	void (*gap)(void *state);
	/* `complete`: the body ended as its framing says; else it was cut. */
	void (*end)(void *state, bool complete);
	size_t (*held)(const void *state);
	void (*close)(void *state);
};

extern const struct framer_kind framer_sse;
extern const struct framer_kind framer_jsonl;

/* NULL when bodies of this content type are not framed. */
struct framer *framer_open(struct span content_type, const struct framer_sink *sink);
void framer_feed(struct framer *f, const char *p, size_t len);
void framer_gap(struct framer *f);
void framer_end(struct framer *f, bool complete);
size_t framer_held(const struct framer *f);
void framer_close(struct framer *f);

#endif
