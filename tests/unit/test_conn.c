/* Which protocol a connection speaks, and JSON-RPC on pipes. */
#include "split.h"

static const struct conn_info pipe_conn = { .id = 1, .source = SOURCE_PIPE, .pid = 42 };
static const struct conn_info socket_conn = { .id = 1, .source = SOURCE_SOCKET, .pid = 42 };

START_TEST(json_rpc)
{
	static const struct play ops[] = {
		OUT("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}\n{\"method\":\"x\","
		    "\"jsonrpc\":\"2.0\"}\n"),
		IN("server listening on stdio\n{\"jsonrpc\":\"2.0\","),
		IN("\"id\":1,\"result\":{}}\r\n"),
		OUT("{\"jsonrpc\":\"2.0\",\"id\":2"),
		GAP_OUT(9),
		OUT("garbage}\n\n[{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"m\"}]\n"),
		IN("{\"log\":\"no message\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"last\"}"),
		EOF_IN,
	};
	struct transcript t = SPLIT_PLAY(&pipe_conn, ops);

	ck_assert_str_eq(buf_text(&t.text),
			 "state decoded json-rpc -\n"
			 "message of [-]  frame json-line out ts 1 "
			 "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}]\n"
			 "message of [-]  frame json-line out ts 1 "
			 "[{\"method\":\"x\",\"jsonrpc\":\"2.0\"}]\n"
			 "message of [-]  frame json-line in ts 3 "
			 "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}]\n"
			 "message of [-]  frame json-line out after-gap ts 6 "
			 "[[{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"m\"}]]\n"
			 "message of [-]  frame json-line in ts 7 "
			 "[{\"jsonrpc\":\"2.0\",\"method\":\"last\"}]\n");
	transcript_fini(&t);
}
END_TEST

START_TEST(other_bytes)
{
	static const struct play text[] = { OUT("hello there\n"),
					    IN("{\"jsonrpc\":\"2.0\",\"id\":1}\n") };
	struct transcript t = SPLIT_PLAY(&socket_conn, text);
	ck_assert_str_eq(buf_text(&t.text), "state opaque - not a protocol that is read\n");
	transcript_fini(&t);

	t = SPLIT_PLAY(&pipe_conn, text); /* output before the first message */
	ck_has(&t, "state decoded json-rpc -\nmessage of");
	transcript_fini(&t);

	static const struct play binary[] = { OUT("\0\0\0\0garbage"), IN("x") };
	t = SPLIT_PLAY(&split_conn, binary);
	ck_assert_str_eq(buf_text(&t.text), "state opaque - not a protocol that is read\n");
	transcript_fini(&t);
}
END_TEST

/* Nothing recognised in all the bytes that are looked at: it ends, and holds little until then. */
START_TEST(gives_up)
{
	struct conn_info late = split_late;
	static char noise[LIMIT_DETECT_TOTAL + 100];
	memset(noise, 'n', sizeof(noise));
	struct transcript t[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		buf_init(&t[i].text, MIB);
		struct proto_conn *c = proto_conn_new(&late, &split_events, &t[i]);
		size_t step = i ? 100000 : 777;
		for (size_t at = 0; at < sizeof(noise); at += step) {
			proto_feed(c, DIR_IN, noise + at,
				   sizeof(noise) - at < step ? sizeof(noise) - at : step, 1);
			ck_assert_uint_le(proto_conn_held(c), MIB);
		}
		proto_conn_finish(c, 1, "end");
		ck_assert_str_eq(buf_text(&t[i].text),
				 "state opaque - not a protocol that is read\n");
		transcript_fini(&t[i]);
	}
}
END_TEST

START_TEST(gap_before_anything)
{
	static const struct play ops[] = {
		GAP_OUT(100),
		GAP_IN(3),
		OUT(" of a body\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
		GAP_IN(5),
		IN("HTTP/1.1 204 No\r\n\r\n"),
	};
	struct transcript t = SPLIT_PLAY(&split_conn, ops);

	ck_has(&t, "[GET][/x][a] status 204\n");
	transcript_fini(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conn");
	TCase *tc = tcase_create("conn");
	SRunner *sr = srunner_create(s);

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, json_rpc);
	tcase_add_test(tc, other_bytes);
	tcase_add_test(tc, gives_up);
	tcase_add_test(tc, gap_before_anything);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
