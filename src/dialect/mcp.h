/*
 * The Model Context Protocol: over HTTP it is a dialect (an exchange is one call); on pipes its messages come one by one
 * and are paired here, by the direction of the request and its id. Sans-IO; one session for each connection.
 */
#ifndef CF_DIALECT_MCP_H
#define CF_DIALECT_MCP_H

#include "dialect/call.h"

struct mcp_session;
/* `ex` stands for the pair: conn, client and times are set, there is no HTTP in it. Both end with the callback. */
typedef void (*mcp_on_call)(void *ctx, const struct exchange *ex, const struct call *call);

struct mcp_session *mcp_new(const struct conn_info *conn, mcp_on_call on_call, void *ctx);
/* One message; false when it is none of JSON-RPC 2.0 (then nothing happened). */
bool mcp_feed(struct mcp_session *s, const struct frame *f);
/* Requests that still wait are given out as incomplete, with `why`. */
void mcp_finish(struct mcp_session *s, uint64_t ts_ns, const char *why);
void mcp_free(struct mcp_session *s);
/* Bytes that waiting requests hold. */
size_t mcp_held(const struct mcp_session *s);

#endif
