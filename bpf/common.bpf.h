/* Maps, the target filter, reserving and submitting: what every program shares. */
#ifndef CF_COMMON_BPF_H
#define CF_COMMON_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "event.h"
#include "probe.h"

/* The maps live in maps.bpf.c; the static linker joins the others to them. */
#ifndef MAP
#define MAP extern
#endif

MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20); /* set at load */
} ring SEC(".maps");

MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} control SEC(".maps");

MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u32);
	__type(value, struct cf_target);
} targets SEC(".maps");

MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cf_counters);
} counters SEC(".maps");

MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} next_id SEC(".maps");

/* State is in HASH maps, never LRU: an insert that fails is counted, an entry never disappears by itself. */

/* TLS objects by process and pointer. */
MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct cf_tls_key);
	__type(value, struct cf_object);
} tls_objects SEC(".maps");

/* Sockets by their struct sock. */
MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct cf_object);
} sockets SEC(".maps");

/* Objects whose close record found no room in the ring: capture reads their last positions. By stream id. */
MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct cf_object);
} closed SEC(".maps");

/* What observe decided about a socket: in stream -> enum cf_mode. */
MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, u8);
} modes SEC(".maps");

/* The TLS objects that a socket carries, by its in stream. */
struct bound {
	u64 object[2]; /* keys in tls_objects of what reads and of what writes: rustls has one for each */
	u32 pid;
	u32 pad;
};
MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct bound);
} bound SEC(".maps");

/* A TLS call under way. */
struct tls_call {
	u64 object;
	u64 data;
	u64 count; /* where *_ex puts the number of bytes */
	u64 began_ns;
	u64 socket; /* in stream of the socket that it used */
	u64 cookie; /* 0: none is under way */
	u64 room; /* rustls: the record to decrypt, */
	u64 room_len; /* in place */
};

/*
 * What is kept of a thread. In the task itself: found without hashing or locking, gone with the thread, and never another
 * thread's that got its number.
 */
struct cf_thread {
	struct tls_call call[2]; /* reading, writing: calls nest */
	u64 read_socket;	 /* the TLS socket that it read last, its in stream: a memory BIO's socket is next to it */
	u64 written_object;	 /* the TLS object that it wrote last, its key in tls_objects */
};
MAP struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cf_thread);
} threads SEC(".maps");

/* Go's pending reads, by goroutine: it may go on on another thread. */
struct go_key {
	u64 g;
	u32 pid;
	u32 pad;
};
MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct go_key);
	__type(value, struct tls_call);
} go_reads SEC(".maps");

extern const volatile unsigned long long wake_at;      /* bytes waiting in the ring at which the reader is woken */
extern const volatile unsigned long long sample_limit; /* bytes of a socket that nobody has decided about */

/* Atomic although each processor has its own: a probe may be preempted by another in the middle of an addition. */
static __always_inline void count(u32 what, u64 n)
{
	u32 zero = 0;
	struct cf_counters *c = bpf_map_lookup_elem(&counters, &zero);

	if (c)
		__sync_fetch_and_add(&c->n[what], n);
}

static __always_inline u64 new_ids(void)
{
	u32 zero = 0;
	u64 *next = bpf_map_lookup_elem(&next_id, &zero);

	/* Pairs from 2 on: in is even, out is odd, 0 means none. */
	return next ? __sync_fetch_and_add(next, 2) + 2 : 0;
}

/* The target that runs here, or NULL. A process id alone is not enough: it may have been given away again. */
static __always_inline struct cf_target *current_target(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct cf_target *t = bpf_map_lookup_elem(&targets, &tgid);

	if (!t)
		return NULL;
	struct task_struct *task = bpf_get_current_task_btf();
	return task->group_leader->start_boottime == t->start_ns ? t : NULL;
}

static __always_inline struct cf_thread *known_thread(void)
{
	return bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, 0);
}

static __always_inline struct cf_thread *this_thread(void)
{
	struct cf_thread *t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t)
		count(CF_CNT_LOST_MAP, 1);
	return t;
}

static __always_inline void fill_header(struct cf_event *h, u16 kind, u32 size, u64 start_ns)
{
	u64 id = bpf_get_current_pid_tgid();

	h->size = size;
	h->kind = kind;
	h->flags = 0;
	h->ts_ns = bpf_ktime_get_boot_ns();
	h->pid = id >> 32;
	h->tid = (u32)id;
	h->start_ns = start_ns;
}

static __always_inline u64 wake_flags(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* All that is counted of a record by one lookup. */
static __always_inline void submit_as(void *record, u64 bytes, u64 is_data)
{
	u32 zero = 0;
	struct cf_counters *c = bpf_map_lookup_elem(&counters, &zero);

	if (c) {
		__sync_fetch_and_add(&c->n[CF_CNT_EVENTS], 1);
		if (is_data)
			__sync_fetch_and_add(&c->n[CF_CNT_DATA], 1);
		if (bytes)
			__sync_fetch_and_add(&c->n[CF_CNT_BYTES], bytes);
	}
	bpf_ringbuf_submit(record, wake_flags());
}

static __always_inline void submit(void *record, u64 bytes)
{
	submit_as(record, bytes, 0);
}

#endif
