/* Sorts any number of small records in bounded memory: full blocks go, sorted, to an unlinked temporary file. */
#ifndef CF_TRACE_SORTER_H
#define CF_TRACE_SORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sorter_part;
struct sorter {
	int (*compare)(const void *a, const void *b);
	size_t size; /* of one record */
	char *items; /* those in memory */
	size_t n;
	size_t cap;
	size_t next;
	int dir;     /* where the temporary file goes; AT_FDCWD: $TMPDIR or /tmp */
	int fd;      /* -1: all in memory */
	uint64_t n_stored;
	struct sorter_part *parts;
	size_t n_parts;
};

void sorter_init(struct sorter *s, size_t size, int (*compare)(const void *, const void *), int dir);
void sorter_fini(struct sorter *s);
/* 0, -ENOMEM or what the file system said. */
int sorter_add(struct sorter *s, const void *record);
/* After the last add. */
int sorter_sort(struct sorter *s);
/* 1: the next record in order; 0: no more; < 0: reading failed. */
int sorter_next(struct sorter *s, void *record);

#endif
