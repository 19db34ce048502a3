/* Pieces of HTTP/2 (RFC 9113). Not for other rooms. */
#ifndef CF_PROTO_H2_H
#define CF_PROTO_H2_H

#include "base/map.h"
#include "proto/parts.h"

/* ---- HPACK, RFC 7541: nghttp2's inflater, made to survive an unknown past ---- */

struct hpack;
/* `late`: the table holds entries that we never saw. They count as present and come out unresolved. */
struct hpack *hpack_new(bool late);
void hpack_free(struct hpack *h);
/* Forgets the table: it may have changed unseen. */
void hpack_lose(struct hpack *h);
typedef void (*hpack_field)(void *ctx, struct span name, struct span value, bool unresolved);
/* One whole header block. -EBADMSG: malformed, the rest of it is unknown and the table lost. */
int hpack_block(struct hpack *h, struct span block, hpack_field take, void *ctx);

/* ---- frames ---- */

#define H2_FRAME_HEAD 9
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum h2_type {
	H2_DATA,
	H2_HEADERS,
	H2_PRIORITY,
	H2_RST_STREAM,
	H2_SETTINGS,
	H2_PUSH_PROMISE,
	H2_PING,
	H2_GOAWAY,
	H2_WINDOW_UPDATE,
	H2_CONTINUATION,
};
#define H2_END_STREAM 0x1
#define H2_END_HEADERS 0x4
#define H2_PADDED 0x8
#define H2_PRIORITY_FLAG 0x20

struct h2_frame {
	uint32_t len;
	uint8_t type;
	uint8_t flags;
	uint32_t stream;
};
struct h2_frame h2_frame_read(const char *p);
/* Could these nine bytes begin a frame? Used where the position is not known. */
bool h2_frame_plausible(const struct h2_frame *f);
/* Two plausible frames one behind the other, or the preface. As http1_find_start. */
enum verdict h2_find_start(struct span text, size_t *from, size_t *at);
enum verdict h2_probe(struct probe *p, const struct conn_info *info);

/* ---- streams ---- */

#define H2_CLOSED_REMEMBERED 64

struct h2_streams {
	struct proto_conn *c;
	struct map by_id;   /* -> struct xfer */
	struct xfer *first; /* in order of their beginning */
	struct xfer **end;
	struct hpack *hpack[2]; /* by dir of the sender */
	bool unsure
		[2]; /* whole frames of this direction may have been lost: unknown streams are taken up */
	bool role_known;
	enum dir requests; /* direction that carries requests; a guess until role_known */
	uint32_t highest;  /* stream seen */
	uint32_t closed[H2_CLOSED_REMEMBERED];
	unsigned n_closed;
};

void h2_streams_init(struct h2_streams *s, struct proto_conn *c, bool late);
void h2_streams_fini(struct h2_streams *s);
void h2_set_role(struct h2_streams *s, enum dir requests);
/* A whole header block; `end`: the message ends with it. Stream 0: decoded for HPACK's sake only. */
void h2_on_block(struct h2_streams *s, enum dir dir, uint32_t id, struct span block, bool end,
		 uint64_t began_ns, uint64_t ts_ns);
void h2_on_data(struct h2_streams *s, enum dir dir, uint32_t id, const char *p, size_t len,
		uint64_t ts_ns);
/* Bytes missing inside a DATA frame of this stream. */
void h2_on_hole(struct h2_streams *s, enum dir dir, uint32_t id, uint64_t missing);
/* Frames of any stream may be missing, the last of them at until_ns. */
void h2_on_lost(struct h2_streams *s, enum dir dir, uint64_t until_ns);
void h2_on_end(struct h2_streams *s, enum dir dir, uint32_t id, uint64_t ts_ns);
void h2_on_reset(struct h2_streams *s, uint32_t id, uint32_t code);
/* Streams above `last` are not served. */
void h2_on_goaway(struct h2_streams *s, enum dir dir, uint32_t last);
/* Everything open is handed out. */
void h2_on_finish(struct h2_streams *s, const char *why);
size_t h2_streams_held(const struct h2_streams *s);

#endif
