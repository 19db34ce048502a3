/* WebSocket (RFC 6455) with permessage-deflate (RFC 7692), over whatever carries its bytes. */
#ifndef CF_PROTO_WEBSOCKET_H
#define CF_PROTO_WEBSOCKET_H

#include "proto/parts.h"

struct websocket;
/* `upgrade` lives at least as long; its response says which extensions are in use. */
struct websocket *websocket_new(struct proto_conn *c, const struct exchange *upgrade);
void websocket_free(struct websocket *w);
/* NULL, or why nothing more can be read: then feed it no more. */
const char *websocket_feed(struct websocket *w, enum dir dir, const char *p, size_t len,
			   uint64_t ts_ns);
const char *websocket_gap(struct websocket *w, enum dir dir, uint64_t missing);
size_t websocket_held(const struct websocket *w);

#endif
