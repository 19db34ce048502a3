/* Who served a call, as far as host and headers say. A hint: gateways and local servers speak other vendors' dialects. */
#ifndef CF_DIALECT_PROVIDER_H
#define CF_DIALECT_PROVIDER_H

#include "proto/exchange.h"

/* SPAN_NONE when nothing says it. */
struct span provider_of(const struct exchange *ex);

#endif
