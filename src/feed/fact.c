#include "feed/feed.h"

const struct cf_event *fact_make(struct buf *out, uint16_t kind, uint64_t ts_ns, uint32_t pid, uint64_t start_ns,
				 struct span json)
{
	struct cf_fact f = {
		.h = {
			.size = (uint32_t)(sizeof(f) + json.len),
			.kind = kind,
			.ts_ns = ts_ns,
			.pid = pid,
			.tid = pid,
			.start_ns = start_ns,
		},
		.len = (uint32_t)json.len,
	};

	buf_clear(out);
	if (buf_add(out, &f, sizeof(f)) || buf_add_span(out, json))
		return NULL;
	return (const void *)out->p;
}
