/* The shape of BoringSSL's ssl_lib.cc: what matters are reasons, lines and who calls whom. */
#define HIDDEN __attribute__((noinline, visibility("hidden")))

static const char file[] = "../../vendor/boringssl/ssl/ssl_lib.cc";
volatile int sink;

HIDDEN int put_error(int lib, int unused, int reason, const char *name, unsigned line)
{
	sink += lib + unused + reason + *name + (int)line;
	return -1;
}

HIDDEN int more(void *ssl)
{
	sink++;
	return ssl != 0;
}

HIDDEN int ssl_read_impl(int *ssl)
{
	if (!ssl[3])
		return put_error(16, 0, 0xe2, file, 951) + 3;
	while (!more(ssl))
		if (ssl[4])
			return put_error(16, 0, 0xd7, file, 984) + 5;
	return ssl[1];
}

HIDDEN int SSL_read(int *ssl, char *buf, int num)
{
	if (ssl[2])
		return put_error(16, 0, 0x42, file, 1043) + 1;
	if (ssl_read_impl(ssl) <= 0)
		return -7;
	for (int i = 0; i < num; i++)
		buf[i] = (char)sink;
	return num;
}

HIDDEN int SSL_write(int *ssl, const char *buf, int num)
{
	if (ssl[2])
		return put_error(16, 0, 0x42, file, 1064) + 1;
	if (!ssl[3])
		return put_error(16, 0, 0xe2, file, 1069) + 2;
	if (!more(ssl))
		return put_error(16, 0, 0xd7, file, 1084) + 4;
	if (num < 0)
		return put_error(16, 0, 0x6f, file, 1090) + 6;
	for (int i = 0; i < num; i++)
		sink += buf[i];
	return num;
}

HIDDEN int SSL_shutdown(int *ssl)
{
	return ssl[3] ? put_error(16, 0, 0xe2, file, 1131) - 1 : more(ssl) + 7;
}

int probe(int *ssl, char *buf, int num)
{
	return SSL_read(ssl, buf, num) + SSL_write(ssl, buf, num) + SSL_shutdown(ssl);
}

void _start(void)
{
	int ssl[8] = { sink, sink };
	char buf[8];

	probe(ssl, buf, sink);
	for (;;)
		;
}
