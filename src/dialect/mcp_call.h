#ifndef CF_DIALECT_MCP_CALL_H
#define CF_DIALECT_MCP_CALL_H

#include "dialect/message.h"

/* True for a JSON-RPC request of MCP; *method may be NULL. */
bool mcp_is_request(struct span message, struct span *method);
/* A request and its answer (SPAN_NONE: none came) as a call. Both are checked JSON. */
void mcp_read(struct call *c, struct span request, struct span answer);

#endif
