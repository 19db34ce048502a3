/*
 * The door of feed/: the one stream of events, whatever it comes from. Live, it is the kernel's ring and capture's facts
 * joined; a capture file is the same records written down. Right of here nobody knows the difference.
 */
#ifndef CF_FEED_FEED_H
#define CF_FEED_FEED_H

#include "base/buf.h"
#include "event.h"
#include "feed/fact.h"

/* The BPF ring buffer, mapped. The format is the kernel's user API: kernel/bpf/ringbuf.c, Documentation/bpf/ringbuf.rst. */
struct ring {
	volatile unsigned long *consumer;
	volatile unsigned long *producer;
	const char *data;
	size_t size;
	unsigned long at; /* read up to here, not yet given back */
};
int ring_open(int map_fd, size_t size, struct ring *out);
void ring_close(struct ring *r);
/* Next record, or NULL. Valid until ring_release. Records that lie about their size are skipped. */
const struct cf_event *ring_next(struct ring *r);
const void *ring_next_raw(struct ring *r, size_t *len);
/* Gives all that was read back to the kernel. */
void ring_release(struct ring *r);
/* Bytes waiting, and the place behind them. */
size_t ring_waiting(const struct ring *r);
unsigned long ring_end(const struct ring *r);

/* Records between draining and parsing, first in first out, with a maximum. */
struct queue_block;
struct queue {
	struct queue_block *first, *last;
	size_t bytes;
	size_t max;
};
void queue_init(struct queue *q, size_t max);
void queue_fini(struct queue *q);
/* false: full, nothing was added. */
bool queue_push(struct queue *q, const struct cf_event *e);
/* The oldest record, or NULL; valid until the next queue_pop. */
const struct cf_event *queue_pop(struct queue *q);
/*
 * Moves what is in the ring before `end` into the queue and gives its room back. false: the queue is full; what does not fit
 * stays in the ring, in its order, and what the kernel cannot place then it counts.
 */
bool queue_drain(struct queue *q, struct ring *r, unsigned long end);

/* Makes the record of a fact in `out` (cleared first). */
const struct cf_event *fact_make(struct buf *out, uint16_t kind, uint64_t ts_ns, uint32_t pid, uint64_t start_ns,
				 struct span json);

/* Capture files: magic, a JSON header (machine, boot id, kinds and their sizes), then the records, each padded to 8 bytes. */
struct capfile;
/* The header of a new file: {"machine","kinds":{name:[kind,size]}}. Clock offset, seed and boot id are in CF_FACT_HOST. */
void feed_header(struct buf *out);
int capfile_create(int fd, struct span header_json, struct capfile **out);
int capfile_write(struct capfile *f, const struct cf_event *e);
int capfile_flush(struct capfile *f);
/* -EBADMSG: not a capture file, or a damaged one. The header is copied to *header. */
int capfile_open(int fd, struct buf *header, struct capfile **out);
/* The next record, NULL at the end. *err: 0, or -EBADMSG when the file ends inside a record or lies. */
const struct cf_event *capfile_next(struct capfile *f, int *err);
void capfile_close(struct capfile *f); /* the descriptor stays open */

/* What observe asks of capture, on the same socket pair. */
enum request_kind { REQUEST_MODE = 1, REQUEST_STOP = 2 };
struct request {
	uint32_t kind;
	uint32_t value;  /* MODE: enum cf_mode */
	uint64_t stream; /* MODE: the socket's in stream */
};

#endif
