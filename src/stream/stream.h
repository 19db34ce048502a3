/*
 * The door of stream/: events with positions go in; connections with ordered chunks and gaps come out.
 *
 * A connection is what carries two directions of bytes: a TLS object, a socket, or two halves that a bind event joins.
 * Bytes whose partner is not known yet wait (LIMIT_REORDER), then go on alone.
 */
#ifndef CF_STREAM_STREAM_H
#define CF_STREAM_STREAM_H

#include "base/span.h"
#include "event.h"

struct conn; /* one connection; opaque */

/* What is known of a connection; changes as events come. */
struct conn_facts {
	uint64_t id; /* the lower stream id */
	uint64_t in, out;
	uint32_t pid;
	uint64_t start_ns;
	uint8_t layer;   /* enum cf_layer; 0: its open event was lost */
	uint8_t library; /* enum cf_library */
	uint8_t mode;    /* as the kernel said last */
	bool internal;   /* a unix socket between followed processes */
	bool tls;        /* a socket that carries TLS */
	bool bound;      /* socket: a TLS connection reads its plaintext. TLS: its socket is known */
	bool bound_surely;
	bool late;       /* bytes had moved before the first that was seen */
	uint16_t family, protocol;
	char peer[64];   /* "127.0.0.1:443"; empty: unknown */
	char local[64];
	uint64_t moved[2];   /* bytes that moved, by enum dir: 0 in, 1 out */
	uint64_t missing[2]; /* of those, lost */
	uint64_t uncopied[2]; /* of those, only counted on purpose */
};

struct stream_events {
	void (*on_open)(void *ctx, struct conn *c);
	/* dir 0 in, 1 out */
	void (*on_chunk)(void *ctx, struct conn *c, int dir, struct span bytes, uint64_t began_ns, uint64_t ts_ns);
	void (*on_gap)(void *ctx, struct conn *c, int dir, uint64_t missing, uint64_t ts_ns);
	void (*on_eof)(void *ctx, struct conn *c, int dir, uint64_t ts_ns);
	/* The connection ends; it is freed afterwards. */
	void (*on_close)(void *ctx, struct conn *c, const char *why, uint64_t ts_ns);
};

struct streams;
struct streams *streams_new(const struct stream_events *events, void *ctx);
void streams_event(struct streams *s, const struct cf_event *e);
/* Everything still open ends with `why`. */
void streams_finish(struct streams *s, uint64_t ts_ns, const char *why);
void streams_free(struct streams *s);
/* Connections that found no place (LIMIT_CONNS). */
uint64_t streams_refused(const struct streams *s);

const struct conn_facts *conn_facts(const struct conn *c);
void conn_set_user(struct conn *c, void *user);
void *conn_user(const struct conn *c);

#endif
