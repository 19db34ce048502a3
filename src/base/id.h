/* Identifiers from a seed: the same stream of events gives the same ids, so a replay is byte-identical. */
#ifndef CF_BASE_ID_H
#define CF_BASE_ID_H

#include <stdint.h>

struct id_source {
	uint64_t key[2];
	uint64_t n;
};

void id_init(struct id_source *s, uint64_t seed);
uint64_t id_next(struct id_source *s);
/* RFC 9562 version 4 layout, 36 characters and a NUL. */
void id_uuid(struct id_source *s, char out[37]);

#endif
