#include "fuzz_conn.h"

/* The first byte chooses how the WebSocket was negotiated; the rest is operations on it. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static const char *const extensions[] = {
		"",
		"Sec-WebSocket-Extensions: permessage-deflate\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
	};
	static uint8_t text[1 << 20];
	struct conn_info info = { .id = 1, .source = SOURCE_TLS };
	char head[300];

	if (!len || len > sizeof(text) - 1000)
		return 0;
	size_t at = 0;
	for (int dir = 1; dir >= 0; dir--) {
		int n = snprintf(head, sizeof(head), "%s\r\nUpgrade: websocket\r\n%s\r\n",
				 dir ? "GET /ws HTTP/1.1" : "HTTP/1.1 101 Y", extensions[*p & 3]);
		text[at] = (uint8_t)dir;
		text[at + 1] = (uint8_t)n;
		text[at + 2] = (uint8_t)(n >> 8);
		memcpy(text + at + 3, head, (size_t)n);
		at += 3 + (size_t)n;
	}
	memcpy(text + at, p + 1, len - 1);
	return fuzz_conn(&info, text, at + len - 1);
}
