#include "proto/framer.h"

#include "base/mem.h"

#include <stdlib.h>

static const struct framer_kind *const kinds[] = {
	&framer_sse,
	&framer_jsonl,
};

struct framer {
	const struct framer_kind *kind;
	void *state;
};

static bool takes(const struct framer_kind *k, struct span type)
{
	for (const char *const *t = k->types; *t; t++)
		if (span_ieq(type, span_of(*t)))
			return true;
	return false;
}

struct framer *framer_open(struct span content_type, const struct framer_sink *sink)
{
	struct span type;

	if (!span_split(&content_type, ';', &type))
		return NULL;
	type = span_trim(type);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!takes(kinds[i], type))
			continue;
		struct framer *f = mem_alloc(sizeof(*f));
		f->kind = kinds[i];
		f->state = f->kind->open(sink);
		return f;
	}
	return NULL;
}

void framer_feed(struct framer *f, const char *p, size_t len)
{
	f->kind->feed(f->state, p, len);
}

void framer_gap(struct framer *f)
{
	f->kind->gap(f->state);
}

void framer_end(struct framer *f, bool complete)
{
	f->kind->end(f->state, complete);
}

size_t framer_held(const struct framer *f)
{
	return f ? f->kind->held(f->state) : 0;
}

void framer_close(struct framer *f)
{
	if (!f)
		return;
	f->kind->close(f->state);
	free(f);
}
