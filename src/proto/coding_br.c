/* Brotli, RFC 7932. */
#include "proto/coding.h"

#include "base/mem.h"

#include <brotli/decode.h>
#include <errno.h>
#include <stdlib.h>

#define OUT_LEN 32768

struct br {
	BrotliDecoderState *d;
};

static void *br_open(void)
{
	struct br *s = mem_alloc(sizeof(*s));

	s->d = BrotliDecoderCreateInstance(NULL, NULL, NULL);
	if (!s->d)
		abort();
	return s;
}

static int br_decode(void *state, const char *p, size_t len, coding_sink sink, void *ctx)
{
	struct br *s = state;
	const uint8_t *in = (const uint8_t *)p;
	BrotliDecoderResult r;
	uint8_t out[OUT_LEN];

	if (BrotliDecoderIsFinished(s->d))
		return 0; /* padding behind the end */
	do {
		uint8_t *to = out;
		size_t room = OUT_LEN;
		r = BrotliDecoderDecompressStream(s->d, &len, &in, &room, &to, NULL);
		if (to > out && !sink(ctx, (const char *)out, (size_t)(to - out)))
			return -ECANCELED;
	} while (r == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT);
	return r == BROTLI_DECODER_RESULT_ERROR ? -EBADMSG : 0;
}

static int br_end(void *state, coding_sink sink, void *ctx)
{
	struct br *s = state;

	(void)sink, (void)ctx;
	return BrotliDecoderIsFinished(s->d) ? 0 : -EBADMSG;
}

static void br_close(void *state)
{
	struct br *s = state;

	BrotliDecoderDestroyInstance(s->d);
	free(s);
}

const struct coding coding_br = {
	.names = { "br" },
	.open = br_open,
	.decode = br_decode,
	.end = br_end,
	.close = br_close,
};
