/* Between the files of the run writer. */
#ifndef CF_TRACE_WRITE_PLACE_H
#define CF_TRACE_WRITE_PLACE_H

#include "trace/write.h"

/* Where a step's last line is. */
struct place {
	uint64_t id_hash;
	int64_t began_ns;
	uint64_t at;
	uint64_t arrival;
	size_t len;
};

void run_writer_init(struct run_writer *w, int dir, uid_t uid, gid_t gid);
void run_writer_fini(struct run_writer *w);
/* A step's line is at this place of the journal; the last place of an id counts. */
int run_writer_add_place(struct run_writer *w, struct span id, int64_t began_ns, uint64_t at, size_t len);
/* A new file in the directory, for its owner alone: a descriptor or -errno. */
int run_writer_create(const struct run_writer *w, const char *name);
/* *done: bytes that were written before it failed. */
int run_writer_write(int fd, const char *p, size_t len, size_t *done);

#endif
