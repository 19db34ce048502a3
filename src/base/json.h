/*
 * JSON as raw text. Values from the wire keep their exact bytes: they are scanned, cut out as spans and written
 * again unchanged, never turned into doubles or C strings. Reading is RFC 8259 with a depth limit
 * (LIMIT_JSON_DEPTH); writing goes into a buf.
 */
#ifndef CF_BASE_JSON_H
#define CF_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

enum json_type {
	JSON_NONE, /* absent or malformed */
	JSON_NULL,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* Kind of the value that `raw` holds, judged by its first byte. */
enum json_type json_type_of(struct span raw);

/*
 * The first value in `text` (leading white space skipped), checked as a whole. 0 and the exact span, -EINVAL for
 * malformed text, -EAGAIN when the text ends inside the value, -E2BIG past the depth limit.
 * *rest (may be NULL) is what follows the value.
 */
int json_value(struct span text, struct span *value, struct span *rest);
/* One value and nothing but white space behind it. */
bool json_valid(struct span text);

/* Walking: `raw` must have passed json_value once. Zero-initialise the iterator with json_iter. */
struct json_iter {
	struct span rest;
	bool object;
	bool begun;
};
struct json_iter json_iter(struct span raw);
/* Array: key is SPAN_NONE. Object: key is the raw string with quotes. false at the end. */
bool json_next(struct json_iter *it, struct span *key, struct span *value);

/* Member of an object by its (unescaped ASCII) name; SPAN_NONE when absent. The last of equal names wins. */
struct span json_get(struct span object, const char *name);
/* Path of members and [index]: "choices[0].message.content". */
struct span json_path(struct span raw, const char *path);
struct span json_at(struct span array, size_t index);
size_t json_count(struct span raw);

/* Text of a JSON string, unescaped into the arena. Lone surrogates become U+FFFD. Not a string: SPAN_NONE.
 * An empty string gives {"" , 0} with p != NULL. */
struct span json_text(struct arena *a, struct span raw);
/* json_get + json_text. */
struct span json_get_text(struct arena *a, struct span object, const char *name);
/* True when the raw string, unescaped, equals `text`. */
bool json_is(struct span raw, const char *text);
/* Whole numbers only (also 1.0 and 1e3 when exact); false for anything else. */
bool json_i64(struct span raw, int64_t *out);
bool json_double(struct span raw, double *out);
bool json_true(struct span raw);

/* Writing. Text is escaped; invalid UTF-8 becomes U+FFFD and sets *replaced when not NULL. */
int json_put_text(struct buf *b, struct span text, bool *replaced);
/* `"name":` with a comma before it unless the buffer ends in '{' or '['. */
int json_put_key(struct buf *b, const char *name);
/* A comma unless the buffer ends in '{', '[' or ':'. */
int json_put_comma(struct buf *b);
int json_put_member(struct buf *b, const char *name, struct span raw);       /* raw JSON */
int json_put_member_text(struct buf *b, const char *name, struct span text); /* a string; absent spans write nothing */
int json_put_member_i64(struct buf *b, const char *name, int64_t value);
int json_put_member_double(struct buf *b, const char *name, double value);   /* shortest form that reads back */
int json_put_member_bool(struct buf *b, const char *name, bool value);
/* The same value without insignificant white space. */
int json_put_compact(struct buf *b, struct span raw);
int json_put_indented(struct buf *b, struct span raw, int indent);

#endif
