#include "feed/feed.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORD_HEADER 8
#define BUSY (1u << 31)
#define DISCARD (1u << 30)

int ring_open(int map_fd, size_t size, struct ring *out)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *c = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);

	if (c == MAP_FAILED)
		return -errno;
	/* The data pages are mapped twice, one behind the other: no record is ever split. */
	char *p = mmap(NULL, page + 2 * size, PROT_READ, MAP_SHARED, map_fd, (off_t)page);
	if (p == MAP_FAILED) {
		int err = -errno;
		munmap(c, page);
		return err;
	}
	*out = (struct ring){ .consumer = c, .producer = (void *)p, .data = p + page, .size = size };
	out->at = *out->consumer;
	return 0;
}

void ring_close(struct ring *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!r->consumer)
		return;
	munmap((void *)r->consumer, page);
	munmap((void *)r->producer, page + 2 * r->size);
	*r = (struct ring){ 0 };
}

const void *ring_next_raw(struct ring *r, size_t *len)
{
	unsigned long end = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);

	while (r->at < end) {
		const char *head = r->data + (r->at & (r->size - 1));
		unsigned int n = __atomic_load_n((const unsigned int *)(const void *)head, __ATOMIC_ACQUIRE);
		if (n & BUSY)
			return NULL;
		size_t room = n & ~DISCARD;
		r->at += (room + RECORD_HEADER + 7) & ~7ul;
		if (n & DISCARD)
			continue;
		*len = room;
		return head + RECORD_HEADER;
	}
	return NULL;
}

const struct cf_event *ring_next(struct ring *r)
{
	const struct cf_event *e;
	size_t len;

	while ((e = ring_next_raw(r, &len)))
		if (len >= sizeof(*e) && e->size >= sizeof(*e) && e->size <= len)
			return e;
	return NULL;
}

void ring_release(struct ring *r)
{
	__atomic_store_n(r->consumer, r->at, __ATOMIC_RELEASE);
}

unsigned long ring_end(const struct ring *r)
{
	return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

size_t ring_waiting(const struct ring *r)
{
	return ring_end(r) - r->at;
}
