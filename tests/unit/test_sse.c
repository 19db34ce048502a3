#include "split.h"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define GET OUT("GET / HTTP/1.1\r\nHost: a\r\n\r\n")

static const struct {
	const char *text;
	const char *says; /* frames and body */
} rows[] = {
	{ "data: a\n\n", "  frame sse in ts 2 [a]\n" },
	{ "data: a\r\n\r\ndata:b\r\rdata:  c\n\n",
	  "  frame sse in ts 2 [a]\n  frame sse in ts 2 [b]\n  frame sse in ts 2 [ c]\n" },
	{ "event: delta\nid: 7\nretry: 10\ndata: 1\ndata: 2\ndata\n\n",
	  "  frame sse in ts 2 name [delta] id [7] [1\\n2\\n]\n" },
	{ ": OPENROUTER PROCESSING\n\n:\n\ndata: x\n\n", "  frame sse in ts 2 [x]\n" },
	{ "event: ping\n\ndata: x\n\n", "  frame sse in ts 2 [x]\n" },
	{ "\xef\xbb\xbf"
	  "data: x\n\n",
	  "  frame sse in ts 2 [x]\n" },
	{ "data: [DONE]", "  frame sse in ts 2 [[DONE]]\n" },
	{ "data: last\n", "  frame sse in ts 2 [last]\n" },
	{ "data:\n\n", "  frame sse in ts 2 []\n" },
	{ "{\n  \"error\": {\"code\": 400}\n}\n",
	  "  body [{\\n  \"error\": {\"code\": 400}\\n}\\n]\n" },
	{ "{\"error\":1}", "  body [{\"error\":1}\\n]\n" },
};

START_TEST(rules)
{
	const struct play ops[] = {
		GET,
		{ PLAY_DATA, DIR_IN, { NULL, 0 }, 0 },
		EOF_IN,
	};
	struct play all[3];
	char text[600];
	memcpy(all, ops, sizeof(all));
	int n = snprintf(text, sizeof(text), "%s%s", HEAD, rows[_i].text);
	all[1].text = span_at(text, (size_t)n);
	struct transcript t = SPLIT_PLAY(&split_conn, all);

	struct span tail = span_find(buf_span(&t.text), SPAN("[text/event-stream]\n"));
	ck_assert_ptr_nonnull(tail.p);
	tail = span_at(tail.p + 20, tail.len - 20);
	ck_assert_msg(span_is(tail, rows[_i].says), "%.*s instead of %s", SPAN_FMT(tail),
		      rows[_i].says);
	ck_assert_uint_eq(t.n_complete, 1);
	transcript_fini(&t);
}
END_TEST

START_TEST(times)
{
	static const struct play ops[] = {
		GET,
		IN("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
		   "chunked\r\n\r\n"),
		IN("c\r\ndata: first\n\r\n1\r\n\n\r\n"),
		IN("8\r\ndata: 2\n\r\n"),
		IN("1\r\n\n\r\n"),
		IN("0\r\n\r\n"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "frame sse in ts 3 [first]\n  frame sse in ts 5 [2]\n");
	ck_has(&t, "response began 2 head 2 ended 6");
	transcript_fini(&t);
}
END_TEST

START_TEST(cut_and_gap)
{
	static const struct play ops[] = {
		GET,
		IN(HEAD "data: one\n\ndata: tw"),
		GAP_IN(10),
		IN("o\ndata: more\n\ndata: four\n\ndata: {\"half"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "missing 10\n");
	ck_has(&t, "frame sse in ts 2 [one]\n  frame sse in after-gap ts 4 [four]\n");
	ck_has(&t, "body [data: {\"half]");
	ck_has_not(&t, "more");
	ck_assert_uint_eq(t.n_complete, 0);
	transcript_fini(&t);
}
END_TEST

START_TEST(ndjson)
{
	static const struct play ops[] = {
		GET,
		IN("HTTP/1.1 200 OK\r\nContent-Type: "
		   "application/x-ndjson\r\n\r\n{\"a\":1}\r\n\n{\"b\""),
		IN(":2}\n{\"c\":"),
		GAP_IN(3),
		IN("3}\n{\"d\":4}"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "frame json-line in ts 2 [{\"a\":1}]\n"
		   "  frame json-line in ts 3 [{\"b\":2}]\n"
		   "  frame json-line in after-gap ts 5 [{\"d\":4}]\n");
	transcript_fini(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sse");
	TCase *tc = tcase_create("sse");
	SRunner *sr = srunner_create(s);

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, rules, 0, sizeof(rows) / sizeof(*rows));
	tcase_add_test(tc, times);
	tcase_add_test(tc, cut_and_gap);
	tcase_add_test(tc, ndjson);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
