/*
 * Any bytes as an exchange: never a crash, and what a call claims to be JSON is JSON.
 * Input: a byte for the path, a byte of flags, then request body, 0xff, response body or frames (a line each).
 */
#include "base/json.h"
#include "dialect/call.h"
#include "dialect/dump.h"
#include "dialect/mcp.h"
#include "dialect/socket.h"

#include <stdlib.h>

static const char *const paths[] = {
	"/v1/chat/completions",
	"/v1/responses",
	"/v1/messages",
	"/v1/embeddings",
	"/v1/completions",
	"/mcp",
	"/v1beta/models/gemini-x:generateContent",
	"/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
	"/v1internal:streamGenerateContent",
	"/api/chat",
	"/api/generate",
	"/api/embed",
	"/v2/chat",
	"/model/anthropic.x/converse",
	"/model/anthropic.x/converse-stream",
	"/model/anthropic.x/invoke-with-response-stream",
	"/v1/messages/count_tokens",
	"/v1beta/models/e:batchEmbedContents",
	"/v2/embed",
	"/v2/rerank",
	"",
};

enum { FLAG_FRAMES = 1, FLAG_CUT = 2, FLAG_ERROR = 4, FLAG_GAP = 8, FLAG_UNSEEN = 16 };

static void check(const struct call *c)
{
	struct buf b;
	struct span value;

	buf_init(&b, 1u << 30);
	if (call_dump(c, &b) || json_value(buf_span(&b), &value, NULL) || value.len != b.len)
		abort();
	for (size_t i = 0; i < c->answer.n_requests; i++)
		if (!json_valid(c->answer.requests[i].arguments))
			abort();
	buf_fini(&b);
}

static void on_call(void *ctx, const struct exchange *ex, const struct call *c)
{
	(void)ctx;
	(void)ex;
	check(c);
}

static void feed_pipe(struct frame *frames, size_t n)
{
	struct conn_info conn = { 0 };
	struct mcp_session *s = mcp_new(&conn, on_call, NULL);

	for (size_t i = 0; i < n; i++) {
		frames[i].dir = frames[i].data.len % 2 ? DIR_IN : DIR_OUT;
		mcp_feed(s, &frames[i]);
	}
	mcp_finish(s, 1, "end");
	mcp_free(s);

	struct exchange upgrade = {
		.client = true, .target = SPAN("/v1/responses"), .status = 101, .version = "1.1"
	};
	struct socket_session *w = socket_new(&conn, &upgrade, on_call, NULL);
	for (size_t i = 0; i < n; i++)
		socket_feed(w, &frames[i]);
	socket_finish(w, 1, "end");
	socket_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct exchange ex = {
		.client = true, .method = SPAN("POST"), .version = "1.1", .status = 200
	};
	struct frame *frames = NULL;
	size_t cap = 0;
	struct span rest, request, line;
	struct call c;

	if (len < 2)
		return 0;
	ex.target = span_of(paths[data[0] % (sizeof(paths) / sizeof(*paths))]);
	uint8_t flags = data[1];
	rest = span_at((const char *)data + 2, len - 2);
	arena_init(&ex.arena);
	if (!span_split(&rest, (char)0xff, &request))
		request = SPAN("");
	ex.request = (struct http_message){ .body = request, .began_ns = 1, .complete = true };
	ex.response = (struct http_message){ .began_ns = 2, .ended_ns = 3, .complete = true };
	if (flags & FLAG_CUT)
		ex.cut = "cut";
	if (flags & FLAG_ERROR)
		ex.status = 500;
	if (flags & FLAG_UNSEEN)
		ex.method = SPAN("");
	if (flags & FLAG_FRAMES) {
		while (span_split(&rest, '\n', &line)) {
			if (ex.n_frames == cap) {
				cap = cap ? cap * 2 : 16;
				frames = realloc(frames, cap * sizeof(*frames));
			}
			frames[ex.n_frames++] = (struct frame){ .kind = FRAME_SSE,
								.ts_ns = 3,
								.data = line,
								.after_gap = (flags & FLAG_GAP) &&
									     ex.n_frames == 2 };
		}
		ex.frames = frames;
	} else {
		ex.response.body = rest;
	}
	if (call_from_exchange(&ex, &c))
		check(&c);
	arena_fini(&ex.arena);
	feed_pipe(frames, ex.n_frames);
	free(frames);
	return 0;
}
