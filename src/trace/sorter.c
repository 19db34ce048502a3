#include "trace/sorter.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* One sorted block in the file, read through a window. */
struct sorter_part {
	uint64_t at; /* next record to read, counted from the start of the file */
	uint64_t end;
	char *window;
	size_t n;
	size_t next;
};

void sorter_init(struct sorter *s, size_t size, int (*compare)(const void *, const void *), int dir)
{
	*s = (struct sorter){ .compare = compare, .size = size, .dir = dir, .fd = -1 };
}

void sorter_fini(struct sorter *s)
{
	for (size_t i = 0; i < s->n_parts; i++)
		free(s->parts[i].window);
	free(s->parts);
	free(s->items);
	if (s->fd >= 0)
		close(s->fd);
	sorter_init(s, s->size, s->compare, s->dir);
}

static size_t block_records(const struct sorter *s)
{
	return LIMIT_SORT_MEMORY / s->size;
}

static int open_temporary(int dir)
{
	const char *tmp = getenv("TMPDIR");
	const char *path = dir != AT_FDCWD ? "." : tmp && *tmp ? tmp : "/tmp";
	int fd = openat(dir, path, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

	/* File systems without O_TMPFILE: memory that can at least be swapped. */
	return fd >= 0 ? fd : memfd_create("cf-sort", MFD_CLOEXEC);
}

static int write_all(int fd, const char *p, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* The block in memory becomes a part of the file. */
static int store_block(struct sorter *s)
{
	if (s->fd < 0) {
		s->fd = open_temporary(s->dir);
		if (s->fd < 0)
			return -errno;
	}
	struct sorter_part *parts = realloc(s->parts, (s->n_parts + 1) * sizeof(*parts));
	if (!parts)
		return -ENOMEM;
	s->parts = parts;
	qsort(s->items, s->n, s->size, s->compare);
	int err = write_all(s->fd, s->items, s->n * s->size, s->n_stored * s->size);
	if (err)
		return err;
	parts[s->n_parts++] = (struct sorter_part){ .at = s->n_stored, .end = s->n_stored + s->n };
	s->n_stored += s->n;
	s->n = 0;
	return 0;
}

int sorter_add(struct sorter *s, const void *record)
{
	if (s->n == block_records(s)) {
		int err = store_block(s);
		if (err)
			return err;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		if (cap > block_records(s))
			cap = block_records(s);
		char *items = realloc(s->items, cap * s->size);
		if (!items)
			return -ENOMEM;
		s->items = items;
		s->cap = cap;
	}
	memcpy(s->items + s->n++ * s->size, record, s->size);
	return 0;
}

/* All the windows together take as much memory as one block. */
static size_t window_records(const struct sorter *s)
{
	size_t n = block_records(s) / s->n_parts;

	return n < 16 ? 16 : n;
}

static int fill_window(struct sorter *s, struct sorter_part *part)
{
	size_t want = window_records(s);

	if (want > part->end - part->at)
		want = (size_t)(part->end - part->at);
	if (!part->window)
		part->window = malloc(window_records(s) * s->size);
	if (!part->window)
		return -ENOMEM;
	for (size_t have = 0; have < want * s->size;) {
		ssize_t n = pread(s->fd, part->window + have, want * s->size - have,
				  (off_t)(part->at * s->size + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		have += (size_t)n;
	}
	part->at += want;
	part->n = want;
	part->next = 0;
	return 0;
}

int sorter_sort(struct sorter *s)
{
	int err = 0;

	s->next = 0;
	if (!s->n_parts) {
		if (s->n)
			qsort(s->items, s->n, s->size, s->compare);
		return 0;
	}
	if (s->n)
		err = store_block(s);
	free(s->items);
	s->items = NULL;
	s->n = s->cap = 0;
	for (size_t i = 0; !err && i < s->n_parts; i++)
		err = fill_window(s, &s->parts[i]);
	return err;
}

int sorter_next(struct sorter *s, void *record)
{
	struct sorter_part *least = NULL;
	const char *found = NULL;

	if (!s->n_parts) {
		if (s->next == s->n)
			return 0;
		memcpy(record, s->items + s->next++ * s->size, s->size);
		return 1;
	}
	for (size_t i = 0; i < s->n_parts; i++) {
		struct sorter_part *part = &s->parts[i];
		if (part->next == part->n)
			continue;
		const char *item = part->window + part->next * s->size;
		if (!found || s->compare(item, found) < 0) {
			found = item;
			least = part;
		}
	}
	if (!found)
		return 0;
	memcpy(record, found, s->size);
	if (++least->next == least->n && least->at < least->end) {
		int err = fill_window(s, least);
		if (err)
			return err;
	}
	return 1;
}
