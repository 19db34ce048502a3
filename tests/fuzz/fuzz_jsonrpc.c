#include "fuzz_conn.h"

/* The first byte tells whether we joined late; the rest is operations on a pipe. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct conn_info info = { .id = 1, .source = SOURCE_PIPE };

	if (!len)
		return 0;
	info.joined_late = *p & 1;
	return fuzz_conn(&info, p + 1, len - 1);
}
