#include "base/id.h"

#include "base/map.h"

#include <stdio.h>

void id_init(struct id_source *s, uint64_t seed)
{
	*s = (struct id_source){ .key = { hash_mix(seed + 1), hash_mix(seed ^ 0x5bd1e995a5a5a5a5ull) } };
}

uint64_t id_next(struct id_source *s)
{
	uint64_t n = s->n++;

	return hash_sip(s->key, &n, sizeof(n));
}

void id_uuid(struct id_source *s, char out[37])
{
	uint64_t a = id_next(s), b = id_next(s);

	a = (a & ~0xf000ull) | 0x4000ull;                                 /* version 4 */
	b = (b & ~(3ull << 62)) | (2ull << 62);                           /* variant 10 */
	snprintf(out, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned int)(a >> 32), (unsigned int)(a >> 16) & 0xffff,
		 (unsigned int)a & 0xffff, (unsigned int)(b >> 48), (unsigned long long)(b & 0xffffffffffffull));
}
