/*
 * Credentials never reach disk, screen or network. Known shapes of secrets are found in any text (also inside raw JSON,
 * which stays valid) and become `[REDACTED:kind:hash]`; in capture files they are masked in place, length kept. The hash
 * is keyed per run: equal secrets can be told apart without being known.
 *
 * Precise on purpose: what has no shape of a secret (a git hash, a UUID, "sk-learn") is left alone.
 */
#ifndef CF_BASE_REDACT_H
#define CF_BASE_REDACT_H

#include "base/buf.h"
#include "base/span.h"

struct redactor;

struct redact_options {
	uint64_t salt[2];            /* of the run */
	const char *const *patterns; /* POSIX extended regular expressions of the user; matched in each JSON text by itself */
	size_t n_patterns;
	const char *replacement;     /* used literally when not NULL */
	bool inputs;                 /* drop what was sent, keep the structure (for step_redact) */
	bool outputs;                /* drop what came back */
};

#define REDACT_WHY 160
/* 0, or -EINVAL for a bad pattern: why names it. -ENOMEM. */
int redactor_new(const struct redact_options *o, struct redactor **out, char why[REDACT_WHY]);
void redactor_free(struct redactor *r);
bool redactor_drops_inputs(const struct redactor *r);
bool redactor_drops_outputs(const struct redactor *r);

/* Appends text without its secrets. The number of secrets, or -ENOSPC: then nothing was added. */
int redact_text(const struct redactor *r, struct span text, struct buf *out);
/* The same for one JSON value: what comes out is JSON again. */
int redact_json(const struct redactor *r, struct span raw, struct buf *out);
/* The value of a header field: the whole value for names that carry credentials (the scheme, "Bearer", stays). */
int redact_header(const struct redactor *r, struct span name, struct span value, struct buf *out);
bool redact_is_secret_header(struct span name);

/* Overwrites secrets in place, also HTTP/1 header lines that carry credentials; their number. */
size_t redact_mask(const struct redactor *r, char *p, size_t len);

/* One secret in a text. */
struct secret {
	const char *kind;
	size_t at;
	size_t len;
};
/* The first secret at or behind `from`. */
bool secret_find(struct span text, size_t from, struct secret *out);

#endif
