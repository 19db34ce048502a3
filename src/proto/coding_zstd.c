/* Zstandard, RFC 8878; RFC 9659 limits the window of the content coding to 8 MiB. */
#include "proto/coding.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#define OUT_LEN 32768
/* 128 MiB: encoders with long windows exist; memory is bounded by it. */
#define WINDOW_LOG_MAX 27

struct zst {
	ZSTD_DStream *d;
	size_t hint; /* 0: at the end of a frame */
};

static void *zst_open(void)
{
	struct zst *s = mem_alloc(sizeof(*s));

	s->d = ZSTD_createDStream();
	if (!s->d)
		abort();
	ZSTD_DCtx_setParameter(s->d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	s->hint = 1;
	return s;
}

static int zst_decode(void *state, const char *p, size_t len, coding_sink sink, void *ctx)
{
	struct zst *s = state;
	char out[OUT_LEN];
	ZSTD_inBuffer in = { p, len, 0 };
	ZSTD_outBuffer to;

	do {
		to = (ZSTD_outBuffer){ out, OUT_LEN, 0 };
		size_t before = in.pos;
		size_t r = ZSTD_decompressStream(s->d, &to, &in);
		if (ZSTD_isError(r))
			return -EBADMSG;
		if (to.pos || in.pos > before)
			s->hint = r;
		if (to.pos && !sink(ctx, out, to.pos))
			return -ECANCELED;
	} while (in.pos < in.size || to.pos == to.size);
	return 0;
}

static int zst_end(void *state, coding_sink sink, void *ctx)
{
	struct zst *s = state;

	(void)sink, (void)ctx;
	return s->hint ? -EBADMSG : 0;
}

static void zst_close(void *state)
{
	struct zst *s = state;

	ZSTD_freeDStream(s->d);
	free(s);
}

const struct coding coding_zstd = {
	.names = { "zstd" },
	.open = zst_open,
	.decode = zst_decode,
	.end = zst_end,
	.close = zst_close,
};
