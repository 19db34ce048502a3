/* JSON stays JSON without its secrets, there are none the second time, and masks keep the length. */
#include "base/json.h"
#include "base/limits.h"
#include "base/redact.h"

#include <stdlib.h>

static struct redactor *plain, *patterns;

static void need(bool holds)
{
	if (!holds)
		abort();
}

static void make(void)
{
	static const char *const texts[] = { "a+b", "[0-9]{3}", "\"" };
	struct redact_options o = { .salt = { 1, 2 } };
	char why[REDACT_WHY];

	need(redactor_new(&o, &plain, why) == 0);
	o.patterns = texts;
	o.n_patterns = 3;
	need(redactor_new(&o, &patterns, why) == 0);
}

static void redact(struct redactor *r, struct span text)
{
	struct buf out;
	struct span value, rest;
	struct secret s;

	buf_init(&out, 64 * MIB);
	need(redact_text(r, text, &out) >= 0);
	buf_clear(&out);
	if (json_value(text, &value, NULL) == 0) {
		need(redact_json(r, value, &out) >= 0);
		need(json_value(buf_span(&out), &value, &rest) == 0 && rest.len == 0);
		/* A pattern may leave words where none were. */
		need(r != plain || !secret_find(value, 0, &s));
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	if (!plain)
		make();
	redact(plain, span_at(p, len));
	redact(patterns, span_at(p, len));
	char *copy = malloc(len + 1);
	if (len)
		memcpy(copy, p, len);
	redact_mask(plain, copy, len);
	for (size_t i = 0; i < len; i++)
		need(copy[i] != '"' || p[i] == '"');
	free(copy);
	return 0;
}
