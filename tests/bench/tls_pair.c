/*
 * What a probed call costs its caller: a TLS connection with both ends in this process, over memory, so that nothing but
 * the library and the probes takes time. Driven by lines on its standard input; answers each with one line.
 *
 *   calls SIZE MS     SSL_write at one end and SSL_read at the other, SIZE bytes each, for MS of wall time
 *   reads MS          read() of one byte from /dev/zero: a system call that no probe is about
 *   sends SIZE MS     write() and read() of SIZE bytes over a socket pair
 *
 * The answer: number of calls, processor time, wall time (ns).
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 65536
#define BATCH 64 /* calls between two looks at the clock */

static char given[MOST], got[MOST];

static void need(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "tls_pair: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Without certificates: what is measured begins after the handshake. */
static SSL *new_end(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_dh_auto(ctx, 1);
	need(SSL_CTX_set_cipher_list(ctx, "ADH-AES128-GCM-SHA256:@SECLEVEL=0") == 1,
	     "no anonymous cipher");
	return SSL_new(ctx);
}

static SSL *near_end, *far_end;

static void open_pair(void)
{
	BIO *a, *b;

	near_end = new_end(TLS_client_method());
	far_end = new_end(TLS_server_method());
	need(BIO_new_bio_pair(&a, 4 * MOST, &b, 4 * MOST) == 1, "BIO pair");
	SSL_set_bio(near_end, a, a);
	SSL_set_bio(far_end, b, b);
	SSL_set_connect_state(near_end);
	SSL_set_accept_state(far_end);
	for (int i = 0;
	     i < 10 && !(SSL_is_init_finished(near_end) && SSL_is_init_finished(far_end)); i++) {
		SSL_do_handshake(near_end);
		SSL_do_handshake(far_end);
	}
	need(SSL_is_init_finished(near_end) && SSL_is_init_finished(far_end), "handshake");
}

static void one_tls(int fd[2], int size)
{
	(void)fd;
	need(SSL_write(near_end, given, size) == size, "SSL_write");
	for (int n = 0; n < size;) {
		int more = SSL_read(far_end, got + n, size - n);
		need(more > 0, "SSL_read");
		n += more;
	}
}

static void one_send(int fd[2], int size)
{
	need(write(fd[0], given, (size_t)size) == size, "write");
	need(read(fd[1], got, (size_t)size) == size, "read");
}

static void one_read(int fd[2], int size)
{
	need(read(fd[0], got, (size_t)size) == size, "read");
}

static void measure(void (*one)(int[2], int), int fd[2], int size, int per_turn, int ms)
{
	long long began = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), now,
		  n = 0;

	do {
		for (int i = 0; i < BATCH; i++)
			one(fd, size);
		n += (long long)BATCH * per_turn;
		now = clock_ns(CLOCK_MONOTONIC);
	} while (now - began < ms * 1000000ll);
	printf("%lld %lld %lld\n", n, clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu, now - began);
	fflush(stdout);
}

int main(void)
{
	int zero[2] = { open("/dev/zero", O_RDONLY), -1 }, pair[2], size, ms;
	char line[100];

	need(zero[0] >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "descriptors");
	memset(given, 'x', sizeof(given));
	open_pair();
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "calls %d %d", &size, &ms) == 2 && size > 0 && size <= MOST)
			measure(one_tls, zero, size, 2, ms);
		else if (sscanf(line, "sends %d %d", &size, &ms) == 2 && size > 0 && size <= MOST)
			measure(one_send, pair, size, 2, ms);
		else if (sscanf(line, "reads %d", &ms) == 1)
			measure(one_read, zero, 1, 1, ms);
		else
			printf("?\n");
	}
	return 0;
}
