/* A call as one JSON object with everything known: for tests and for people who write a dialect. */
#ifndef CF_DIALECT_DUMP_H
#define CF_DIALECT_DUMP_H

#include "base/buf.h"
#include "dialect/call.h"

/* 0 or -ENOSPC */
int call_dump(const struct call *c, struct buf *out);

#endif
