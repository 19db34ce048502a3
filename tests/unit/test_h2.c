#include "split.h"

#include <nghttp2/nghttp2.h>

/* Frames are written by hand, header blocks by nghttp2's deflater. */
struct peer {
	struct buf out;
	nghttp2_hd_deflater *deflater;
};

static void peer_init(struct peer *p)
{
	buf_init(&p->out, 16 * MIB);
	nghttp2_hd_deflate_new(&p->deflater, 4096);
}

/* What was written since the last call; never freed. */
static struct span peer_take(struct peer *p)
{
	struct span s = buf_span(&p->out);

	buf_init(&p->out, 16 * MIB);
	return s;
}

static void frame(struct peer *p, int type, int flags, uint32_t stream, struct span payload)
{
	char head[] = { (char)(payload.len >> 16),
			(char)(payload.len >> 8),
			(char)payload.len,
			(char)type,
			(char)flags,
			(char)(stream >> 24),
			(char)(stream >> 16),
			(char)(stream >> 8),
			(char)stream };

	buf_add(&p->out, head, sizeof(head));
	buf_add_span(&p->out, payload);
}

/* "name: value\n" lines. */
static struct span block(struct peer *p, const char *lines)
{
	static char out[4096];
	nghttp2_nv nv[30];
	size_t n = 0;
	struct span rest = span_of(lines), line;

	while (span_split(&rest, '\n', &line)) {
		struct span value = span_find(line, SPAN(": "));
		if (!value.p)
			continue;
		nv[n++] = (nghttp2_nv){ (uint8_t *)line.p, (uint8_t *)value.p + 2,
					line.len - value.len, value.len - 2, NGHTTP2_NV_FLAG_NONE };
	}
	ssize_t len = nghttp2_hd_deflate_hd(p->deflater, (uint8_t *)out, sizeof(out), nv, n);
	ck_assert_int_ge(len, 0);
	return span_at(out, (size_t)len);
}

static void headers(struct peer *p, uint32_t stream, bool end, const char *lines)
{
	frame(p, 1, 4 | end, stream, block(p, lines));
}

static void data(struct peer *p, uint32_t stream, bool end, const char *text)
{
	frame(p, 0, end, stream, span_of(text));
}

static void preface(struct peer *p)
{
	buf_add_text(&p->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	frame(p, 4, 0, 0, SPAN("\0\3\0\0\0\144"));
}

#define POST                                                                                \
	":method: POST\n:scheme: https\n:path: /v1/messages\n:authority: api.test\nx-key: " \
	"secret-value\n"
#define OK ":status: 200\ncontent-type: application/json\nx-request-id: req-1\n"

START_TEST(interleaved)
{
	struct peer c, s;
	peer_init(&c);
	peer_init(&s);
	preface(&c);
	headers(&c, 1, false, POST);
	headers(&c, 3, true,
		":method: GET\n:scheme: https\n:path: /two\n:authority: api.test\nx-key: "
		"secret-value\n");
	data(&c, 1, false, "hel");
	struct span c1 = peer_take(&c);
	frame(&s, 4, 0, 0, SPAN(""));
	frame(&s, 4, 1, 0, SPAN(""));
	headers(&s, 3, false, OK);
	data(&s, 3, false, "{\"tw");
	headers(&s, 1, false, ":status: 100\n");
	struct span s1 = peer_take(&s);
	data(&c, 1, true, "lo");
	struct span c2 = peer_take(&c);
	headers(&s, 1, false, ":status: 200\ncontent-type: text/event-stream\n");
	data(&s, 1, false, "data: one\n\nda");
	data(&s, 3, true, "o\"}");
	struct span s2 = peer_take(&s);
	data(&s, 1, false, "ta: two\n\n");
	headers(&s, 1, true, "grpc-status: 0\n");
	struct span s3 = peer_take(&s);

	const struct play ops[] = { OUT_SPAN(c1), IN_SPAN(s1), OUT_SPAN(c2), IN_SPAN(s2),
				    IN_SPAN(s3) };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_assert_uint_eq(t.n_complete, 2);
	ck_has(&t, "state decoded h2 -\n"
		   "exchange 3 client 2 [GET][/two][api.test] status 200\n"
		   " request began 1 head 1 ended 1 wire 0 complete\n"
		   "  field [x-key][secret-value]\n"
		   " response began 2 head 2 ended 4 wire 7 complete\n"
		   "  field [content-type][application/json]\n"
		   "  field [x-request-id][req-1]\n"
		   "  body [{\"two\"}]\n"
		   "exchange 1 client 2 [POST][/v1/messages][api.test] status 200\n"
		   " request began 1 head 1 ended 3 wire 5 complete\n"
		   "  field [x-key][secret-value]\n"
		   "  body [hello]\n"
		   " response began 4 head 4 ended 5 wire 22 complete\n"
		   "  field [content-type][text/event-stream]\n"
		   "  trailer [grpc-status][0]\n"
		   "  frame sse in ts 4 [one]\n"
		   "  frame sse in ts 5 [two]\n");
	transcript_fini(&t);
}
END_TEST

START_TEST(padding_and_continuation)
{
	struct peer c, s;
	peer_init(&c);
	peer_init(&s);
	preface(&c);
	struct span b = block(&c, POST);
	char padded[300] = { 7, 0, 0, 0, 0, 16 }; /* pad length, priority fields */
	memcpy(padded + 6, b.p, 10);
	frame(&c, 1, 1 | 8 | 32, 1, span_at(padded, 6 + 10 + 7));
	frame(&c, 9, 0, 1, span_at(b.p + 10, 5));
	frame(&c, 9, 4, 1, span_at(b.p + 15, b.len - 15));
	headers(&s, 1, false, OK);
	frame(&s, 0, 8, 1, SPAN("\3abc\0\0\0"));
	frame(&s, 0, 8, 1, SPAN("\2\0\0"));
	frame(&s, 0, 8, 1, SPAN("\0"));
	frame(&s, 0x42, 0xff, 1, SPAN("unknown type"));
	frame(&s, 0, 9, 1, SPAN("\1d\0"));

	struct span c1 = peer_take(&c), s1 = peer_take(&s);
	const struct play ops[] = { OUT_SPAN(c1), IN_SPAN(s1) };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_assert_uint_eq(t.n_complete, 1);
	ck_has(&t, "[POST][/v1/messages][api.test] status 200\n");
	ck_has(&t, "wire 4 complete");
	ck_has(&t, "body [abcd]");
	transcript_fini(&t);
}
END_TEST

START_TEST(server_role)
{
	struct peer c, s;
	peer_init(&c);
	peer_init(&s);
	frame(&s, 4, 0, 0, SPAN("\0\3\0\0\0\144"));
	struct span s0 = peer_take(&s);
	preface(&c);
	headers(&c, 1, true, POST);
	headers(&s, 1, true, ":status: 204\n");
	struct span c1 = peer_take(&c), s1 = peer_take(&s);

	const struct play ops[] = { OUT_SPAN(s0), IN_SPAN(c1), OUT_SPAN(s1) };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_has(&t, "exchange 1 server 2 [POST][/v1/messages][api.test] status 204\n");
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

START_TEST(resets)
{
	struct peer c, s;
	peer_init(&c);
	peer_init(&s);
	preface(&c);
	for (uint32_t id = 1; id <= 9; id += 2)
		headers(&c, id, true, POST);
	struct span c1 = peer_take(&c);
	headers(&s, 1, false, OK);
	data(&s, 1, false, "par");
	struct span s1 = peer_take(&s);
	frame(&c, 3, 0, 1, SPAN("\0\0\0\10"));
	struct span c2 = peer_take(&c);
	data(&s, 1, true, "late bytes of a closed stream");
	frame(&s, 3, 0, 3, SPAN("\0\0\0\7"));
	frame(&s, 7, 0, 0, SPAN("\0\0\0\5\0\0\0\0bye"));
	headers(&s, 5, true, ":status: 429\nx-request-id: req-2\n");
	struct span s2 = peer_take(&s);

	const struct play ops[] = { OUT_SPAN(c1), IN_SPAN(s1), OUT_SPAN(c2), IN_SPAN(s2), EOF_IN };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_assert_uint_eq(t.n_exchanges, 5);
	ck_assert_uint_eq(t.n_complete, 1);
	ck_has(&t, "exchange 1 client 2 [POST][/v1/messages][api.test] status 200 cut: reset: "
		   "CANCEL\n");
	ck_has(&t, "body [par]");
	ck_has(&t, "exchange 3 client 2 [POST][/v1/messages][api.test] status 0 cut: reset: "
		   "REFUSED_STREAM\n");
	ck_has(&t, "exchange 7 client 2 [POST][/v1/messages][api.test] status 0 cut: refused: "
		   "GOAWAY\n");
	ck_has(&t, "exchange 5 client 2 [POST][/v1/messages][api.test] status 429\n");
	transcript_fini(&t);
}
END_TEST

/* The dynamic tables were filled before we came: old entries are unresolved, new ones are right. */
START_TEST(joined_late)
{
	struct peer c, s;
	peer_init(&c);
	peer_init(&s);
	preface(&c);
	headers(&c, 1, true, POST "user-agent: before\n");
	headers(&s, 1, false, OK);
	data(&s, 1, false, "unseen ");
	peer_take(&c);
	peer_take(&s);
	data(&s, 1, false, "seen");
	data(&s, 1, true, " end");
	struct span s1 = peer_take(&s);
	headers(&c, 3, false, POST "x-new: fresh\n");
	data(&c, 3, true, "{\"model\":\"m\"}");
	headers(&c, 5, true, POST "x-new: fresh\nuser-agent: before\n");
	struct span c1 = peer_take(&c);
	headers(&s, 3, false, OK "x-late: value\n");
	data(&s, 3, true, "ok");
	headers(&s, 5, true, ":status: 200\nx-late: value\n");
	struct span s2 = peer_take(&s);

	const struct play ops[] = { IN_SPAN(s1), OUT_SPAN(c1), IN_SPAN(s2) };
	struct transcript t = SPLIT_PLAY(&split_late, ops);
	ck_has(&t, "exchange 1 client 2 [][][] status 0 cut: joined in the middle\n");
	ck_has(&t, "body [seen end]\n");
	ck_has(&t, "exchange 3 client 2 [POST]");
	ck_has(&t, "  field (unresolved) [][]\n");
	ck_has(&t, "  field [x-new][fresh]\n");
	ck_has(&t, "  body [{\"model\":\"m\"}]\n");
	ck_has(&t, "  field [x-late][value]\n  body [ok]");
	ck_has(&t, "exchange 5 client 2 [POST]");
	/* The second use of both comes from the table. */
	struct span second = span_find(buf_span(&t.text), SPAN("exchange 5"));
	ck_assert_ptr_nonnull(span_find(second, SPAN("[x-new][fresh]")).p);
	ck_assert_ptr_nonnull(span_find(second, SPAN("[x-late][value]")).p);
	ck_has_not(&t, "before");
	ck_has_not(&t, "secret");
	ck_assert_uint_eq(t.n_exchanges, 3);
	ck_assert_uint_eq(t.n_complete, 2);
	transcript_fini(&t);
}
END_TEST

/* The middle of a streamed answer: events by what they look like. */
START_TEST(joined_in_stream)
{
	struct peer s;
	peer_init(&s);
	data(&s, 7, false, "event: delta\ndata: {\"i\":5}\n\n");
	struct span s1 = peer_take(&s);
	data(&s, 7, false, "event: delta\ndata: {\"i\":6}\n\n");
	data(&s, 7, true, "data: [DONE]\n\n");
	struct span s2 = peer_take(&s);
	const struct play ops[] = { IN_SPAN(s1), IN_SPAN(s2) };
	struct transcript t = SPLIT_PLAY(&split_late, ops);

	ck_has(&t, "exchange 7 client 2 [][][] status 0 cut: joined in the middle\n");
	ck_has(&t, "frame sse in after-gap ts 2 name [delta] [{\"i\":5}]\n"
		   "  frame sse in ts 2 name [delta] [{\"i\":6}]\n"
		   "  frame sse in ts 2 [[DONE]]\n");
	ck_has_not(&t, "body");
	transcript_fini(&t);
}
END_TEST

START_TEST(gap_in_data)
{
	struct peer c, s;
	peer_init(&c);
	peer_init(&s);
	preface(&c);
	headers(&c, 1, true, POST);
	struct span c1 = peer_take(&c);
	headers(&s, 1, false, OK);
	data(&s, 1, false, "0123456789");
	struct span s1 = peer_take(&s);
	s1.len -= 6;
	data(&s, 1, true, "end");
	struct span s2 = peer_take(&s);
	headers(&c, 3, true, POST);
	struct span c2 = peer_take(&c);
	headers(&s, 3, true, OK);
	struct span s3 = peer_take(&s);

	const struct play ops[] = {
		OUT_SPAN(c1), IN_SPAN(s1),  GAP_IN(4),	 IN("89"),
		IN_SPAN(s2),  OUT_SPAN(c2), IN_SPAN(s3),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_has(&t, "exchange 1 client 2 [POST][/v1/messages][api.test] status 200 cut: gap\n");
	ck_has(&t, "wire 9 missing 4\n");
	ck_has(&t, "body [012389end]");
	ck_assert_uint_eq(t.n_complete, 1);
	ck_has_not(&t, "unresolved");
	transcript_fini(&t);
}
END_TEST

START_TEST(gap_over_frames)
{
	struct peer c, s;
	peer_init(&c);
	peer_init(&s);
	preface(&c);
	headers(&c, 1, true, POST);
	struct span c1 = peer_take(&c);
	headers(&s, 1, false, OK);
	data(&s, 1, false, "first");
	struct span s1 = peer_take(&s);
	data(&s, 1, false, "lost");
	headers(&s, 3, false, OK "x-lost: 1\n");
	struct span lost = peer_take(&s);
	data(&s, 1, false, " last");
	data(&s, 1, true, "!");
	headers(&s, 5, true, OK "x-lost: 1\nx-after: 2\n");
	struct span s2 = peer_take(&s);
	headers(&c, 5, true, POST);
	struct span c2 = peer_take(&c);

	const struct play ops[] = { OUT_SPAN(c1), IN_SPAN(s1), GAP_IN(lost.len), OUT_SPAN(c2),
				    IN_SPAN(s2) };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_has(&t, "exchange 1 client 2 [POST][/v1/messages][api.test] status 200 cut: gap\n");
	ck_has(&t, "body [first last!]");
	ck_has(&t, "field (unresolved) [][]");
	ck_has(&t, "field [x-after][2]");
	transcript_fini(&t);
}
END_TEST

START_TEST(malformed)
{
	struct peer c;
	peer_init(&c);
	preface(&c);
	frame(&c, 1, 5, 1, SPAN("\xff\xff\xff\xff\xff\xff"));
	struct span c1 = peer_take(&c);
	const struct play ops[] = { OUT_SPAN(c1) };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_has(&t, "state opaque h2 malformed header block\n");
	transcript_fini(&t);

	preface(&c);
	frame(&c, 1, 0, 1, block(&c, POST));
	frame(&c, 0, 0, 1, SPAN("x"));
	c1 = peer_take(&c);
	const struct play ops2[] = { OUT_SPAN(c1) };
	t = SPLIT_PLAY(&split_conn, ops2);
	ck_has(&t, "state opaque h2 malformed frame\n");
	transcript_fini(&t);
}
END_TEST

/* Pieces lost anywhere: nothing crashes, and what is complete is what was sent. */
START_TEST(dropped_pieces)
{
	struct peer c, s;
	peer_init(&c);
	peer_init(&s);
	preface(&c);
	for (uint32_t id = 1; id < 40; id += 2) {
		headers(&c, id, false, POST);
		data(&c, id, true, "the whole request");
		headers(&s, id, false, OK);
		data(&s, id, false, "the whole ");
		data(&s, id, true, "response");
	}
	struct span text[2] = { peer_take(&s), peer_take(&c) };
	size_t size = 1 + (size_t)_i;

	for (size_t k = 2; k < 30; k += 3) {
		struct transcript t = { 0 };
		buf_init(&t.text, MIB);
		struct proto_conn *conn = proto_conn_new(&split_conn, &split_events, &t);
		size_t n = 0;
		for (size_t at = 0; at < text[0].len || at < text[1].len; at += size) {
			for (int dir = 1; dir >= 0; dir--) {
				if (at >= text[dir].len)
					continue;
				size_t len = text[dir].len - at < size ? text[dir].len - at : size;
				if (++n % k == 0)
					proto_gap(conn, dir, len, n);
				else
					proto_feed(conn, dir, text[dir].p + at, len, n);
			}
		}
		proto_conn_finish(conn, n, "observer stopped");
		struct span rest = buf_span(&t.text);
		while ((rest = span_find(rest, SPAN(" complete\n"))).p) {
			struct span body = span_find(rest, SPAN("  body "));
			rest = span_at(rest.p + 1, rest.len - 1);
			if (!body.p)
				continue;
			ck_assert_msg(span_starts(body, SPAN("  body [the whole re")), "%s",
				      buf_text(&t.text));
		}
		transcript_fini(&t);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("h2");
	TCase *tc = tcase_create("h2");
	SRunner *sr = srunner_create(s);

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, interleaved);
	tcase_add_test(tc, padding_and_continuation);
	tcase_add_test(tc, server_role);
	tcase_add_test(tc, resets);
	tcase_add_test(tc, joined_late);
	tcase_add_test(tc, joined_in_stream);
	tcase_add_test(tc, gap_in_data);
	tcase_add_test(tc, gap_over_frames);
	tcase_add_test(tc, malformed);
	tcase_add_loop_test(tc, dropped_pieces, 0, 40);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
