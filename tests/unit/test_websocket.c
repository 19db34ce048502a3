#include "split.h"

#include <zlib.h>

#define ASK(ext)                                                                        \
	OUT("GET /v1/responses HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: " \
	    "websocket\r\n" ext "\r\n")
#define YES_HEAD(ext)                                                                           \
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n" ext \
	"\r\n"

static const char mask[4] = { 0x12, 0x34, 0x56, 0x78 };

/* One frame; masked as clients do when `masked`. Never freed. */
static struct span frame(int first, bool masked, struct span payload)
{
	struct buf b;

	buf_init(&b, 16 * MIB);
	buf_add_char(&b, (char)first);
	if (payload.len < 126) {
		buf_add_char(&b, (char)(payload.len | (masked ? 0x80 : 0)));
	} else if (payload.len < 65536) {
		char len[] = { (char)(126 | (masked ? 0x80 : 0)), (char)(payload.len >> 8),
			       (char)payload.len };
		buf_add(&b, len, 3);
	} else {
		char len[9] = { (char)(127 | (masked ? 0x80 : 0)) };
		for (int i = 0; i < 8; i++)
			len[1 + i] = (char)(payload.len >> (56 - 8 * i));
		buf_add(&b, len, 9);
	}
	if (masked)
		buf_add(&b, mask, 4);
	for (size_t i = 0; i < payload.len; i++)
		buf_add_char(&b, (char)(payload.p[i] ^ (masked ? mask[i & 3] : 0)));
	return buf_span(&b);
}

static struct span join(struct span a, struct span b)
{
	char *p = malloc(a.len + b.len + 1);

	memcpy(p, a.p, a.len);
	memcpy(p + a.len, b.p, b.len);
	return span_at(p, a.len + b.len);
}

/* A message as permessage-deflate sends it; keeps its window in *z. */
static struct span deflated(z_stream *z, struct span text)
{
	size_t room = text.len + 1000;
	char *out = malloc(room);

	if (!z->state)
		deflateInit2(z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
	z->next_in = (unsigned char *)text.p;
	z->avail_in = (uInt)text.len;
	z->next_out = (unsigned char *)out;
	z->avail_out = (uInt)room;
	deflate(z, Z_SYNC_FLUSH);
	return span_at(out, room - z->avail_out - 4);
}

START_TEST(messages)
{
	static char big[70000];
	memset(big, 'x', sizeof(big));
	struct span in =
		join(span_of(YES_HEAD("")), frame(0x81, false, SPAN("{\"type\":\"hello\"}")));
	const struct play ops[] = {
		ASK(""),
		IN_SPAN(in),
		OUT_SPAN(frame(0x81, true, SPAN("{\"type\":\"response.create\"}"))),
		IN_SPAN(frame(0x01, false, SPAN("{\"a\""))),
		IN_SPAN(frame(0x89, false, SPAN("ping in between"))),
		OUT_SPAN(frame(0x8a, true, SPAN("ping in between"))),
		IN_SPAN(frame(0x00, false, SPAN(":"))),
		IN_SPAN(frame(0x80, false, SPAN("1}"))),
		OUT_SPAN(frame(0x82, true, span_at(big, 300))),
		IN_SPAN(frame(0x82, false, span_at(big, sizeof(big)))),
		IN_SPAN(frame(0x81, false, SPAN(""))),
		IN_SPAN(frame(0x88, false, SPAN("\3\350bye"))),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_assert_uint_eq(t.n_messages, 6);
	ck_assert_uint_eq(t.n_complete, 1);
	ck_has(&t, "[GET][/v1/responses][a] status 101 upgraded\n");
	ck_has(&t,
	       "state decoded websocket -\n"
	       "message of [/v1/responses]  frame text in ts 2 [{\"type\":\"hello\"}]\n"
	       "message of [/v1/responses]  frame text out ts 3 [{\"type\":\"response.create\"}]\n"
	       "message of [/v1/responses]  frame text in ts 8 [{\"a\":1}]\n"
	       "message of [/v1/responses]  frame binary out ts 9 [xxx");
	ck_has(&t, "frame binary in ts 10 <70000 bytes");
	ck_has(&t, "frame text in ts 11 []\n");
	transcript_fini(&t);
}
END_TEST

static const char *const extensions[] = {
	"Sec-WebSocket-Extensions: permessage-deflate\r\n",
	"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
	"client_no_context_takeover\r\n",
};

START_TEST(compressed)
{
	struct span text =
		SPAN("{\"type\":\"response.output_text.delta\",\"delta\":\"the same again\"}");
	z_stream in = { 0 }, out = { 0 };
	char head[400];
	snprintf(head, sizeof(head), "HTTP/1.1 101 Y\r\nUpgrade: websocket\r\n%s\r\n",
		 extensions[_i]);
	struct play ops[8] = { ASK("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
			       IN_SPAN(span_of(head)) };
	size_t n = 2;

	for (int i = 0; i < 3; i++) {
		struct span a = deflated(&in, text), b = deflated(&out, text);
		ops[n++] = (struct play){ PLAY_DATA, DIR_IN,
					  i == 1 ? join(frame(0x41, false, span_at(a.p, 3)),
							frame(0x80, false,
							      span_at(a.p + 3, a.len - 3)))
						 : frame(0xc1, false, a),
					  0 };
		ops[n++] = (struct play){ PLAY_DATA, DIR_OUT, frame(0xc1, true, b), 0 };
		if (_i) {
			deflateReset(&in);
			deflateReset(&out);
		} else if (i) {
			ck_assert_uint_lt(a.len, 20); /* the window is really used */
		}
	}
	struct transcript t = split_play(&split_conn, ops, n);
	char expect[200];
	for (int i = 0; i < 6; i++) {
		snprintf(expect, sizeof(expect), "frame text %s ts %d [%.*s]\n",
			 i % 2 ? "out" : "in", i + 3, SPAN_FMT(text));
		ck_has(&t, expect);
	}
	ck_assert_uint_eq(t.n_messages, 6);
	transcript_fini(&t);
}
END_TEST

START_TEST(gaps)
{
	struct span f = frame(0x81, false, SPAN("0123456789"));
	const struct play ops[] = {
		ASK(""),
		IN_SPAN(span_of(YES_HEAD(""))),
		IN_SPAN(span_at(f.p, 5)),
		GAP_IN(4),
		IN_SPAN(span_at(f.p + 9, 3)),
		IN_SPAN(frame(0x81, false, SPAN("next"))),
		IN_SPAN(frame(0x81, false, SPAN("last"))),
		GAP_IN(1),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "frame text in after-gap ts 6 [next]\nmessage of [/v1/responses]  frame text in "
		   "ts 7 [last]\n"
		   "state opaque websocket gap\n");
	ck_assert_uint_eq(t.n_messages, 2);
	transcript_fini(&t);
}
END_TEST

static const struct {
	struct play op;
} bad[] = {
	{ IN("\xc1\x01x") },	      /* compressed, not negotiated */
	{ IN("\x80\x01x") },	      /* continues nothing */
	{ IN("\x83\x01x") },	      /* reserved opcode */
	{ IN("\x09\x01x") },	      /* fragmented ping */
	{ IN("\x01\x01x\x81\x01x") }, /* a new message inside another */
	{ IN("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff") },
};

START_TEST(malformed)
{
	const struct play ops[] = { ASK(""), IN_SPAN(span_of(YES_HEAD(""))), bad[_i].op };
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "state opaque websocket malformed frame\n");
	ck_assert_uint_eq(t.n_messages, 0);
	transcript_fini(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("websocket");
	TCase *tc = tcase_create("websocket");
	SRunner *sr = srunner_create(s);

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, messages);
	tcase_add_loop_test(tc, compressed, 0, 2);
	tcase_add_test(tc, gaps);
	tcase_add_loop_test(tc, malformed, 0, sizeof(bad) / sizeof(*bad));
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
