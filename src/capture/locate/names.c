#include "capture/locate.h"

static const char *const families[TLS_N_FAMILIES] = {
	[TLS_NONE] = "none",	 [TLS_OPENSSL] = "openssl", [TLS_BORINGSSL] = "boringssl",
	[TLS_GNUTLS] = "gnutls", [TLS_GO] = "go",	    [TLS_RUSTLS] = "rustls",
	[TLS_OTHER] = "other",
};

static const char *const funcs[FN_N] = {
	[FN_NONE] = "none",
	[FN_SSL_READ] = "SSL_read",
	[FN_SSL_WRITE] = "SSL_write",
	[FN_SSL_READ_EX] = "SSL_read_ex",
	[FN_SSL_WRITE_EX] = "SSL_write_ex",
	[FN_SSL_FREE] = "SSL_free",
	[FN_SSL_SET_FD] = "SSL_set_fd",
	[FN_SSL_SET_BIO] = "SSL_set_bio",
	[FN_GNUTLS_SEND] = "gnutls_record_send",
	[FN_GNUTLS_RECV] = "gnutls_record_recv",
	[FN_GNUTLS_DEINIT] = "gnutls_deinit",
	[FN_GNUTLS_SET_INT] = "gnutls_transport_set_int2",
	[FN_GO_READ] = "crypto/tls.(*Conn).Read",
	[FN_GO_WRITE] = "crypto/tls.(*Conn).Write",
	[FN_GO_CLOSE] = "crypto/tls.(*Conn).Close",
	[FN_RUSTLS_ENCRYPT] = "MessageEncrypter::encrypt",
	[FN_RUSTLS_DECRYPT] = "MessageDecrypter::decrypt",
	[FN_RUSTLS_READ] = "rustls::Reader::read",
	[FN_SSL_WRITE_EX2] = "SSL_write_ex2",
	[FN_RUSTLS_WRITE] = "rustls::Writer::write",
};

const char *tls_family_name(enum tls_family family)
{
	return (unsigned)family < TLS_N_FAMILIES ? families[family] : "unknown";
}

const char *tls_func_name(enum tls_func func)
{
	return (unsigned)func < FN_N ? funcs[func] : "unknown";
}
