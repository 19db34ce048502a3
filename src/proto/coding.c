#include "proto/coding.h"

#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

static const struct coding *const codings[] = {
	&coding_gzip,
	&coding_deflate,
	&coding_br,
	&coding_zstd,
};

/* Nobody stacks more than two; each stage multiplies what a bomb can do. */
#define MAX_STAGES 4
/* The ratio is judged against input rounded up to this grid, so that it does not depend on how the input was cut. */
#define GRID 4096

struct stage {
	struct coding_chain *chain;
	const struct coding *coding;
	void *state;
	uint64_t in;
	uint64_t out;
};

struct coding_chain {
	struct stage stages[MAX_STAGES]; /* [0] takes the wire bytes */
	size_t n;
	coding_sink sink;
	void *ctx;
	const char *why;
};

static const struct coding *coding_find(struct span name)
{
	for (size_t i = 0; i < sizeof(codings) / sizeof(*codings); i++)
		for (const char *const *n = codings[i]->names; *n; n++)
			if (span_ieq(name, span_of(*n)))
				return codings[i];
	return NULL;
}

static bool stage_feed(struct stage *s, const char *p, size_t len);

static bool on_out(void *ctx, const char *p, size_t len)
{
	struct stage *s = ctx;
	struct coding_chain *c = s->chain;
	uint64_t in = (s->in + GRID - 1) / GRID * GRID;

	s->out += len;
	if (s->out > MIB + LIMIT_DECODE_RATIO * in) {
		c->why = "expands beyond the limit";
		return false;
	}
	if (s + 1 == c->stages + c->n)
		return c->sink(c->ctx, p, len);
	return stage_feed(s + 1, p, len);
}

/* -ECANCELED: a later stage has said why, or the owner wants no more and knows. */
static bool stage_check(struct stage *s, int err)
{
	if (err && err != -ECANCELED)
		s->chain->why = "malformed content coding";
	return !err;
}

static bool stage_feed(struct stage *s, const char *p, size_t len)
{
	while (len) {
		size_t cell = GRID - s->in % GRID;
		size_t n = len < cell ? len : cell;

		s->in += n;
		if (!stage_check(s, s->coding->decode(s->state, p, n, on_out, s)))
			return false;
		p += n;
		len -= n;
	}
	return true;
}

static const char *add_stage(struct coding_chain *c, struct span name)
{
	const struct coding *coding = coding_find(name);

	if (!name.len || span_ieq(name, SPAN("identity")))
		return NULL;
	if (!coding)
		return "unknown content coding";
	if (c->n == MAX_STAGES)
		return "too many content codings";
	/* The last coding named was applied last: it is undone first. */
	memmove(c->stages + 1, c->stages, c->n * sizeof(*c->stages));
	c->stages[0] = (struct stage){ .chain = c, .coding = coding };
	c->n++;
	return NULL;
}

struct coding_chain *coding_open(struct span names, coding_sink sink, void *ctx, const char **why)
{
	struct coding_chain *c = mem_alloc(sizeof(*c));
	struct span name;

	*why = NULL;
	c->sink = sink;
	c->ctx = ctx;
	while (!*why && span_split(&names, ',', &name))
		*why = add_stage(c, span_trim(name));
	if (*why || !c->n) {
		free(c);
		return NULL;
	}
	for (size_t i = 0; i < c->n; i++)
		c->stages[i].state = c->stages[i].coding->open();
	return c;
}

const char *coding_feed(struct coding_chain *c, const char *p, size_t len)
{
	stage_feed(&c->stages[0], p, len);
	return c->why;
}

const char *coding_end(struct coding_chain *c)
{
	for (struct stage *s = c->stages; s < c->stages + c->n && !c->why; s++) {
		if (!s->in)
			continue; /* an empty body needs no coded stream: answers to HEAD-like requests */
		if (s->coding->end(s->state, on_out, s) && !c->why)
			c->why = "ends in the middle of the coded stream";
	}
	return c->why;
}

void coding_close(struct coding_chain *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		c->stages[i].coding->close(c->stages[i].state);
	free(c);
}
