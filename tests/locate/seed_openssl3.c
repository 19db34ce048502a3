/* The shape of OpenSSL 3's ssl_lib.c: errors carry the name of their function. */
#define API __attribute__((noinline))
#define HIDDEN __attribute__((noinline, visibility("hidden")))

#ifdef OLD
#define FLAGS_ARGUMENT
#define FLAGS
const char version[] = "OpenSSL 3.0.19 27 Jan 2026";
#else
#define FLAGS_ARGUMENT unsigned long flags,
#define FLAGS 0,
const char version[] = "OpenSSL 3.5.5 27 Jan 2026";
#endif
static const char read_name[] = "ssl_read_internal", write_name[] = "ssl_write_internal";
volatile int sink;
const char *volatile names;

HIDDEN int set_debug(const char *file, int line, const char *func)
{
	names = func;
	sink += *file + line;
	return -1;
}

HIDDEN int ssl_read_internal(int *ssl, char *buf, unsigned long num, unsigned long *count)
{
	if (!ssl[1])
		return set_debug("ssl/ssl_lib.c", 2100, read_name);
	if (ssl[2])
		return set_debug("ssl/ssl_lib.c", 2110, read_name) + 2;
	for (unsigned long i = 0; i < num; i++)
		buf[i] = (char)sink;
	*count = num;
	return 1;
}

HIDDEN int ssl_write_internal(int *ssl, const char *buf, unsigned long num,
			      FLAGS_ARGUMENT unsigned long *count)
{
	if (!ssl[1])
		return set_debug("ssl/ssl_lib.c", 2300, write_name);
	for (unsigned long i = 0; i < num; i++)
		sink += buf[i];
#ifndef OLD
	sink += (int)flags;
#endif
	*count = num;
	return 1;
}

API int SSL_read(int *ssl, char *buf, int num)
{
	unsigned long n;

	return ssl_read_internal(ssl, buf, (unsigned long)num, &n) > 0 ? (int)n : -1;
}

API int SSL_write(int *ssl, const char *buf, int num)
{
	unsigned long n;

	return ssl_write_internal(ssl, buf, (unsigned long)num, FLAGS & n) > 0 ? (int)n : -1;
}

int probe(int *ssl, char *buf, int num)
{
	names = version;
	return SSL_read(ssl, buf, num) + SSL_write(ssl, buf, num);
}

void _start(void)
{
	int ssl[8] = { sink, sink };
	char buf[8];

	probe(ssl, buf, sink);
	for (;;)
		;
}
