/*
 * An inflater that begins in the middle is first filled with placeholders of the smallest possible size. So every index
 * that a sender may use hits an entry, later insertions get their true places, and what is not known is seen as such.
 */
#include "proto/h2.h"

#include "base/mem.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

/* Larger than nearly all senders' tables (default 4096): a table that is too large does no harm, see above. */
#define LATE_TABLE 16384
/* What a sender may ask for; 64 KiB is the largest seen in the wild. */
#define TABLE_MAX 65536
/* Per entry, RFC 7541 4.1, with a name of one byte. */
#define PLACEHOLDER_SIZE 33
#define PLACEHOLDER_NAME '\x01'

struct hpack {
	nghttp2_hd_inflater *inflater;
};

static int inflate_block(struct hpack *h, struct span block, hpack_field take, void *ctx)
{
	const uint8_t *p = (const uint8_t *)block.p;
	size_t left = block.len;

	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, p, left, 1);
		if (n < 0)
			return -EBADMSG;
		p += n;
		left -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT && take) {
			bool unresolved = nv.namelen == 1 && nv.name[0] == PLACEHOLDER_NAME;
			take(ctx, unresolved ? SPAN("") : span_at(nv.name, nv.namelen),
			     span_at(nv.value, nv.valuelen), unresolved);
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && !left)
			break;
	}
	nghttp2_hd_inflate_end_headers(h->inflater);
	return 0;
}

static void fill(struct hpack *h)
{
	/* Size update to LATE_TABLE (RFC 7541 6.3), then literals with incremental indexing. */
	static const char entry[] = { 0x40, 1, PLACEHOLDER_NAME, 0 };
	const uint32_t rest = LATE_TABLE - 31;
	char update[] = { 0x3f, (char)(0x80 | (rest & 0x7f)), (char)(0x80 | (rest >> 7 & 0x7f)),
			  (char)(rest >> 14) };
	struct buf block;

	buf_init(&block, LATE_TABLE);
	buf_add(&block, update, sizeof(update));
	for (size_t i = 0; i < LATE_TABLE / PLACEHOLDER_SIZE; i++)
		buf_add(&block, entry, sizeof(entry));
	inflate_block(h, buf_span(&block), NULL, NULL);
	buf_fini(&block);
}

static void start(struct hpack *h, bool late)
{
	if (nghttp2_hd_inflate_new(&h->inflater))
		abort(); /* only for lack of memory */
	/* Its settings are the receiver's; every size that a sender names was allowed by them. */
	nghttp2_hd_inflate_change_table_size(h->inflater, TABLE_MAX);
	if (late)
		fill(h);
}

struct hpack *hpack_new(bool late)
{
	struct hpack *h = mem_alloc(sizeof(*h));

	start(h, late);
	return h;
}

void hpack_free(struct hpack *h)
{
	if (!h)
		return;
	nghttp2_hd_inflate_del(h->inflater);
	free(h);
}

void hpack_lose(struct hpack *h)
{
	nghttp2_hd_inflate_del(h->inflater);
	start(h, true);
}

int hpack_block(struct hpack *h, struct span block, hpack_field take, void *ctx)
{
	int err = inflate_block(h, block, take, ctx);

	if (err)
		hpack_lose(h);
	return err;
}
