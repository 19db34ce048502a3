/* Times in text. Wall-clock times are nanoseconds since 1970-01-01 UTC. Nothing here reads a clock. */
#ifndef CF_BASE_TIMEFMT_H
#define CF_BASE_TIMEFMT_H

#include "base/span.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
#define TIME_TEXT_LEN 25 /* "2026-01-21T10:30:00.123Z" and the NUL */

/* RFC 3339, UTC, milliseconds (truncated), Z. */
void time_format(int64_t unix_ns, char out[TIME_TEXT_LEN]);
/* RFC 3339 with any fraction and offset (also a blank for T, and no offset = UTC). 0 or -EINVAL. */
int time_parse(struct span text, int64_t *unix_ns);
/* "12:04:07" in UTC+offset_s. */
void time_clock(int64_t unix_ns, int offset_s, char out[9]);

#endif
