/*
 * Facts: what the capture process learns outside the kernel, as records of the same stream. They are few, so their
 * payload is one JSON object: self-describing and additive. Members that are not known are left out.
 */
#ifndef CF_FEED_FACT_H
#define CF_FEED_FACT_H

#include "base/span.h"
#include "event.h"

enum cf_fact_kind {
	/* {"version","host","kernel","arch","boot_id","wall_offset_ns":unix time - boot time,"seed","command":[...],
	 * "observer_pid","utc_offset_s"}. First record of every stream. */
	CF_FACT_HOST = CF_FACT_FIRST,
	/* A process that is followed. {"pid","start_ns","ppid","inner_pid","exe","argv":[...],"cwd","comm","uid","root":bool (named
	 * by the user),"container":{"id","name","image","pod"}} header pid/start_ns are the same. */
	CF_FACT_PROCESS,
	/* A library or executable with TLS in it. {"pid","path","library","build_id","method","hooked":bool,"functions":n,"reason"} */
	CF_FACT_LIBRARY,
	/* An agent framework or SDK found in the process. {"pid","name","version","kind":"framework|sdk|agent","evidence"} */
	CF_FACT_FRAMEWORK,
	/* Totals since the start; "tell": true when somebody asked (SIGUSR1). {"events","data_events" (of those),"bytes",
	 * "lost_ring","lost_ring_bytes","lost_fault","lost_fault_bytes","lost_clamp","lost_clamp_bytes",
	 * "lost_map","lost_control","nested","lost_queue","lost_queue_bytes"} */
	CF_FACT_COUNTERS,
	/* {} the clock of everything right of the stream; about once a second */
	CF_FACT_TICK,
	/* {"reason":"agent exited|signal|duration|detached: ...","sent": records that capture made, this one included}
	 * no kernel event follows it but final positions */
	CF_FACT_STOP,
	/* All is attached. {"processes":n,"hooked":n,"not_hooked":n} */
	CF_FACT_READY,
	/* A process that is followed but not covered, or only from now on. {"pid","reason"} */
	CF_FACT_GAP,
};

struct cf_fact {
	struct cf_event h;
	__cf_u32 len;
	__cf_u32 pad;
	char json[];
};

static inline struct span fact_json(const struct cf_event *e)
{
	const struct cf_fact *f = (const void *)e;

	if (e->size < sizeof(*f) || f->len > e->size - sizeof(*f))
		return SPAN_NONE;
	return span_at(f->json, f->len);
}

#endif
