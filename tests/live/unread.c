/* unread PORT TEXT [HTTPS]: one chat completion over a TLS library that nobody hooks (Mbed TLS, in the executable). */
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(int holds, const char *what, int err)
{
	if (holds)
		return;
	fprintf(stderr, "unread: %s: -0x%x\n", what, (unsigned)-err);
	exit(1);
}

int main(int argc, char **argv)
{
	mbedtls_ctr_drbg_context random;
	mbedtls_entropy_context entropy;
	mbedtls_ssl_config config;
	mbedtls_ssl_context ssl;
	mbedtls_net_context net;
	char body[2048], all[4096], answer[65536];
	int n, got = 0, total = 0;

	if (argc < 3)
		return 2;
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	mbedtls_ssl_config_init(&config);
	mbedtls_ssl_init(&ssl);
	mbedtls_net_init(&net);
	n = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0);
	need(n == 0, "seed", n);
	n = mbedtls_net_connect(&net, "127.0.0.1", argv[1], MBEDTLS_NET_PROTO_TCP);
	need(n == 0, "connect", n);
	mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
	mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
	mbedtls_ssl_setup(&ssl, &config);
	mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
	n = mbedtls_ssl_handshake(&ssl);
	need(n == 0, "handshake", n);
	n = snprintf(body, sizeof(body), "{\"model\":\"live-model\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", argv[2]);
	n = snprintf(all, sizeof(all),
		     "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		     n, body);
	need(mbedtls_ssl_write(&ssl, (void *)all, (size_t)n) == n, "write", 0);
	while (!total || got < total) {
		n = mbedtls_ssl_read(&ssl, (void *)(answer + got), sizeof(answer) - 1 - (size_t)got);
		need(n > 0, "read", n);
		got += n;
		answer[got] = 0;
		char *end = strstr(answer, "\r\n\r\n"), *length = strstr(answer, "Content-Length: ");
		if (end && length)
			total = (int)(end + 4 - answer) + atoi(length + 16);
	}
	need(strstr(answer, argv[2]) != NULL, "answer", 0);
	mbedtls_ssl_close_notify(&ssl);
	mbedtls_net_free(&net);
	return 0;
}
