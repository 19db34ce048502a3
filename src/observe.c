#include "observe.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/exit.h"
#include "feed/feed.h"
#include "pipeline.h"
#include "sandbox.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel wakes us only when the ring fills: this is how late a step may be told, while there is traffic and without. */
#define POLL_MS 10
#define POLL_IDLE_MS 100
#define SLICE_BYTES (4 * MIB) /* parsed before the ring is drained again */
#define DIRECT_SHARE 8           /* of the ring, that may wait while records are parsed in it */
#define RELEASE_BYTES (64 * KIB) /* parsed in the ring before the room is given back */
#define FACT_MAX (256 * KIB)

struct observer {
	struct pipeline *pipeline;
	struct ring ring;
	struct queue queue;
	struct capfile *record;
	int record_error;
	struct redactor *masks; /* of the capture file; NULL: --raw-secrets */
	int channel;
	bool channel_ended;
};

static void ask(void *ctx, const struct request *r)
{
	const struct observer *o = ctx;

	/* Never waits: capture may be waiting for us. Unasked, a socket stays sampled, which the trace shows. */
	send(o->channel, r, sizeof(*r), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Where the bytes of the outside world begin in a record; 0: it has none. */
static size_t payload_at(const struct cf_event *e)
{
	static const struct {
		uint16_t kind;
		uint16_t at;
	} kinds[] = {
		{ CF_EV_DATA, sizeof(struct cf_data) },
		{ CF_EV_EXEC, sizeof(struct cf_exec) },
		{ CF_EV_FILE, sizeof(struct cf_file) },
		{ CF_EV_STEP, sizeof(struct cf_step) },
	};

	if (e->kind >= CF_FACT_FIRST)
		return sizeof(struct cf_fact);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == e->kind)
			return kinds[i].at;
	return 0;
}

/* Secrets are masked in the queue's own copy: the record goes nowhere else. */
static void keep(struct observer *o, const struct cf_event *e)
{
	size_t at = payload_at(e);

	if (o->masks && at && e->size > at)
		redact_mask(o->masks, (char *)e + at, e->size - at);
	int err = capfile_write(o->record, e);
	if (err && !o->record_error) {
		o->record_error = err;
		log_error("the capture file could not be written: %s. What came before is kept", strerror(-err));
	}
}

static void handle(struct observer *o, const struct cf_event *e)
{
	if (o->record)
		keep(o, e);
	else
		pipeline_event(o->pipeline, e);
}

/*
 * With nothing queued and little waiting, records are parsed where they lie: half of the work on bulk data is copying it.
 * What a slow parser would keep from the kernel meanwhile is little too.
 */
static void parse_ring(struct observer *o)
{
	const struct cf_event *e;
	size_t done = 0, waiting = ring_waiting(&o->ring);

	if (o->record || o->queue.bytes || waiting > o->ring.size / DIRECT_SHARE)
		return;
	unsigned long end = ring_end(&o->ring), released = o->ring.at;
	while (o->ring.at < end && (e = ring_next(&o->ring))) {
		done += e->size;
		pipeline_event(o->pipeline, e);
		if (o->ring.at - released >= RELEASE_BYTES) {
			ring_release(&o->ring);
			released = o->ring.at;
		}
	}
	ring_release(&o->ring);
	if (done)
		pipeline_flush(o->pipeline);
}

static void parse_slice(struct observer *o)
{
	const struct cf_event *e;
	size_t done = 0;

	while (done < SLICE_BYTES && (e = queue_pop(&o->queue))) {
		done += e->size;
		handle(o, e);
	}
	if (done && o->pipeline)
		pipeline_flush(o->pipeline);
}

/* One fact into the queue; false: there is none now. */
static bool take_one(struct observer *o, bool first)
{
	static _Alignas(8) char room[FACT_MAX];
	const struct cf_event *e = (const void *)room;
	ssize_t n;

	do
		n = recv(o->channel, room, sizeof(room), first ? 0 : MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		o->channel_ended = true;
		return false;
	}
	if ((size_t)n < sizeof(*e) || e->size != (size_t)n)
		return true;
	/* A fact speaks of what happened before it: the ring goes first. But not before those that say who is watched. */
	for (unsigned long end = ring_end(&o->ring); !first && !queue_drain(&o->queue, &o->ring, end);)
		parse_slice(o);
	while (!queue_push(&o->queue, e))
		parse_slice(o);
	return !first || e->kind != CF_FACT_READY;
}

static void take_facts(struct observer *o)
{
	while (!o->channel_ended && o->queue.bytes < o->queue.max / 2)
		if (!take_one(o, false))
			return;
}

static void loop(struct observer *o, int ring_fd)
{
	struct pollfd p[] = { { .fd = ring_fd, .events = POLLIN }, { .fd = o->channel, .events = POLLIN } };

	int wait_ms = POLL_MS;

	while (take_one(o, true))
		;
	while (!o->channel_ended || o->queue.bytes || ring_waiting(&o->ring)) {
		if (o->channel_ended)
			p[1].fd = -1;
		poll(p, 2, o->queue.bytes ? 0 : wait_ms);
		wait_ms = ring_waiting(&o->ring) ? POLL_MS : wait_ms * 2 < POLL_IDLE_MS ? wait_ms * 2 : POLL_IDLE_MS;
		parse_ring(o);
		queue_drain(&o->queue, &o->ring, ring_end(&o->ring));
		take_facts(o);
		parse_slice(o);
	}
}

static int open_record(struct observer *o, const struct options *opt)
{
	char why[REDACT_WHY];
	struct buf header;

	if (!opt->raw_secrets && pipeline_redactor(opt, 0, &o->masks, why)) {
		log_error("--redact: %s", why);
		return EXIT_USAGE;
	}
	int fd = open(opt->capture, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		log_error("cannot write %s: %s", opt->capture, strerror(errno));
		return EXIT_WRITE;
	}
	buf_init(&header, 64 * KIB);
	feed_header(&header);
	capfile_create(fd, buf_span(&header), &o->record);
	buf_fini(&header);
	return 0;
}

int observe_main(const struct options *opt, int channel, int ring_fd, size_t ring_bytes)
{
	struct observer o = { .channel = channel };
	struct pipeline_hooks hooks = { ask, &o };
	char why[512];
	int status, err;

	if (ring_open(ring_fd, ring_bytes, &o.ring)) {
		log_error("the event ring could not be mapped");
		return EXIT_INTERNAL;
	}
	sandbox_drop(channel, ring_fd);
	if (opt->capture) {
		status = open_record(&o, opt);
		if (status)
			return status;
	} else if ((err = pipeline_new(opt, &hooks, &o.pipeline, why, sizeof(why)))) {
		log_error("%s", why);
		return err == -EINVAL ? EXIT_USAGE : EXIT_WRITE;
	}
	/* Capture waits for this. */
	send(channel, "", 1, MSG_NOSIGNAL);
	sandbox_enter();
	queue_init(&o.queue, LIMIT_QUEUE);
	loop(&o, ring_fd);
	status = EXIT_FINE;
	if (o.record) {
		if (capfile_flush(o.record) || o.record_error)
			status = EXIT_WRITE;
		capfile_close(o.record);
	} else {
		status = pipeline_finish(o.pipeline, "the capture process ended");
		if (!status && opt->command->bit == CMD_ATTACH && !pipeline_covered(o.pipeline)) {
			log_error("nothing could be hooked: no TLS library that is known was loaded, and no call was seen. "
				  "Run: cf-observe doctor --pid %u", opt->pids[0]);
			status = EXIT_UNHOOKED;
		}
		pipeline_free(o.pipeline);
	}
	return status;
}

int cmd_replay(const struct options *opt)
{
	struct pipeline *p;
	struct capfile *f;
	struct buf header;
	char why[512];
	int err, fd = open(opt->args[0], O_RDONLY | O_CLOEXEC);
	const struct cf_event *e;

	if (fd < 0) {
		log_error("cannot read %s: %s", opt->args[0], strerror(errno));
		return EXIT_TARGET;
	}
	buf_init(&header, 64 * KIB);
	if (capfile_open(fd, &header, &f)) {
		log_error("%s is no capture file of cf-observe record", opt->args[0]);
		return EXIT_TARGET;
	}
	if ((err = pipeline_new(opt, NULL, &p, why, sizeof(why)))) {
		log_error("%s", why);
		return err == -EINVAL ? EXIT_USAGE : EXIT_WRITE;
	}
	sandbox_enter();
	while ((e = capfile_next(f, &err)))
		pipeline_event(p, e);
	if (err)
		log_warn("%s ends in the middle of a record; what came before it was used", opt->args[0]);
	int status = pipeline_finish(p, err ? "the capture file is cut" : "end of the capture file");
	pipeline_free(p);
	capfile_close(f);
	buf_fini(&header);
	close(fd);
	return status;
}
