#include "proto/coding.h"

#include "split.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

/* Compressors by name, for building bodies. */
static struct span zlib_pack(struct span s, int window_bits, bool flush_only)
{
	z_stream z = { 0 };
	size_t room = s.len + s.len / 1000 + 1000;
	char *out = malloc(room);

	deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (unsigned char *)s.p;
	z.avail_in = (uInt)s.len;
	z.next_out = (unsigned char *)out;
	z.avail_out = (uInt)room;
	deflate(&z, flush_only ? Z_SYNC_FLUSH : Z_FINISH);
	room -= z.avail_out;
	deflateEnd(&z);
	return span_at(out, room);
}

static struct span pack(const char *coding, struct span s)
{
	size_t room = s.len + s.len / 100 + 1000;
	char *out = malloc(room);

	if (!strcmp(coding, "br")) {
		BrotliEncoderCompress(5, 22, BROTLI_MODE_GENERIC, s.len, (const uint8_t *)s.p,
				      &room, (uint8_t *)out);
		return span_at(out, room);
	}
	if (!strcmp(coding, "zstd"))
		return span_at(out, ZSTD_compress(out, room, s.p, s.len, 3));
	free(out);
	return zlib_pack(s,
			 !strcmp(coding, "gzip")  ? 31
			 : !strcmp(coding, "raw") ? -15
						  : 15,
			 false);
}

static struct span join(struct span a, struct span b)
{
	char *p = malloc(a.len + b.len + 1);

	memcpy(p, a.p, a.len);
	memcpy(p + a.len, b.p, b.len);
	return span_at(p, a.len + b.len);
}

/* An answer with this body; of known length unless `to_end`. */
static struct span answer(const char *coding, const char *type, struct span body, bool to_end)
{
	char head[300];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Encoding: %s\r\n", type,
			 coding);

	if (!to_end)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n",
			      body.len);
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	return join(span_at(head, (size_t)n), body);
}

static struct transcript play_answer(struct span text)
{
	const struct play ops[] = { OUT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), IN_SPAN(text) };

	return SPLIT_PLAY(&split_conn, ops);
}

static struct span long_text(void)
{
	static char text[200000];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "etaoin shrdlu"[(i * i / 7 + i / 11) % 13];
	return span_at(text, sizeof(text));
}

static const struct {
	const char *named;
	const char *pack[3];
} good[] = {
	{ "gzip", { "gzip" } },		  { "x-gzip", { "gzip" } },
	{ "GZip", { "gzip" } },		  { "deflate", { "deflate" } },
	{ "deflate", { "raw" } },	  { "br", { "br" } },
	{ "zstd", { "zstd" } },		  { "identity", { NULL } },
	{ "gzip, br", { "gzip", "br" } }, { "zstd,identity , deflate", { "zstd", "deflate" } },
};

START_TEST(decodes)
{
	struct span text = long_text(), coded = text;
	char expect[100];

	for (const char *const *p = good[_i].pack; *p; p++)
		coded = pack(*p, coded);
	struct transcript t = play_answer(answer(good[_i].named, "text/plain", coded, false));
	ck_assert_uint_eq(t.n_complete, 1);
	snprintf(expect, sizeof(expect), "wire %zu complete\n", coded.len);
	ck_has(&t, expect);
	ck_has_not(&t, "undecoded");
	/* The same body plain gives the same line. */
	struct transcript plain = play_answer(answer("identity", "text/plain", text, false));
	struct span line = span_find(buf_span(&plain.text), SPAN("  body "));
	ck_assert_ptr_nonnull(line.p);
	ck_assert(span_ends(buf_span(&t.text), line));
	transcript_fini(&t);
	transcript_fini(&plain);
}
END_TEST

START_TEST(request_decodes)
{
	struct span body = pack("zstd", SPAN("{\"model\":\"m\"}"));
	char head[100];
	snprintf(head, sizeof(head),
		 "POST / HTTP/1.1\r\nContent-Encoding: zstd\r\nContent-Length: %zu\r\n\r\n",
		 body.len);
	const struct play ops[] = { OUT_SPAN(join(span_of(head), body)),
				    IN("HTTP/1.1 204 No\r\n\r\n") };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "body [{\"model\":\"m\"}]");
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

START_TEST(transfer_coding)
{
	struct span body = pack("gzip", SPAN("over and over"));
	char head[200];
	snprintf(head, sizeof(head),
		 "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n%zx\r\n", body.len);
	struct transcript t = play_answer(join(join(span_of(head), body), SPAN("\r\n0\r\n\r\n")));

	ck_has(&t, "body [over and over]");
	transcript_fini(&t);
}
END_TEST

START_TEST(members_and_padding)
{
	struct span two = join(pack("gzip", SPAN("one ")), pack("gzip", SPAN("two")));
	struct transcript t =
		play_answer(answer("gzip", "a/b", join(two, span_at("\0\0\0", 3)), false));

	ck_has(&t, "complete\n");
	ck_has(&t, "body [one two]");
	transcript_fini(&t);
	t = play_answer(answer("zstd", "a/b",
			       join(pack("zstd", SPAN("one ")), pack("zstd", SPAN("two"))), false));
	ck_has(&t, "body [one two]");
	transcript_fini(&t);
}
END_TEST

START_TEST(undecodable)
{
	struct transcript t = play_answer(answer("compress", "a/b", SPAN("as it is"), false));
	ck_has(&t, "complete undecoded: unknown content coding\n");
	ck_has(&t, "body [as it is]");
	transcript_fini(&t);

	t = play_answer(answer("gzip", "a/b", SPAN("not gzip"), false));
	ck_has(&t, "complete undecoded: malformed content coding\n");
	ck_has(&t, "body [not gzip]");
	transcript_fini(&t);

	struct span half = pack("gzip", SPAN("something longer than a few bytes"));
	half.len -= 12;
	t = play_answer(answer("gzip", "a/b", half, false));
	ck_has(&t, "undecoded: ends in the middle of the coded stream\n");
	transcript_fini(&t);

	half = pack("gzip", SPAN("something that was cut"));
	half.len -= 12; /* the body itself is cut: what can be decoded is kept */
	t = play_answer(answer("gzip", "a/b", half, true));
	ck_has(&t, "cut: observer stopped");
	ck_has(&t, "body [something that was ]");
	transcript_fini(&t);
}
END_TEST

START_TEST(gap_inside)
{
	struct span text = long_text();
	struct span coded = zlib_pack(text, 31, false);
	struct span all = answer("gzip", "a/b", coded, false);
	const struct play ops[] = {
		OUT("GET / HTTP/1.1\r\n\r\n"),
		IN_SPAN(span_at(all.p, all.len - 1000)),
		GAP_IN(100),
		IN_SPAN(span_at(all.p + all.len - 900, 900)),
		OUT("GET /2 HTTP/1.1\r\n\r\n"),
		IN("HTTP/1.1 204 No\r\n\r\n"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "missing 100\n");
	ck_has(&t, "cut: gap\n");
	ck_has(&t, "body <");
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

static struct span zeros(size_t len)
{
	return span_at(calloc(1, len), len);
}

START_TEST(limits)
{
	static const char *const codings[] = { "gzip", "br", "zstd" };

	for (size_t i = 0; i < 3; i++) {
		struct span big = zeros(LIMIT_BODY + 5 * MIB);
		struct span coded = pack(codings[i], big);
		struct span all = answer(codings[i], "a/b", coded, false);
		const struct play ops[] = { OUT("GET / HTTP/1.1\r\n\r\n"), IN_SPAN(all) };
		struct transcript t = play(&split_conn, ops, 2, SIZE_MAX, "end");
		/* gzip cannot pass the ratio: it is cut at LIMIT_BODY; the others are stopped as bombs. */
		ck_has(&t, i ? "undecoded: expands beyond the limit\n" : "complete truncated\n");
		char expect[100];
		snprintf(expect, sizeof(expect), "body <%llu bytes", LIMIT_BODY);
		if (!i)
			ck_has(&t, expect);
		struct transcript pieces = play(&split_conn, ops, 2, 3000, "end");
		ck_assert(span_eq(buf_span(&t.text), buf_span(&pieces.text)));
		transcript_fini(&t);
		transcript_fini(&pieces);
		free((char *)big.p);
	}
}
END_TEST

/* Each flushed part becomes frames when its bytes arrive. */
START_TEST(streamed)
{
	z_stream z = { 0 };
	char out[3][500];
	size_t len[3];
	deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
	static const char *const part[] = { "data: one\n\ndata: tw", "o\n\n", "data: three\n\n" };
	for (int i = 0; i < 3; i++) {
		z.next_in = (unsigned char *)part[i];
		z.avail_in = (uInt)strlen(part[i]);
		z.next_out = (unsigned char *)out[i];
		z.avail_out = sizeof(out[i]);
		deflate(&z, i == 2 ? Z_FINISH : Z_SYNC_FLUSH);
		len[i] = sizeof(out[i]) - z.avail_out;
	}
	deflateEnd(&z);
	const struct play ops[] = {
		OUT("GET / HTTP/1.1\r\n\r\n"),
		IN_SPAN(answer("gzip", "text/event-stream; charset=utf-8", span_at(out[0], len[0]),
			       true)),
		IN_SPAN(span_at(out[1], len[1])),
		IN_SPAN(span_at(out[2], len[2])),
		EOF_IN,
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_has(&t,
	       "frame sse in ts 2 [one]\n  frame sse in ts 3 [two]\n  frame sse in ts 4 [three]\n");
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("coding");
	TCase *tc = tcase_create("coding");
	SRunner *sr = srunner_create(s);

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, decodes, 0, sizeof(good) / sizeof(*good));
	tcase_add_test(tc, request_decodes);
	tcase_add_test(tc, transfer_coding);
	tcase_add_test(tc, members_and_padding);
	tcase_add_test(tc, undecodable);
	tcase_add_test(tc, gap_inside);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, streamed);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
