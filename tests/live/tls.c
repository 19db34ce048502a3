/*
 * Programs that talk TLS in the ways the tests need; linked against the system's libssl.
 *
 *   tls post PORT FILE [PLAN]      one request from FILE by one SSL_write, the answer by SSL_read; prints "sent N got N SHA"
 *   tls one PORT TEXT [PLAN]       one request with that text; prints nothing
 *   tls threads PORT N             N threads, each with a request CF_TEST_TEXT-i and CF_TEST_PLAN; prints the digests of the answers
 *   tls fault PORT TEXT            the second page of what SSL_write was given is gone, under userfaultfd, when it returns
 *   tls stuck PORT                 SSL_write of a buffer whose second page userfaultfd never brings: blocks for ever
 *   tls loop PORT STOP             request after request until the file STOP exists; prints how many, and their digest
 *   tls withpid PID CMD...         runs CMD as the process PID (clone3 with set_tid), passes its status on
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static void die(const char *what)
{
	fprintf(stderr, "tls: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void need(int holds, const char *what)
{
	if (!holds)
		die(what);
}

static int dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(fd >= 0 && connect(fd, (void *)&a, sizeof(a)) == 0, "connect");
	return fd;
}

static SSL *open_tls(int port)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, dial(port));
	need(SSL_connect(ssl) == 1, "SSL_connect");
	return ssl;
}

static size_t head(char *out, size_t room, size_t body, const char *plan)
{
	return (size_t)snprintf(out, room,
				"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
				"X-Plan: %s\r\nContent-Length: %zu\r\n\r\n", plan && *plan ? plan : "{}", body);
}

/* A whole answer with Content-Length; returns all bytes read, the body's digest in hex. */
static size_t answer(SSL *ssl, char *digest)
{
	size_t cap = 1 << 20, n = 0, total = 0;
	char *p = malloc(cap);

	while (!total || n < total) {
		if (cap - n < 65536)
			p = realloc(p, cap *= 2);
		int got = SSL_read(ssl, p + n, (int)(cap - n - 1));
		need(got > 0, "SSL_read");
		n += (size_t)got;
		p[n] = 0;
		char *end = total ? NULL : strstr(p, "\r\n\r\n"), *length = end ? strcasestr(p, "content-length:") : NULL;
		if (length)
			total = (size_t)(end + 4 - p) + strtoul(length + 15, NULL, 10);
	}
	unsigned char md[EVP_MAX_MD_SIZE];
	char *body = strstr(p, "\r\n\r\n") + 4;
	EVP_Digest(body, n - (size_t)(body - p), md, NULL, EVP_sha256(), NULL);
	for (int i = 0; digest && i < 32; i++)
		sprintf(digest + 2 * i, "%02x", md[i]);
	free(p);
	return n;
}

static char *request(const char *text, const char *plan, size_t *len)
{
	char *body = NULL, *all;
	int n = asprintf(&body, "{\"model\":\"live-model\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text);

	all = malloc((size_t)n + 1024);
	*len = head(all, 1024, (size_t)n, plan);
	memcpy(all + *len, body, (size_t)n);
	*len += (size_t)n;
	free(body);
	return all;
}

static int post(int port, const char *file, const char *plan)
{
	int fd = open(file, O_RDONLY);
	struct stat st;
	char digest[65];

	need(fd >= 0 && fstat(fd, &st) == 0, file);
	char *all = malloc((size_t)st.st_size + 1024);
	size_t n = head(all, 1024, (size_t)st.st_size, plan);
	need(read(fd, all + n, (size_t)st.st_size) == st.st_size, "read");
	n += (size_t)st.st_size;
	SSL *ssl = open_tls(port);
	need(SSL_write(ssl, all, (int)n) == (int)n, "SSL_write");
	size_t got = answer(ssl, digest);
	printf("sent %zu got %zu %s\n", n, got, digest);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	return 0;
}

static int one(int port, const char *text, const char *plan, char *digest)
{
	SSL *ssl = open_tls(port);
	size_t n;
	char *all = request(text, plan, &n);

	need(SSL_write(ssl, all, (int)n) == (int)n, "SSL_write");
	answer(ssl, digest);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	free(all);
	return 0;
}

static int g_port;
static void *one_thread(void *arg)
{
	char digest[65], text[64];

	snprintf(text, sizeof(text), "%s-%ld", getenv("CF_TEST_TEXT"), (long)(intptr_t)arg);
	one(g_port, text, getenv("CF_TEST_PLAN"), digest);
	return strdup(digest);
}

static int threads(int port, int n)
{
	pthread_t t[64];

	g_port = port;
	for (int i = 0; i < n; i++)
		need(pthread_create(&t[i], NULL, one_thread, (void *)(intptr_t)i) == 0, "pthread_create");
	for (int i = 0; i < n; i++) {
		void *digest;
		pthread_join(t[i], &digest);
		printf("%s\n", (char *)digest);
	}
	return 0;
}

static int uffd_over(void *at, size_t len)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)at, len }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	need(fd >= 0, "userfaultfd");
	need(ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &reg) == 0, "UFFDIO_REGISTER");
	return fd;
}

/* A BIO that sends what it is given, then takes the page away: before SSL_write returns. */
static char *g_page;
static int g_taken;
static int send_and_take(BIO *b, const char *p, size_t len, size_t *done)
{
	ssize_t n = write((int)(intptr_t)BIO_get_data(b), p, len);

	if (n <= 0)
		return 0;
	*done = (size_t)n;
	if (g_page && madvise(g_page, PAGE, MADV_DONTNEED) == 0)
		g_taken++;
	return 1;
}

static int receive(BIO *b, char *p, size_t len, size_t *done)
{
	ssize_t n = read((int)(intptr_t)BIO_get_data(b), p, len);

	*done = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static long control(BIO *b, int cmd, long a, void *p)
{
	(void)b, (void)a, (void)p;
	return cmd == BIO_CTRL_FLUSH;
}

static int fault(int port, const char *text)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "taking");
	char *room = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), digest[65];
	char *padded = malloc(3 * PAGE);
	SSL *ssl = SSL_new(ctx);
	size_t n;

	BIO_meth_set_write_ex(m, send_and_take);
	BIO_meth_set_read_ex(m, receive);
	BIO_meth_set_ctrl(m, control);
	BIO *b = BIO_new(m);
	BIO_set_data(b, (void *)(intptr_t)dial(port));
	BIO_set_init(b, 1);
	SSL_set_bio(ssl, b, b);
	need(SSL_connect(ssl) == 1, "SSL_connect");
	memset(padded, 'x', 2 * PAGE);
	strcpy(padded + 2 * PAGE, text);
	char *all = request(padded, NULL, &n);
	uffd_over(room + PAGE, PAGE);
	/* Filling it would block as well: the page is put there by moving another in its place before it is watched. */
	memcpy(room, all, PAGE);
	munmap(room + PAGE, PAGE);
	need(mmap(room + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED, "mmap");
	memcpy(room + PAGE, all + PAGE, n - PAGE);
	uffd_over(room + PAGE, PAGE);
	g_page = room + PAGE;
	need(SSL_write(ssl, room, (int)n) == (int)n, "SSL_write");
	g_page = NULL;
	answer(ssl, digest);
	printf("sent %zu taken %d %s\n", n, g_taken, digest);
	SSL_free(ssl);
	return 0;
}

static int stuck(int port)
{
	char *room = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SSL *ssl = open_tls(port);

	memset(room, 'x', PAGE);
	uffd_over(room + PAGE, PAGE);
	printf("stuck\n");
	fflush(stdout);
	SSL_write(ssl, room, 2 * PAGE);
	return 0;
}

static int loop(int port, const char *stop)
{
	EVP_MD_CTX *sum = EVP_MD_CTX_new();
	unsigned char md[EVP_MAX_MD_SIZE];
	char digest[65], text[64];
	long n = 0;

	EVP_DigestInit_ex(sum, EVP_sha256(), NULL);
	for (; access(stop, F_OK) != 0; n++) {
		snprintf(text, sizeof(text), "loop %ld", n);
		one(port, text, NULL, digest);
		EVP_DigestUpdate(sum, text, strlen(text));
	}
	EVP_DigestFinal_ex(sum, md, NULL);
	printf("%ld\n", n);
	return 7;
}

static int withpid(pid_t pid, char **argv)
{
	struct clone_args a = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1 };
	int status;
	long got = syscall(SYS_clone3, &a, sizeof(a));

	if (got == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	need(got == pid, "clone3 with set_tid");
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int number = argc > 2 ? atoi(argv[2]) : 0;

	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "post") && argc > 3)
		return post(number, argv[3], argc > 4 ? argv[4] : NULL);
	if (!strcmp(what, "one") && argc > 3)
		return one(number, argv[3], argc > 4 ? argv[4] : NULL, NULL);
	if (!strcmp(what, "threads") && argc > 3)
		return threads(number, atoi(argv[3]));
	if (!strcmp(what, "fault") && argc > 3)
		return fault(number, argv[3]);
	if (!strcmp(what, "stuck"))
		return stuck(number);
	if (!strcmp(what, "loop") && argc > 3)
		return loop(number, argv[3]);
	if (!strcmp(what, "withpid") && argc > 3)
		return withpid(number, argv + 3);
	fprintf(stderr, "tls: see the comment in tls.c\n");
	return 2;
}
