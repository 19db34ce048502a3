/* Pieces of HTTP/1 (RFC 9112) that http1.c puts together. Not for other rooms. */
#ifndef CF_PROTO_HTTP1_H
#define CF_PROTO_HTTP1_H

#include "proto/parts.h"

/* A start line; spans point into the text it was read from. */
struct start_line {
	bool response;
	int minor;
	struct span method;
	struct span target;
	int status;
};

/* `line` without its line end. false when it is neither a request line nor a status line. */
bool http1_start_line(struct span line, struct start_line *out);
/* Length of a head with the blank line behind it, 0 when that is not there yet; `from` bytes were searched before. */
size_t http1_head_len(const char *p, size_t len, size_t from);
/* First line of `text` without its line end; the rest stays in *text. false when there is no line end. */
bool http1_line(struct span *text, struct span *line);
/* Reads field lines (from the arena: obsolete folds are replaced by blanks). -E2BIG past LIMIT_HTTP_FIELDS. */
int http1_fields(struct arena *a, struct span text, struct field **fields, size_t *n);

/* How a message's length is told, RFC 9112 6.3. */
enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_BAD };
/* For FRAMING_LENGTH *length is set. *codings: transfer codings other than chunked. */
enum framing http1_framing(const struct http_message *m, bool response, uint64_t *length,
			   struct span *codings);
/* A chunk-size line without its line end; extensions are allowed. */
bool http1_chunk_size(struct span line, uint64_t *size);

/* Which start lines to look for. */
enum wanted { WANT_REQUEST = 1, WANT_RESPONSE = 2, WANT_EITHER = 3 };
/*
 * Looks in bytes of unknown position for the start of a message: a start line and, behind it, the beginning of a field
 * or the blank line. VERDICT_YES: *at is where it begins. VERDICT_MORE: nothing before
 * *from needs to be searched again. Never VERDICT_NO.
 */
enum verdict http1_find_start(struct span text, enum wanted wanted, size_t *from, size_t *at);
/*
 * The same for a chunk of a body whose framing was lost: its size line and, that many bytes further, the line end behind
 * it. `events_only`: it must begin like a server-sent event.
 */
enum verdict http1_find_chunk(struct span text, bool events_only, size_t *from, size_t *at);
/* Bytes before *from that a request line may reach back to. */
#define HTTP1_LINE_MAX (16 * KIB)

enum verdict http1_probe(struct probe *p, const struct conn_info *info);

#endif
