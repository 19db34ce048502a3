/* What the readers of dialects share: checked JSON, members in one pass, pieces of streamed strings. */
#ifndef CF_DIALECT_READ_H
#define CF_DIALECT_READ_H

#include "base/json.h"
#include "dialect/call.h"

/*
 * The JSON of a body or frame: checked, valid UTF-8. Cut or broken text is closed behind its last whole value, and the
 * call becomes incomplete. SPAN_NONE when there is nothing to read.
 */
struct span read_json(struct call *c, struct span text);
/* The request's body and, when the answer is not streamed, the response's. */
struct span read_request(const struct exchange *ex, struct call *c);
struct span read_response(const struct exchange *ex, struct call *c);
/* One streamed piece; SPAN_NONE for "[DONE]", blanks and what is no JSON. */
struct span read_frame(const struct frame *f, struct call *c);
/* Marks the call; the first reason stays. */
void read_incomplete(struct call *c, const char *reason);
/*
 * The stream has said its last word, or an error instead. Many clients stop reading there and close: what HTTP would
 * still have sent (the last chunk, the end of a gzip stream) is nothing of the call's.
 */
void read_stream_ended(const struct exchange *ex, struct call *c);

/* One pass over an object: each wanted member's raw value; null counts as absent, the last of equal names wins. */
struct pick {
	const char *name;
	struct span *to;
};
void read_picks(struct span object, const struct pick *picks, size_t n);
#define PICK(object, ...)                                        \
	read_picks(object, (const struct pick[]){ __VA_ARGS__ }, \
		   sizeof((const struct pick[]){ __VA_ARGS__ }) / sizeof(struct pick))

struct span read_text(struct call *c, struct span raw); /* json_text into the call's arena */
struct span read_quoted(struct call *c,
			struct span text); /* raw JSON string of a text; absent stays absent */
int64_t read_count(struct span raw);	   /* whole number >= 0, else TOKENS_UNKNOWN */
/* As read_count, into *to, but leaves it alone when unknown. */
void read_count_into(struct span raw, int64_t *to);

/* A raw JSON string that grows by the insides of other raw strings: escapes stay as sent, split surrogates meet. */
struct joined {
	char *p;
	size_t len;
	size_t cap;
};
void joined_add(struct call *c, struct joined *j, struct span raw); /* not a string: ignored */
struct span joined_raw(struct joined *j); /* with quotes; SPAN_NONE when nothing was added */

/* Members of the step's metadata. The last of equal names is not checked: add each once. */
void read_meta(struct call *c, const char *name, struct span raw);
/* The members of `object` whose names are in the list (ended by NULL) as {"params": {...}}. */
void read_params(struct call *c, struct span object, const char *const *names);

/* Sets the error from a provider's error value: an object with type/code/status/message, or a text. */
void read_error(struct call *c, struct span raw);

/* The first JSON that the answer shows, for requests that were not seen. Not copied; may be SPAN_NONE. */
struct span read_peek(const struct exchange *ex);
/* True when the body's outermost object has this member; looks only as far as needed. */
bool read_has(struct span body, const char *name);
/* "POST" or not seen. */
bool read_posted(const struct exchange *ex);

#endif
