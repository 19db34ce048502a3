/*
 * locate: where in this ELF file do plaintext calls begin and end?
 *
 * The answer is a set of file offsets (what a uprobe wants), found by a chain of finders in order
 * of trust; the finder's name travels with every answer. The file is untrusted: a hostile one gives
 * an error or nothing, never a crash. Works on a plain fd, keeps no state, needs no privilege.
 */
#ifndef CF_CAPTURE_LOCATE_H
#define CF_CAPTURE_LOCATE_H

#include <stddef.h>
#include <stdint.h>

/* Which code is inside; the calling shape follows from the function (below), not from this. */
enum tls_family {
	TLS_NONE,
	TLS_OPENSSL,
	TLS_BORINGSSL,
	TLS_GNUTLS,
	TLS_GO,
	TLS_RUSTLS,
	TLS_OTHER, /* known by name, not covered: the reason says which (Java, NSS, ...) */
	TLS_N_FAMILIES,
};

/* The calling shape of a probed function: what its arguments and its return value mean. */
enum tls_func {
	FN_NONE,
	FN_SSL_READ,	   /* int (ssl, buf, int num): ret > 0 is the count */
	FN_SSL_WRITE,	   /* int (ssl, buf, int num): ret > 0 is the count */
	FN_SSL_READ_EX,	   /* int (ssl, buf, size_t num, size_t *count): ret 1 is success */
	FN_SSL_WRITE_EX,   /* int (ssl, buf, size_t num, size_t *count): ret 1 is success */
	FN_SSL_FREE,	   /* void (ssl): the pointer may come back as another connection */
	FN_SSL_SET_FD,	   /* int (ssl, fd): also SSL_set_rfd and SSL_set_wfd */
	FN_SSL_SET_BIO,	   /* void (ssl, rbio, wbio) */
	FN_GNUTLS_SEND,	   /* ssize_t (session, buf, size_t num): ret > 0 is the count */
	FN_GNUTLS_RECV,	   /* ssize_t (session, buf, size_t num): ret > 0 is the count */
	FN_GNUTLS_DEINIT,  /* void (session) */
	FN_GNUTLS_SET_INT, /* void (session, recv_fd, send_fd): gnutls_transport_set_int2 */
	FN_GO_READ,  /* register ABI: ax conn, bx ptr, cx len, r14 g; at a RET ax is the count */
	FN_GO_WRITE, /* as FN_GO_READ; the plaintext is complete at the entry */
	FN_GO_CLOSE, /* ax conn */
	FN_RUSTLS_ENCRYPT, /* rustls 0.23: (sret, self, msg, seq); see locate/rustls.c for msg */
	FN_RUSTLS_DECRYPT, /* rustls 0.23: (sret, self, msg, seq); plaintext at the return, by sret */
	FN_RUSTLS_READ,	   /* (reader, ptr, len): ax 0 is success and dx the count */
	FN_RUSTLS_WRITE,   /* (writer, ptr, len): ax 0 is success and dx the count */
	FN_SSL_WRITE_EX2, /* int (ssl, buf, size_t num, uint64_t flags, size_t *count): ret 1 is success */
	FN_N,
};

enum {
	LOCATE_MAX_LIBS = 4, /* more than two TLS stacks in one file have not been met */
	LOCATE_MAX_SITES =
		24, /* rustls: an encrypter and a decrypter per cipher family and provider */
	LOCATE_MAX_RETS = 32, /* crypto/tls.(*Conn).Read has 3-12 RETs in Go 1.16-1.26 */
	LOCATE_MAX_REASON = 160,
};

struct locate_site {
	enum tls_func func;
	uint64_t func_off; /* file offset of the function's first byte */
	uint64_t
		entry_off; /* where the entry probe goes: func_off, or slid to an instruction that the
			     * kernel emulates (30 times cheaper) with the arguments still in place */
	uint64_t ret_off; /* where a uretprobe may sit (the return address still on top of the
			     * stack); 0: never use one here (Go moves its stacks). Equal to
			     * entry_off wherever the cheap instruction allows it. */
	uint64_t inner_off; /* OpenSSL: function with the shape of this one's _ex that both call, and
			     * that is cheaper to probe instead of both; 0: none */
	uint32_t n_rets;  /* Go: file offsets of the RET instructions */
	uint64_t rets[LOCATE_MAX_RETS];
};

struct locate_lib {
	enum tls_family family;
	const char *method; /* "symbol", "debug file", "pclntab", "xref", "vtable"; never NULL */
	char library[64]; /* "libssl.so.3", "BoringSSL", "rustls 0.23.12", "go1.22.1 crypto/tls" */
	char reason[LOCATE_MAX_REASON]; /* what is missing and why; empty when all was found */
	uint32_t n_sites;
	struct locate_site sites[LOCATE_MAX_SITES];
};

struct locate_result {
	char build_id[65]; /* lower-case hex of the GNU build-id note, or empty */
	uint16_t machine;  /* e_machine */
	uint32_t n_libs;
	struct locate_lib libs[LOCATE_MAX_LIBS]; /* a library without sites has a reason */
	char reason
		[LOCATE_MAX_REASON]; /* why not, when the answer is not 0: one line for a person */
};

/*
 * fd: an open regular file (any offset; it is not moved). *out is always filled in.
 * 0 at least one library with sites; -ENOENT no TLS library in this file; -ESRCH a TLS library, but
 * its functions were not located (reason says); -ENOEXEC not a 64-bit little-endian ELF file;
 * -EINVAL a damaged one; other -errno from reading.
 */
int locate_file(int fd, struct locate_result *out);

const char *tls_family_name(enum tls_family family); /* "openssl", ... */
const char *tls_func_name(enum tls_func func);	     /* "SSL_read", ... */

/* `cf-observe locate FILE... [--json]` */
int cmd_locate(int argc, char **argv);

#endif
