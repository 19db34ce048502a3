/* What the parsers of this room share: exchanges in the making, bodies, protocol rows. Not for other rooms. */
#ifndef CF_PROTO_PARTS_H
#define CF_PROTO_PARTS_H

#include "base/buf.h"
#include "base/limits.h"
#include "proto/coding.h"
#include "proto/exchange.h"
#include "proto/framer.h"

/* Content of one message while it arrives: codings are undone, streamed kinds are cut into frames. */
struct body {
	struct http_message *msg;
	struct xfer *x;
	struct buf wire;    /* as sent; kept of coded bodies only, for when decoding fails */
	struct buf content; /* decoded; of framed bodies only what does not belong to any frame */
	struct coding_chain *codings; /* NULL: none, or given up */
	struct framer *framer;	      /* NULL: not a streamed kind */
	uint64_t ts_ns;		      /* of the bytes being fed */
	size_t framed;		      /* bytes in frames */
	bool begun;		      /* by body_begin */
	bool coded;
	bool headless; /* no head says what it is: its first bytes are looked at */
	bool holed;    /* bytes are missing, counted or not: it cannot be complete */
	bool stopped;  /* nothing more is kept: truncated, or lost inside a coded body */
};

/* An exchange in the making. */
struct xfer {
	struct exchange ex;
	struct proto_conn *conn;
	struct xfer *next;
	struct body request;
	struct body response;
	bool request_begun; /* HTTP/2: its head was seen */
	bool request_loose; /* HTTP/2: its end may have been lost unseen */
	bool request_done;
	bool response_begun;
	bool response_done;
	bool wants_upgrade; /* CONNECT, or an Upgrade field */
};

struct xfer *xfer_new(struct proto_conn *c, uint64_t stream_id);
void xfer_free(struct xfer *x);
size_t xfer_held(const struct xfer *x);
/* Hands it out; `why` explains what is not complete unless a reason was noted before. Does not free. */
void xfer_emit(struct xfer *x, const char *why);
/* A new frame of the response, or NULL past LIMIT_FRAMES. */
struct frame *xfer_frame(struct xfer *x);
/* The direction that carries the requests / responses of this exchange. */
enum dir xfer_response_dir(const struct xfer *x);

/* After the head: sets up codings and framing from the fields. `extra_codings`: Transfer-Encoding without "chunked". */
void body_begin(struct body *b, struct span extra_codings);
/* The head was not seen. */
void body_begin_headless(struct body *b);
void body_feed(struct body *b, const char *p, size_t len, uint64_t ts_ns);
/* Bytes are missing here; 0: some may be. */
void body_gap(struct body *b, uint64_t missing);
/* `complete`: the message ended as its framing says. Fills msg->body. */
void body_end(struct body *b, bool complete);

/* One protocol: a row of conn.c's table. */
enum verdict { VERDICT_NO, VERDICT_MORE, VERDICT_YES };
struct probe {
	struct span text; /* one direction, from its first byte that is kept */
	bool anchored;	  /* text begins where the connection began */
	size_t from;	  /* offsets before it were ruled out by an earlier probe; updated */
};

struct protocol {
	const char *name; /* NULL: the protocol calls conn_state itself */
	enum verdict (*probe)(struct probe *p, const struct conn_info *info);
	void *(*open)(struct proto_conn *c);
	void (*feed)(void *state, enum dir dir, const char *p, size_t len, uint64_t ts_ns);
	void (*gap)(void *state, enum dir dir, uint64_t missing, uint64_t ts_ns);
	void (*eof)(void *state, enum dir dir, uint64_t ts_ns);
	/* Hands out everything open as cut. */
	void (*finish)(void *state, uint64_t ts_ns, const char *why);
	size_t (*held)(const void *state);
	void (*free)(void *state);
};

extern const struct protocol protocol_http1;
extern const struct protocol protocol_h2;
extern const struct protocol protocol_websocket;
extern const struct protocol protocol_jsonrpc;

const struct conn_info *conn_info(const struct proto_conn *c);
void conn_exchange(struct proto_conn *c, struct exchange *ex);
void conn_message(struct proto_conn *c, const struct exchange *upgrade, const struct frame *f);
void conn_state(struct proto_conn *c, enum proto_state state, const char *protocol,
		const char *reason);
/* Another protocol takes over; the old state is freed once the current call returned. */
void conn_become(struct proto_conn *c, const struct protocol *p, void *state);
/* The rest is not looked at. What is open is handed out with `reason`. */
void conn_opaque(struct proto_conn *c, const char *reason, uint64_t ts_ns);
void conn_tunnel(struct proto_conn *c, const char *reason);
/* True once conn_become, conn_opaque or conn_tunnel took `state` out of use: touch it no more. */
bool conn_left(const struct proto_conn *c, const void *state);

/* WebSocket over an upgraded exchange, which it owns from here on. `x` may be NULL. */
void *websocket_open(struct proto_conn *c, struct xfer *x);

#endif
