/*
 * Model APIs over one WebSocket: every request and its events become an exchange, read by the dialect of the socket's
 * path. So far OpenAI's Responses ("response.create"). Sans-IO; one session for each connection.
 */
#ifndef CF_DIALECT_SOCKET_H
#define CF_DIALECT_SOCKET_H

#include "dialect/call.h"

struct socket_session;
typedef void (*socket_on_call)(void *ctx, const struct exchange *ex, const struct call *call);

/* What is needed of `upgrade` is copied. */
struct socket_session *socket_new(const struct conn_info *conn, const struct exchange *upgrade,
				  socket_on_call on_call, void *ctx);
void socket_feed(struct socket_session *s, const struct frame *f);
/* Requests that still wait are given out as cut, with `why`. */
void socket_finish(struct socket_session *s, uint64_t ts_ns, const char *why);
void socket_free(struct socket_session *s);
size_t socket_held(const struct socket_session *s);

#endif
