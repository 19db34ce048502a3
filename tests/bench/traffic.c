/*
 * Model traffic over TLS at full speed, for captures and for the daemon's cost.
 *
 *   traffic serve                       prints its port; answers until its standard input ends
 *   traffic chat PORT N PIECES          N exchanges on one connection: a history of 6 kB asked, PIECES small events answered
 *   traffic large PORT N BYTES          N exchanges on one connection: BYTES asked and BYTES answered
 *
 * The last line that a client prints: bytes sent, bytes received.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (24 << 20)

static char *room, *other;

static void need(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static SSL *new_end(const SSL_METHOD *method, int fd)
{
	static SSL_CTX *ctx;
	int one = 1;

	if (!ctx) {
		ctx = SSL_CTX_new(method);
		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
		SSL_CTX_set_dh_auto(ctx, 1);
		need(SSL_CTX_set_cipher_list(ctx, "ADH-AES128-GCM-SHA256:@SECLEVEL=0") == 1,
		     "no anonymous cipher");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	SSL *s = SSL_new(ctx);
	SSL_set_fd(s, fd);
	return s;
}

static void send_all(SSL *s, const char *p, size_t n)
{
	need(SSL_write(s, p, (int)n) == (int)n, "SSL_write");
}

/* Text of `n` bytes as people write it, different for each `seed`. */
static size_t put_text(char *to, size_t n, unsigned int seed)
{
	static const char *const words[] = { "the",    "request", "returns", "a \\\"list\\\"",
					     "of",     "files,",  "then",    "reads\\n",
					     "each",   "in",	  "order",   "and",
					     "writes", "0x1f",	  "back.",   "für" };
	size_t len = 0;

	while (len + 16 < n) {
		seed = seed * 1103515245 + 12345;
		len += (size_t)sprintf(to + len, "%s ", words[seed >> 16 & 15]);
	}
	while (len < n)
		to[len++] = 'x';
	return len;
}

static void send_piece(SSL *s, const char *json, size_t n)
{
	char frame[1024];
	int len = snprintf(frame, sizeof(frame), "%zx\r\ndata: %.*s\n\n\r\n", n + 8, (int)n, json);

	send_all(s, frame, (size_t)len);
}

#define PIECE                                                                                     \
	"{\"id\":\"chatcmpl-B%06d\",\"object\":\"chat.completion.chunk\",\"created\":1768991400," \
	"\"model\":\"bench-model\","                                                              \
	"\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}],\"usage\":%s}"

static void answer_pieces(SSL *s, int id, int pieces)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: "
				   "text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
	char json[512], delta[100], text[40];

	send_all(s, head, sizeof(head) - 1);
	for (int i = 0; i < pieces; i++) {
		text[put_text(text, 8 + (size_t)(i % 20), (unsigned int)(id * 1000 + i))] = 0;
		snprintf(delta, sizeof(delta),
			 i ? "{\"content\":\"%s\"}" : "{\"role\":\"assistant\",\"content\":\"%s\"}",
			 text);
		send_piece(s, json,
			   (size_t)snprintf(json, sizeof(json), PIECE, id, delta, "null", "null"));
	}
	send_piece(s, json,
		   (size_t)snprintf(json, sizeof(json), PIECE, id, "{}", "\"stop\"",
				    "{\"prompt_tokens\":1200,\"completion_tokens\":400,\"total_"
				    "tokens\":1600}"));
	send_all(s, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", 24);
}

static void answer_large(SSL *s, int id, size_t bytes)
{
	size_t len = (size_t)sprintf(
		room,
		"{\"id\":\"chatcmpl-L%06d\",\"object\":\"chat.completion\",\"created\":1768991400,"
		"\"model\":\"bench-model\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\","
		"\"message\":"
		"{\"role\":\"assistant\",\"content\":\"",
		id);
	char head[200];

	len += put_text(room + len, bytes, (unsigned int)id);
	len += (size_t)sprintf(room + len, "\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_"
					   "tokens\":7,\"total_tokens\":16}}");
	send_all(s, head,
		 (size_t)sprintf(head,
				 "HTTP/1.1 200 OK\r\nContent-Type: "
				 "application/json\r\nContent-Length: %zu\r\n\r\n",
				 len));
	send_all(s, room, len);
}

/* One message into `into`, by its Content-Length or up to `end`; its size, 0 when the peer is gone. */
static size_t receive(SSL *s, char *into, const char *end)
{
	size_t len = 0, want = 0;
	const char *body = NULL;

	for (;;) {
		int n = SSL_read(s, into + len, (int)(ROOM - 1 - len));
		if (n <= 0)
			return 0;
		len += (size_t)n;
		into[len] = 0;
		const char *field = body || !(body = strstr(into, "\r\n\r\n"))
					    ? NULL
					    : strstr(into, "Content-Length: ");
		if (field && field < body)
			want = (size_t)(body + 4 - into) + strtoul(field + 16, NULL, 10);
		if (want ? len >= want : end && len > 8 && !memcmp(into + len - 5, end, 5))
			return len;
	}
}

static void serve_one(int fd)
{
	SSL *s = new_end(TLS_server_method(), fd);
	int id = 0;

	need(SSL_accept(s) == 1, "SSL_accept");
	while (receive(s, other, NULL)) {
		const char *pieces = strstr(other, "X-Pieces: "),
			   *bytes = strstr(other, "X-Bytes: ");
		if (pieces)
			answer_pieces(s, id++, atoi(pieces + 10));
		else if (bytes)
			answer_large(s, id++, strtoul(bytes + 9, NULL, 10));
	}
	SSL_free(s);
	close(fd);
}

static int serve(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	need(bind(fd, (void *)&a, sizeof(a)) == 0 && listen(fd, 8) == 0 &&
		     getsockname(fd, (void *)&a, &n) == 0,
	     "listen");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	while (poll(p, 2, -1) > 0 && !p[1].revents)
		serve_one(accept(fd, NULL, NULL));
	return 0;
}

static size_t put_request(char *to, const char *field, long value, int id, size_t text,
			  int messages)
{
	char *body = to + 400;
	size_t len = (size_t)sprintf(body,
				     "{\"model\":\"bench-model\",\"stream\":%s,\"messages\":[{"
				     "\"role\":\"system\",\"content\":\"You are %d\"}",
				     *field == 'P' ? "true" : "false", id);

	for (int i = 0; i < messages; i++) {
		len += (size_t)sprintf(body + len, ",{\"role\":\"%s\",\"content\":\"",
				       i % 2 ? "assistant" : "user");
		len += put_text(body + len, text / (size_t)messages, (unsigned int)(id * 100 + i));
		len += (size_t)sprintf(body + len, "\"}");
	}
	len += (size_t)sprintf(body + len, "]}");
	int head = sprintf(to,
			   "POST /v1/chat/completions HTTP/1.1\r\nHost: bench.test\r\nX-%s: "
			   "%ld\r\nContent-Type: application/json\r\n"
			   "Content-Length: %zu\r\n\r\n",
			   field, value, len);
	memmove(to + head, body, len);
	return (size_t)head + len;
}

static int client(int port, int n, const char *field, long value, size_t text)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t sent = 0, received = 0;

	need(connect(fd, (void *)&a, sizeof(a)) == 0, "connect");
	SSL *s = new_end(TLS_client_method(), fd);
	need(SSL_connect(s) == 1, "SSL_connect");
	for (int i = 0; i < n; i++) {
		size_t len = put_request(room, field, value, i, text, 7);
		send_all(s, room, len);
		size_t back = receive(s, other, "0\r\n\r\n");
		need(back > 0, "no answer");
		sent += len;
		received += back;
	}
	SSL_shutdown(s);
	SSL_free(s);
	printf("%zu %zu\n", sent, received);
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	room = calloc(1, ROOM);
	other = calloc(1, ROOM);
	if (argc == 2 && !strcmp(argv[1], "serve"))
		return serve();
	need(argc == 5, "usage: see traffic.c");
	if (!strcmp(argv[1], "chat"))
		return client(atoi(argv[2]), atoi(argv[3]), "Pieces", atol(argv[4]), 6000);
	return client(atoi(argv[2]), atoi(argv[3]), "Bytes", atol(argv[4]),
		      strtoul(argv[4], NULL, 10));
}
