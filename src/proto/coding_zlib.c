/* gzip (RFC 1952, several members allowed) and deflate: RFC 9110 means zlib's format, some servers send it raw. */
#include "proto/coding.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define OUT_LEN 32768

struct inflater {
	z_stream z;
	bool gzip;
	bool open;	       /* inflateInit2 done */
	bool ended;	       /* past the end of a member */
	unsigned char head[2]; /* deflate: what tells zlib from raw */
	size_t n_head;
};

static void start(struct inflater *s, int window_bits)
{
	if (inflateInit2(&s->z, window_bits) != Z_OK)
		abort(); /* constant arguments: only for lack of memory */
	s->open = true;
}

static void *gzip_open(void)
{
	struct inflater *s = mem_alloc(sizeof(*s));

	s->gzip = true;
	start(s, 15 + 16);
	return s;
}

static void *deflate_open(void)
{
	return mem_alloc(sizeof(struct inflater));
}

/* What follows the end: another gzip member, or padding that everybody ignores. */
static bool next_member(struct inflater *s, const char *p)
{
	if (!s->gzip || (unsigned char)*p != 0x1f)
		return false;
	inflateReset(&s->z);
	s->ended = false;
	return true;
}

static int run(struct inflater *s, const char *p, size_t len, coding_sink sink, void *ctx)
{
	char out[OUT_LEN];

	while (len) {
		if (s->ended && !next_member(s, p))
			return 0;
		s->z.next_in = (unsigned char *)p;
		s->z.avail_in = (uInt)len;
		do {
			s->z.next_out = (unsigned char *)out;
			s->z.avail_out = OUT_LEN;
			int err = inflate(&s->z, Z_SYNC_FLUSH);
			size_t n = OUT_LEN - s->z.avail_out;
			if (n && !sink(ctx, out, n))
				return -ECANCELED;
			if (err == Z_STREAM_END)
				s->ended = true;
			else if (err != Z_OK && err != Z_BUF_ERROR)
				return -EBADMSG;
		} while (!s->ended && s->z.avail_out == 0);
		if (!s->ended && s->z.avail_in)
			return -EBADMSG;
		p += len - s->z.avail_in;
		len = s->z.avail_in;
	}
	return 0;
}

static int zlib_decode(void *state, const char *p, size_t len, coding_sink sink, void *ctx)
{
	struct inflater *s = state;

	if (s->open)
		return run(s, p, len, sink, ctx);
	while (len && s->n_head < 2) {
		s->head[s->n_head++] = (unsigned char)*p++;
		len--;
	}
	if (s->n_head < 2)
		return 0;
	/* RFC 1950 2.2: method 8, and the two bytes are a multiple of 31. */
	bool zlib = (s->head[0] & 15) == 8 && (s->head[0] * 256 + s->head[1]) % 31 == 0;
	start(s, zlib ? 15 : -15);
	int err = run(s, (const char *)s->head, 2, sink, ctx);
	return err ? err : run(s, p, len, sink, ctx);
}

static int zlib_end(void *state, coding_sink sink, void *ctx)
{
	struct inflater *s = state;

	(void)sink, (void)ctx;
	return s->ended ? 0 : -EBADMSG;
}

static void zlib_close(void *state)
{
	struct inflater *s = state;

	if (s->open)
		inflateEnd(&s->z);
	free(s);
}

const struct coding coding_gzip = {
	.names = { "gzip", "x-gzip" },
	.open = gzip_open,
	.decode = zlib_decode,
	.end = zlib_end,
	.close = zlib_close,
};

const struct coding coding_deflate = {
	.names = { "deflate" },
	.open = deflate_open,
	.decode = zlib_decode,
	.end = zlib_end,
	.close = zlib_close,
};
