#include "split.h"

#define REQ "POST /v1/chat?x=1 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\n\r\nhello"
#define OK2 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"

START_TEST(keep_alive)
{
	static const struct play ops[] = { OUT(REQ), IN(OK2),
					   OUT("GET /b HTTP/1.1\r\nhost:b\r\n\r\n"), IN(OK2) };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_complete, 2);
	ck_has(&t, "state decoded http/1.1 -\n"
		   "exchange 0 client 1.1 [POST][/v1/chat?x=1][api.test] status 200\n"
		   " request began 1 head 1 ended 1 wire 5 complete\n"
		   "  field [Host][api.test]\n"
		   "  field [Content-Length][5]\n"
		   "  body [hello]\n"
		   " response began 2 head 2 ended 2 wire 2 complete\n"
		   "  field [Content-Type][text/plain]\n"
		   "  field [Content-Length][2]\n"
		   "  body [ok]\n");
	ck_has(&t, "exchange 1 client 1.1 [GET][/b][b] status 200\n request began 3 head 3 ended 3 "
		   "wire 0 complete\n");
	transcript_fini(&t);
}
END_TEST

START_TEST(server_role)
{
	static const struct play ops[] = { IN(REQ), OUT(OK2) };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "exchange 0 server 1.1 [POST]");
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

START_TEST(pipelining)
{
	static const struct play ops[] = {
		OUT("GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
		IN("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA"
		   "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
		   "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_complete, 3);
	ck_has(&t, "[HEAD][/2][] status 200\n");
	ck_has(&t, "[GET][/3][] status 304\n");
	transcript_fini(&t);
}
END_TEST

START_TEST(chunked)
{
	static const struct play ops[] = {
		OUT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		    "chunked\r\n\r\n3;ext=\"x\"\r\nabc\r\n"),
		OUT("0A\r\n0123456789\r\n0\r\nX-Sum: 9\r\nX-More: a\r\n b\r\n\r\n"),
		IN("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1 \r\na\r\n"),
		IN("1\r\nb\r\n"),
		IN("0\r\n\r\n"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "request began 1 head 1 ended 2 wire 13 complete");
	ck_has(&t, "body [abc0123456789]");
	ck_has(&t, "trailer [X-Sum][9]\n  trailer [X-More][a b]\n");
	ck_has(&t, "response began 3 head 3 ended 5 wire 2 complete");
	ck_has(&t, "body [ab]");
	transcript_fini(&t);
}
END_TEST

START_TEST(expect_continue)
{
	static const struct play ops[] = {
		OUT("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
		    "4\r\n\r\n"),
		IN("HTTP/1.1 100 Continue\r\n\r\n"),
		OUT("body"),
		IN("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
		OUT("GET /next HTTP/1.0\r\n\r\n"),
		IN("HTTP/1.0 200 OK\r\n\r\nuntil the end"),
		EOF_IN,
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_complete, 2);
	ck_has(&t, "[POST][/][a] status 204\n");
	ck_has(&t, "response began 4 head 4 ended 4 wire 0 complete");
	ck_has(&t, "exchange 1 client 1.0 [GET][/next][] status 200\n");
	ck_has(&t, "body [until the end]");
	transcript_fini(&t);
}
END_TEST

START_TEST(close_delimited_without_end)
{
	static const struct play ops[] = { OUT("GET / HTTP/1.1\r\n\r\n"),
					   IN("HTTP/1.1 200 OK\r\n\r\npart") };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "status 200 cut: observer stopped\n");
	ck_has(&t, "body [part]");
	transcript_fini(&t);
}
END_TEST

START_TEST(early_response)
{
	static const struct play ops[] = {
		OUT("POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\nhalf"),
		IN("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!"),
		OUT("done"),
		OUT("GET /2 HTTP/1.1\r\n\r\n"),
		IN(OK2),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_complete, 2);
	ck_has(&t, "status 413\n");
	ck_has(&t, "body [halfdone]");
	ck_has(&t, "[GET][/2][] status 200");
	transcript_fini(&t);
}
END_TEST

START_TEST(cut_in_the_middle)
{
	static const struct play ops[] = {
		OUT(REQ),
		IN("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour"),
		EOF_IN,
		OUT("GET /x HTTP/1.1\r\n\r\n"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_exchanges, 2);
	ck_assert_uint_eq(t.n_complete, 0);
	ck_has(&t, "status 200 cut: connection closed\n");
	ck_has(&t, "response began 2 head 2 ended 2 wire 4\n");
	ck_has(&t, "body [four]");
	ck_has(&t, "[GET][/x][] status 0 cut: observer stopped");
	transcript_fini(&t);
}
END_TEST

START_TEST(odd_but_fine)
{
	static const struct play ops[] = {
		OUT("\r\n\nGET http://h.test:81/p?q HTTP/1.1\nHost: other\nX-Fold: a\n\t b\nno "
		    "colon here\nEmpty:\n\n"),
		IN("HTTP/1.1 200\nContent-Length: 2, 2\nContent-Length: 2\n\nhi"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_complete, 1);
	ck_has(&t, "[GET][http://h.test:81/p?q][h.test:81] status 200\n");
	ck_has(&t, "field [X-Fold][a b]\n  field [Empty][]\n");
	transcript_fini(&t);
}
END_TEST

START_TEST(connect_tunnel)
{
	static const struct play ops[] = {
		OUT("CONNECT m.test:443 HTTP/1.1\r\nHost: m.test:443\r\n\r\n"),
		IN("HTTP/1.1 200 Established\r\n\r\n\x16\x03"),
		OUT("\x16\x03\x01"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "[CONNECT][m.test:443][m.test:443] status 200 upgraded\n");
	ck_has(&t, "state tunnel http/1.1 upgraded\n");
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

START_TEST(upgrade_refused)
{
	static const struct play ops[] = {
		OUT("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /2 "
		    "HTTP/1.1\r\n\r\n"),
		IN(OK2 OK2),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_complete, 2);
	ck_has(&t, "[GET][/2][] status 200\n");
	transcript_fini(&t);
}
END_TEST

START_TEST(gap_in_known_length)
{
	static const struct play ops[] = {
		OUT(REQ),
		IN("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"),
		GAP_IN(5),
		IN("hij"),
		OUT("GET /2 HTTP/1.1\r\n\r\n"),
		IN(OK2),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_exchanges, 2);
	ck_assert_uint_eq(t.n_complete, 1);
	ck_has(&t, "status 200 cut: gap\n");
	ck_has(&t, "wire 5 missing 5\n");
	ck_has(&t, "body [abhij]");
	ck_has(&t, "[GET][/2][] status 200\n");
	transcript_fini(&t);
}
END_TEST

START_TEST(gap_in_chunked)
{
	static const struct play ops[] = {
		OUT(REQ),
		IN("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
		GAP_IN(2),
		IN("e\r\n3\r\nf"),
		GAP_IN(20),
		IN("x\r\n0\r\n\r\n"),
		OUT("GET /2 HTTP/1.1\r\n\r\n"),
		IN(OK2),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_complete, 1);
	ck_has(&t, "[POST][/v1/chat?x=1][api.test] status 200 cut: gap\n");
	ck_has(&t, "[GET][/2][] status 200\n");
	transcript_fini(&t);
}
END_TEST

#define SSE \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

/* The chunks behind a hole are found again; one that ends unseen leaves the connection in order. */
START_TEST(gap_over_chunks)
{
	static const struct play ops[] = {
		OUT(REQ),
		IN(SSE "9\r\ndata: 1\n\n\r\n9\r\nda"),
		GAP_IN(25),
		IN(": 2\n\n\r\n9\r\ndata: 3\n\n\r\n"),
		IN("9\r\ndata: 4\n\n\r\n0\r\n\r\n"),
		OUT("GET /2 HTTP/1.1\r\n\r\n"),
		IN(SSE "9\r\ndata: 5\n\n\r\n9"),
		GAP_IN(3),
		IN("abc"),
		OUT("GET /3 HTTP/1.1\r\n\r\n"),
		IN(OK2),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "[POST][/v1/chat?x=1][api.test] status 200 cut: gap\n");
	ck_has(&t, "frame sse in ts 2 [1]\n  frame sse in after-gap ts 5 [4]\n");
	ck_has(&t, "[GET][/2][] status 200 cut: gap\n");
	ck_has(&t, "[GET][/3][] status 200\n");
	ck_assert_uint_eq(t.n_complete, 1);
	ck_assert_uint_eq(t.n_exchanges, 3);
	transcript_fini(&t);
}
END_TEST

START_TEST(joined_in_stream)
{
	static const struct play ops[] = {
		IN("ta: 1\n\n\r\n9\r\ndata: 2\n\n\r\n"),
		IN("9\r\ndata: 3\n\n\r\n0\r\n\r\n"),
		OUT("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"),
		IN(OK2),
	};
	struct transcript t = SPLIT_PLAY(&split_late, ops);

	ck_has(&t, "client 1.1 [][][] status 0 cut: joined in the middle\n");
	ck_has(&t, "frame sse in after-gap ts 1 [2]\n  frame sse in ts 2 [3]\n");
	ck_has(&t, "[GET][/2][a] status 200\n");
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

START_TEST(gap_in_head)
{
	static const struct play ops[] = {
		OUT("POST /1 HTTP/1.1\r\nHost: a\r\nCont"),
		GAP_OUT(100),
		OUT("rubbish HTTP/1.1 maybe\r\n"),
		IN(OK2),
		OUT("}GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"),
		IN("HTTP/1.1 20"),
		GAP_IN(50),
		OUT("GET /3 HTTP/1.1\r\nHost: b\r\n\r\n"),
		IN(OK2),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "[POST][/1][a] status 200 cut: gap\n");
	ck_has(&t, "[GET][/2][b] status 0 cut: gap\n");
	ck_has(&t, "[GET][/3][b] status 200\n");
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

START_TEST(joined_late)
{
	static const struct play ops[] = {
		IN("of an earlier answer HTTP/1.1 200 is not a start\r\n0\r\n\r\n"),
		IN("HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad"),
		OUT("GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"),
		IN(OK2),
	};
	struct transcript t = SPLIT_PLAY(&split_late, ops);

	ck_assert_uint_eq(t.n_exchanges, 2);
	ck_assert_uint_eq(t.n_complete, 1);
	ck_has(&t, "exchange 0 client 1.1 [][][] status 500 cut: request not seen\n");
	ck_has(&t, "[GET][/2][b] status 200\n");
	transcript_fini(&t);
}
END_TEST

START_TEST(joined_late_large)
{
	static char noise[300000];
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(i * 7919 >> 3);
	memcpy(noise + 200000, "GET /no HTTP/1.1\r\n:", 19);
	const struct play ops[] = { IN_SPAN(span_at(noise, sizeof(noise))), OUT(REQ), IN(OK2) };
	struct transcript t = SPLIT_PLAY(&split_late, ops);

	ck_assert_uint_eq(t.n_exchanges, 1);
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

static const struct {
	struct play op;
	const char *says;
} bad[] = {
	{ IN("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
	  "contradictory message length" },
	{ IN("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), "malformed chunk" },
	{ IN("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab"), "malformed chunk" },
	{ IN("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
	  "malformed chunk" },
	{ IN("garbage\r\n\r\n"), "malformed start line" },
	{ IN("GET / HTTP/1.1\r\n\r\n"), "a request where an answer was expected" },
};

START_TEST(malformed)
{
	const struct play ops[] = { OUT(REQ), bad[_i].op, OUT("ignored from here on") };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	char state[100];

	snprintf(state, sizeof(state), "state opaque http/1.1 %s\n", bad[_i].says);
	ck_has(&t, state);
	snprintf(state, sizeof(state), "cut: %s\n", bad[_i].says);
	ck_has(&t, state);
	ck_assert_uint_eq(t.n_exchanges, 1);
	transcript_fini(&t);
}
END_TEST

START_TEST(limits)
{
	static char head[LIMIT_HTTP_HEAD + 100];
	memset(head, 'a', sizeof(head));
	memcpy(head, "GET / HTTP/1.1\r\n", 16);
	struct play ops[] = { OUT_SPAN(span_at(head, sizeof(head))) };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);
	ck_has(&t, "state opaque http/1.1 head too long\n");
	transcript_fini(&t);

	for (size_t i = 16; i + 5 < sizeof(head); i += 5)
		memcpy(head + i, "a:b\r\n", 5);
	memcpy(head + 16 + 5 * 300, "\r\n", 2);
	ops[0].text.len = 16 + 5 * 300 + 2;
	t = SPLIT_PLAY(&split_conn, ops);
	ck_has(&t, "too many header fields");
	transcript_fini(&t);
}
END_TEST

START_TEST(opaque_at_once)
{
	static const struct play ops[] = { OUT("\x16\x03\x01\x02"), IN("HTTP/1.1 200 OK\r\n\r\n") };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_str_eq(buf_text(&t.text), "state opaque - TLS that is not read at its library\n");
	transcript_fini(&t);
}
END_TEST

/* Every k-th piece lost: nothing crashes, nothing that lost a byte calls itself complete. */
START_TEST(dropped_pieces)
{
	static const char out[] = REQ REQ REQ REQ REQ REQ;
	static const char in[] = OK2
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n" OK2
		"HTTP/1.1 204 No\r\n\r\n" OK2 OK2;
	size_t size = 1 + (size_t)_i % 23;

	for (size_t k = 2; k < 12; k++) {
		struct transcript t = { 0 };
		buf_init(&t.text, MIB);
		struct proto_conn *c = proto_conn_new(&split_conn, &split_events, &t);
		size_t n = 0, lost = 0;
		for (size_t at = 0; at < sizeof(out) - 1 || at < sizeof(in) - 1; at += size) {
			for (int dir = 0; dir < 2; dir++) {
				struct span s = dir == DIR_IN ? span_at(in, sizeof(in) - 1)
							      : span_at(out, sizeof(out) - 1);
				if (at >= s.len)
					continue;
				size_t len = s.len - at < size ? s.len - at : size;
				if (++n % k == 0) {
					proto_gap(c, dir, len, n);
					lost += len;
				} else {
					proto_feed(c, dir, s.p + at, len, n);
				}
			}
		}
		proto_conn_finish(c, n, "observer stopped");
		ck_assert_uint_gt(lost, 0);
		ck_assert_uint_lt(t.n_complete, 6);
		/* Bodies that are complete are the right ones. */
		ck_assert_uint_eq(transcript_has(&t, "wire 5 complete\n  body [hell]"), 0);
		transcript_fini(&t);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http1");
	TCase *tc = tcase_create("http1");
	SRunner *sr = srunner_create(s);

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, keep_alive);
	tcase_add_test(tc, server_role);
	tcase_add_test(tc, pipelining);
	tcase_add_test(tc, chunked);
	tcase_add_test(tc, expect_continue);
	tcase_add_test(tc, close_delimited_without_end);
	tcase_add_test(tc, early_response);
	tcase_add_test(tc, cut_in_the_middle);
	tcase_add_test(tc, odd_but_fine);
	tcase_add_test(tc, connect_tunnel);
	tcase_add_test(tc, upgrade_refused);
	tcase_add_test(tc, gap_in_known_length);
	tcase_add_test(tc, gap_in_chunked);
	tcase_add_test(tc, gap_over_chunks);
	tcase_add_test(tc, joined_in_stream);
	tcase_add_test(tc, gap_in_head);
	tcase_add_test(tc, joined_late);
	tcase_add_test(tc, joined_late_large);
	tcase_add_loop_test(tc, malformed, 0, sizeof(bad) / sizeof(*bad));
	tcase_add_test(tc, limits);
	tcase_add_test(tc, opaque_at_once);
	tcase_add_loop_test(tc, dropped_pieces, 0, 23);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
