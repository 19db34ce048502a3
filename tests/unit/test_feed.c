/* The ring as the kernel writes it, and the queue behind it. */
#include "feed/feed.h"

#include <check.h>
#include <stdlib.h>

#define SIZE 65536
#define HEADER 8
#define BUSY (1u << 31)
#define DISCARD (1u << 30)

static unsigned long consumer, producer;
static char *data;

static struct ring made(void)
{
	consumer = producer = 0;
	free(data);
	data = calloc(2, SIZE);
	return (struct ring){ .consumer = &consumer, .producer = &producer, .data = data, .size = SIZE };
}

/* One record as bpf_ringbuf_submit leaves it; the two mappings of the pages are one. */
static void put(uint32_t number, uint32_t size, uint32_t mark)
{
	struct cf_event e = { .size = size, .kind = CF_EV_DATA, .pid = number };
	size_t at = producer & (SIZE - 1);
	char *room = calloc(1, size + HEADER);

	memcpy(room, &(uint32_t){ size | mark }, sizeof(uint32_t));
	memcpy(room + HEADER, &e, sizeof(e));
	for (size_t i = 0; i < size + HEADER; i++)
		data[(at + i) & (SIZE - 1)] = data[SIZE + ((at + i) & (SIZE - 1))] = room[i];
	free(room);
	producer += (size + HEADER + 7) & ~7ul;
	ck_assert_uint_le(producer - consumer, SIZE);
}

START_TEST(a_full_queue_loses_nothing)
{
	struct ring r = made();
	struct queue q;
	uint32_t next = 0, sent = 0;
	int full = 0;

	queue_init(&q, 8000);
	while (next < 500) {
		while (sent < 500 && producer - consumer + 1100 < SIZE)
			put(sent, 100 + sent % 900, 0), sent++;
		full += !queue_drain(&q, &r, ring_end(&r));
		for (int i = 0; i < 3; i++) {
			const struct cf_event *e = queue_pop(&q);
			if (!e)
				break;
			ck_assert_uint_eq(e->pid, next);
			ck_assert_uint_eq(e->size, 100 + next % 900);
			next++;
		}
	}
	ck_assert_int_gt(full, 50);
	ck_assert_uint_eq(consumer, producer);
	ck_assert_ptr_null(queue_pop(&q));
	queue_fini(&q);
}
END_TEST

START_TEST(only_up_to_the_end_that_was_given)
{
	struct ring r = made();
	struct queue q;

	queue_init(&q, 100000);
	put(0, 200, 0);
	put(1, 200, 0);
	unsigned long end = ring_end(&r);
	put(2, 200, 0);
	ck_assert(queue_drain(&q, &r, end));
	ck_assert_uint_eq(q.bytes, 400);
	ck_assert_uint_eq(consumer, end);
	ck_assert_uint_gt(ring_waiting(&r), 0);
	queue_fini(&q);
}
END_TEST

START_TEST(discarded_records_are_skipped_and_unfinished_ones_waited_for)
{
	struct ring r = made();
	struct queue q;

	queue_init(&q, 100000);
	put(0, 200, DISCARD);
	put(1, 200, 0);
	put(2, 200, BUSY);
	put(3, 200, 0);
	ck_assert(queue_drain(&q, &r, ring_end(&r)));
	ck_assert_uint_eq(queue_pop(&q)->pid, 1);
	ck_assert_ptr_null(queue_pop(&q));
	/* It is committed. */
	data[(consumer + 3) & (SIZE - 1)] &= 0x7f;
	ck_assert(queue_drain(&q, &r, ring_end(&r)));
	ck_assert_uint_eq(queue_pop(&q)->pid, 2);
	ck_assert_uint_eq(queue_pop(&q)->pid, 3);
	ck_assert_uint_eq(ring_waiting(&r), 0);
	queue_fini(&q);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("feed");
	TCase *t = tcase_create("feed");

	tcase_add_test(t, a_full_queue_loses_nothing);
	tcase_add_test(t, only_up_to_the_end_that_was_given);
	tcase_add_test(t, discarded_records_are_skipped_and_unfinished_ones_waited_for);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	free(data);
	return failed != 0;
}
