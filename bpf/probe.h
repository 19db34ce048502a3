/* What a probe's cookie says: which call it sits on. Shared by the programs and capture. */
#ifndef CF_PROBE_H
#define CF_PROBE_H

enum cf_call {
	CF_CALL_READ = 1, /* bytes moved are the return value: SSL_read, gnutls_record_recv */
	CF_CALL_WRITE,
	CF_CALL_READ_EX,  /* success is 1, the count is at the fourth argument: SSL_read_ex */
	CF_CALL_WRITE_EX,
	CF_CALL_FREE,     /* the object is released */
	CF_CALL_WRITE_EX2, /* as WRITE_EX, with the count at the fifth argument: OpenSSL 3.3's ssl_write_internal */
	CF_CALL_READ_RESULT, /* Rust's io::Result: 0 and the count in the second register; the object is behind a pointer */
	CF_CALL_WRITE_RESULT,
};

#define CF_COOKIE(library, call) ((unsigned long long)(library) << 8 | (call))
/* No call tells that an object is released: it ends with its socket, and its pointer may come back as another. */
#define CF_COOKIE_UNFREED (1ull << 16)
#define CF_COOKIE_LIBRARY(cookie) ((cookie) >> 8 & 0xff)
#define CF_COOKIE_CALL(cookie) ((cookie) & 0xff)

/* Value of the targets map. */
struct cf_target {
	unsigned long long start_ns;
	unsigned int flags;
	unsigned int pad;
};
#define CF_TARGET_TLS 1u /* has TLS objects to close when it ends */
#define CF_TARGET_GO 2u  /* goroutines may be in a call when it ends */

/* One process, as the task iterator writes it: /proc knows start times only to the hundredth of a second. */
struct cf_task {
	unsigned int pid;
	unsigned int ppid;
	unsigned long long start_ns;
};

/* One record of the control ring: what capture must know at once. */
enum cf_notice_kind { CF_NOTICE_EXEC = 1, CF_NOTICE_MAP = 2, CF_NOTICE_EXIT = 3, CF_NOTICE_CGROUP = 4 };
struct cf_notice {
	unsigned int kind;
	unsigned int pid;
	unsigned long long start_ns;
	unsigned long long addr; /* of the new mapping */
};

/* An object that carries bytes, as capture reads it from the maps when it drains. */
struct cf_object {
	unsigned long long in, out;
	unsigned long long in_pos, out_pos;
	unsigned long long start_ns;
	unsigned long long inode;
	unsigned long long socket; /* TLS: the socket object it was bound to last; socket: the kernel's struct sock */
	unsigned long long other_end; /* in stream of peer */
	unsigned long long peer;   /* unix: the other end, where it is followed, too */
	unsigned int pid;
	unsigned char mode;
	unsigned char tls;
	unsigned char looked; /* directions whose first bytes were judged: 1 in, 2 out */
	unsigned char eof;
	unsigned char late; /* bytes had moved before the first call that was seen */
	unsigned char unix_socket;
	unsigned char unfreed; /* TLS: ends with its socket */
	unsigned char ok; /* rustls: what a successful result begins with */
	unsigned long long seq; /* rustls: number of the record that is expected next */
};

/* Key of a process's standard pipes in the map of sockets: no kernel address looks like this. */
#define CF_PIPE_KEY(pid) (1ull << 32 | (pid))

struct cf_tls_key {
	unsigned long long object;
	unsigned int pid;
	unsigned int pad;
};

#endif
