/*
 * The door of proto/: positioned, ordered bytes of one connection go in; exchanges and messages come out.
 *
 * Sans-IO: no clocks, descriptors, logs or globals. Any split of the input gives the same callbacks. Malformed
 * traffic is an outcome: the connection becomes opaque and says why.
 */
#ifndef CF_PROTO_EXCHANGE_H
#define CF_PROTO_EXCHANGE_H

#include "base/arena.h"
#include "base/span.h"

/* As seen from the observed process. */
enum dir { DIR_IN, DIR_OUT };

enum conn_source { SOURCE_TLS, SOURCE_SOCKET, SOURCE_PIPE, SOURCE_TTY };

/* Who and where; owned by the pipeline, lives as long as the connection. Unknown texts are SPAN_NONE. */
struct conn_info {
	uint64_t id;
	enum conn_source source;
	uint32_t pid;
	uint64_t proc_start_ns;
	struct span peer; /* "127.0.0.1:8443", "[::1]:443" */
	struct span local;
	bool joined_late; /* bytes had moved before the first one we saw */
	bool maybe_late;  /* nobody can tell: a TLS object whose socket is not known */
};

/* One HTTP field. Names as on the wire (HTTP/2: lower case). */
struct field {
	struct span name;
	struct span value;
	bool unresolved; /* HPACK: an index from before we joined; name or value may be empty */
};

/* A request or a response. */
struct http_message {
	struct field *fields;
	size_t n_fields;
	struct field *trailers;
	size_t n_trailers;
	struct span
		body; /* content, decoded; of a streamed (framed) response empty: see exchange.frames */
	uint64_t wire_len; /* bytes of body on the wire, before decoding */
	uint64_t missing;  /* bytes lost in gaps inside this message */
	uint64_t began_ns; /* first byte; 0: nothing was seen of it */
	uint64_t head_ns;  /* end of the head */
	uint64_t ended_ns; /* last byte */
	bool complete;	   /* seen from its first to its last byte */
	bool truncated;	   /* body longer than LIMIT_BODY: the rest was dropped */
	const char *
		undecoded; /* why the content coding could not be undone: then body is as on the wire. NULL: fine */
};

enum frame_kind { FRAME_SSE, FRAME_JSON_LINE, FRAME_TEXT, FRAME_BINARY, FRAME_EVENT_STREAM };

/* One streamed piece: an SSE event, a JSON line, a WebSocket or JSON-RPC message. */
struct frame {
	enum frame_kind kind;
	enum dir dir;
	bool after_gap;	  /* bytes before it are missing */
	uint64_t ts_ns;	  /* arrival of its last byte */
	struct span name; /* SSE: event */
	struct span id;	  /* SSE: id */
	struct span data;
};

/* A request and its response. Handed out once, when it ended one way or the other; valid until the callback returns. */
struct exchange {
	struct arena arena;
	const struct conn_info *conn;
	uint64_t stream_id;    /* HTTP/2 stream, else count on the connection from 0 */
	bool client;	       /* the observed process asked; false: it answered */
	struct span method;    /* "" when the request was not seen */
	struct span target;    /* path and query as sent */
	struct span authority; /* Host or :authority */
	const char *version;   /* "1.0", "1.1", "2" */
	int status;	       /* final response; 0: none seen */
	struct http_message request;
	struct http_message response;
	struct frame *frames; /* pieces of the response, in order */
	size_t n_frames;
	const char *
		cut; /* NULL: both sides complete. Else why not: "connection closed", "gap", "observer stopped", ... */
	bool upgraded; /* 101 or CONNECT: messages follow through on_message, or a tunnel */
};

/* First field with this name (ASCII case ignored); SPAN_NONE when absent. */
struct span http_field(const struct http_message *m, const char *name);
/* Path of the target without query; the target may be absolute. */
struct span exchange_path(const struct exchange *ex);

enum proto_state {
	PROTO_UNKNOWN, /* not enough seen yet */
	PROTO_DECODED,
	PROTO_TUNNEL, /* CONNECT: what follows is somebody else's */
	PROTO_OPAQUE, /* not a protocol that we read */
};

struct proto_events {
	/* Takes nothing: the exchange is freed after the call. */
	void (*on_exchange)(void *ctx, struct exchange *ex);
	/* A message without a pair: WebSocket, JSON lines on a pipe. `upgrade` may be NULL. */
	void (*on_message)(void *ctx, const struct conn_info *conn, const struct exchange *upgrade,
			   const struct frame *f);
	/* protocol: "http/1.1", "h2", "websocket", "json-rpc"; reason when opaque. Called on every change. */
	void (*on_state)(void *ctx, const struct conn_info *conn, enum proto_state state,
			 const char *protocol, const char *reason);
};

struct proto_conn;
struct proto_conn *proto_conn_new(const struct conn_info *info, const struct proto_events *events,
				  void *ctx);
/* Bytes of one direction, in order. */
void proto_feed(struct proto_conn *c, enum dir dir, const char *p, size_t len, uint64_t ts_ns);
/* `missing` bytes of this direction were lost here. */
void proto_gap(struct proto_conn *c, enum dir dir, uint64_t missing, uint64_t ts_ns);
/* This direction ends. */
void proto_eof(struct proto_conn *c, enum dir dir, uint64_t ts_ns);
/* Everything still open is handed out as cut, with `why`; then the connection is freed. */
void proto_conn_finish(struct proto_conn *c, uint64_t ts_ns, const char *why);
/* Bytes had moved before the first that was seen: known from outside, or because the first bytes begin nothing. */
bool proto_conn_late(const struct proto_conn *c);
/* Bytes that unfinished exchanges of this connection hold (for the pipeline's total). */
size_t proto_conn_held(const struct proto_conn *c);

#endif
