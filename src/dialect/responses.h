/* Items of the Responses API: the same shapes go out and come back. */
#ifndef CF_DIALECT_RESPONSES_H
#define CF_DIALECT_RESPONSES_H

#include "dialect/openai.h"

/* The request: instructions, input, tools, lineage. */
void responses_request(struct call *c, struct span body);
/* Whose item it is. */
enum role responses_role(struct span item);
void responses_item(struct draft *d, struct span item);

/* An answer, event by event; a whole response object counts as its terminal event. */
struct responses_stream;
struct responses_stream *responses_stream_new(struct call *c);
/* true when content has begun */
bool responses_stream_event(struct responses_stream *s, struct span event);
void responses_stream_object(struct responses_stream *s, struct span response, bool terminal);
bool responses_stream_done(const struct responses_stream *s);
/* true: the stream came to its own end, or to an error */
bool responses_stream_finish(struct responses_stream *s, bool streamed);

#endif
