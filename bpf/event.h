/*
 * The contract between the BPF programs and the daemon: what one record of the ring buffer looks like.
 *
 * Every record begins with struct cf_event. Kinds are numbered for ever: a kind is never reused or given another
 * layout; new fields go to the end (size tells), unknown kinds are skipped. All integers are in host byte order, all
 * times are nanoseconds of CLOCK_BOOTTIME. Kinds from CF_FACT_FIRST on are made in user space (src/feed/fact.h) and
 * travel in the same stream.
 */
#ifndef CF_EVENT_H
#define CF_EVENT_H

#ifndef __bpf__
#include <assert.h>
#include <stdint.h>
typedef uint8_t __cf_u8;
typedef uint16_t __cf_u16;
typedef uint32_t __cf_u32;
typedef int32_t __cf_s32;
typedef uint64_t __cf_u64;
typedef int64_t __cf_s64;
#else
typedef unsigned char __cf_u8;
typedef unsigned short __cf_u16;
typedef unsigned int __cf_u32;
typedef int __cf_s32;
typedef unsigned long long __cf_u64;
typedef long long __cf_s64;
#endif

enum cf_kind {
	CF_EV_NONE = 0,
	CF_EV_OPEN = 1,  /* struct cf_open: an object that carries bytes, at first sight */
	CF_EV_DATA = 2,  /* struct cf_data: bytes moved */
	CF_EV_CLOSE = 3, /* struct cf_close: final positions of a stream */
	CF_EV_BIND = 4,  /* struct cf_bind: two streams belong together */
	CF_EV_FORK = 5,  /* struct cf_fork */
	CF_EV_EXEC = 6,  /* struct cf_exec */
	CF_EV_EXIT = 7,  /* struct cf_exit */
	CF_EV_FILE = 8,  /* struct cf_file: a file opened for writing, removed, renamed, made */
	CF_EV_BLIND = 9, /* struct cf_blind: a way past our hooks was used */
	CF_EV_STEP = 10, /* struct cf_step: a step recorded by libcontextforge in the target */
	CF_FACT_FIRST = 256,
};

/* cf_event.flags of data */
#define CF_FL_FAULT 0x0001   /* bytes could not be read from the target's memory without faulting: captured is short */
#define CF_FL_CLAMPED 0x0002 /* more than one call may carry: captured is short */
#define CF_FL_COUNTED 0x0004 /* counted only, on purpose (ciphertext, a file, past the sample) */
/* of open */
#define CF_FL_LATE 0x0008 /* bytes had moved before the first call that was seen */
/* of close */
#define CF_FL_READ 0x0010 /* read from the maps by capture: the kernel did not submit it */

struct cf_event {
	__cf_u32 size;     /* of the whole record, this header included */
	__cf_u16 kind;     /* enum cf_kind */
	__cf_u16 flags;
	__cf_u64 ts_ns;    /* when the call ended */
	__cf_u32 pid;      /* thread group id in the initial pid namespace */
	__cf_u32 tid;
	__cf_u64 start_ns; /* start_boottime of the thread group's leader: pid + start_ns name a process for ever */
};

enum cf_layer {
	CF_LAYER_TLS = 1,    /* plaintext at a TLS library */
	CF_LAYER_SOCKET = 2, /* inet or unix socket, at its system calls */
	CF_LAYER_PIPE = 3,
	CF_LAYER_TTY = 4,
};

enum cf_mode {
	CF_MODE_SAMPLE = 1, /* the first bytes only, until observe decides */
	CF_MODE_FULL = 2,
	CF_MODE_COUNT = 3,  /* positions only */
};

/* One direction of bytes is a stream. Ids are allotted in the kernel at first sight and never used twice. 0 = none. */
struct cf_open {
	struct cf_event h;
	__cf_u64 in;      /* stream of bytes that the process reads */
	__cf_u64 out;     /* stream of bytes that the process writes */
	__cf_u64 object;  /* pointer of the TLS object or kernel object: tells objects apart, never identifies one alone */
	__cf_u64 inode;   /* of the socket or pipe */
	__cf_u32 fd;      /* as the process knows it; ~0 when unknown */
	__cf_u16 family;  /* AF_*, 0 when unknown */
	__cf_u16 protocol; /* IPPROTO_* */
	__cf_u16 local_port; /* host byte order */
	__cf_u16 peer_port;
	__cf_u8 layer;    /* enum cf_layer */
	__cf_u8 mode;     /* enum cf_mode */
	__cf_u8 tls;      /* socket: the first bytes are a TLS record */
	__cf_u8 library;  /* TLS: enum cf_library */
	__cf_u8 local_addr[16]; /* IPv4 in the first four bytes */
	__cf_u8 peer_addr[16];
	__cf_u64 other_end; /* unix: in stream of the other end where it is followed, too; else 0 */
};

enum cf_library {
	CF_LIB_NONE = 0,
	CF_LIB_OPENSSL = 1, /* also BoringSSL: the same calling shape */
	CF_LIB_GNUTLS = 2,
	CF_LIB_GO = 3,
	CF_LIB_RUSTLS = 4,
};

/*
 * `pos` counts the bytes moved in this direction before this record. It advances in the kernel even when the ring is
 * full, so a dropped record, a short copy and a truncated call look the same downstream: a gap of known size.
 */
struct cf_data {
	struct cf_event h;
	__cf_u64 stream;
	__cf_u64 pos;
	__cf_u64 began_ns; /* when the call began */
	__cf_u32 len;      /* bytes moved */
	__cf_u32 captured; /* bytes that follow, <= len */
};

enum cf_close_why {
	CF_CLOSE_FREED = 1, /* the object was released */
	CF_CLOSE_EOF = 2,   /* the peer ended this direction */
	CF_CLOSE_REUSED = 3, /* another object was found at its place */
	CF_CLOSE_EXIT = 4,  /* its process ended */
	CF_CLOSE_DRAIN = 5, /* the observer stops: not closed, these are the positions at that time */
};

struct cf_close {
	struct cf_event h;
	__cf_u64 in;  /* 0: not this direction */
	__cf_u64 out;
	__cf_u64 in_pos; /* bytes moved in all */
	__cf_u64 out_pos;
	__cf_u32 why; /* enum cf_close_why */
	__cf_u32 pad;
};

enum cf_bind_kind {
	CF_BIND_PAIR = 1,    /* a and b are the two directions of one connection: a read, b written */
	CF_BIND_NESTED = 2,  /* TLS stream a moved its bytes inside socket stream b: the socket call happened inside the TLS call */
	CF_BIND_ADJACENT = 3, /* the thread's socket call next to the TLS call: likely, not certain */
};

struct cf_bind {
	struct cf_event h;
	__cf_u64 a;
	__cf_u64 b;
	__cf_u32 bind; /* enum cf_bind_kind */
	__cf_u32 pad;
};

struct cf_fork {
	struct cf_event h; /* of the parent */
	__cf_u64 child_start_ns;
	__cf_u32 child_pid;
	__cf_u32 child_inner_pid; /* in its innermost pid namespace */
};

/* Followed by `path_len` bytes of the file name, `argv_len` bytes of NUL-separated arguments and `cwd_len` bytes of the
 * working directory's components, innermost first, NUL-separated. */
struct cf_exec {
	struct cf_event h;
	__cf_u32 inner_pid;
	__cf_u32 ppid;
	__cf_u16 path_len;
	__cf_u16 argv_len;
	__cf_u16 cwd_len;
	__cf_u16 argv_cut; /* 1: the arguments were longer */
	char comm[16];
};

struct cf_exit {
	struct cf_event h;
	__cf_u32 code;   /* exit status */
	__cf_u32 signal; /* 0, or the signal that ended it */
};

enum cf_file_op { CF_FILE_WRITE = 1, CF_FILE_UNLINK = 2, CF_FILE_RENAME = 3, CF_FILE_MKDIR = 4, CF_FILE_READ = 5 };

/* Followed by path_len bytes, then path2_len bytes (rename: the new name), as the process gave them. */
struct cf_file {
	struct cf_event h;
	__cf_s32 dirfd;
	__cf_s32 result; /* as the system call returned it: fd or -errno */
	__cf_u32 open_flags;
	__cf_u16 op;
	__cf_u16 path_len;
	__cf_u16 path2_len;
	__cf_u16 pad[3];
};

enum cf_blind_kind { CF_BLIND_IO_URING = 1, CF_BLIND_SPLICE = 2 };
struct cf_blind {
	struct cf_event h;
	__cf_u32 blind;
	__cf_u32 pad;
};

/* Followed by `len` bytes of JSON: {"run_id", "event", ...}; see include/contextforge/tracer.h. */
struct cf_step {
	struct cf_event h;
	__cf_u32 len;
	__cf_u32 captured;
};

/* Causes of loss, counted per CPU in the kernel; index into the `counters` map. */
enum cf_counter {
	CF_CNT_EVENTS,          /* records submitted */
	CF_CNT_BYTES,           /* payload bytes submitted */
	CF_CNT_LOST_RING,       /* records not submitted: the ring was full */
	CF_CNT_LOST_RING_BYTES, /* payload bytes of those */
	CF_CNT_LOST_FAULT,      /* reads of the target's memory that would have faulted */
	CF_CNT_LOST_FAULT_BYTES,
	CF_CNT_LOST_CLAMP,      /* calls longer than one call may carry */
	CF_CNT_LOST_CLAMP_BYTES,
	CF_CNT_LOST_MAP,        /* inserts refused by a full state map */
	CF_CNT_LOST_CONTROL,    /* notices to capture not delivered */
	CF_CNT_NESTED,          /* calls that began while the same call was pending on the thread */
	CF_CNT_DATA,            /* of CF_CNT_EVENTS: data records; the others can be counted again at the other end */
	CF_CNT_MAX = 16,
};

/* Of one processor. */
struct cf_counters {
	__cf_u64 n[CF_CNT_MAX];
};

#ifndef __bpf__
static_assert(sizeof(struct cf_event) == 32, "header");
static_assert(sizeof(struct cf_open) == 32 + 8 * 4 + 4 + 8 + 4 + 32 + 8, "open");
static_assert(sizeof(struct cf_data) == 64, "data");
static_assert(sizeof(struct cf_close) == 72, "close");
static_assert(sizeof(struct cf_bind) == 56, "bind");
static_assert(sizeof(struct cf_fork) == 48, "fork");
static_assert(sizeof(struct cf_exec) == 64, "exec");
static_assert(sizeof(struct cf_exit) == 40, "exit");
static_assert(sizeof(struct cf_file) == 56, "file");
#endif

#endif
