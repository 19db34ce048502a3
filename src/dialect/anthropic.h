/* Anthropic's blocks, for its own API and for Bedrock, which wraps the same bodies. */
#ifndef CF_DIALECT_ANTHROPIC_H
#define CF_DIALECT_ANTHROPIC_H

#include "dialect/message.h"

/* The request's body: model, system, messages, tools. */
void anthropic_request(struct call *c, struct span body);
/* Text or blocks. */
void anthropic_content(struct draft *d, struct span content);
/* The answer, streamed or not. */
void anthropic_answer(const struct exchange *ex, struct call *c);

/* A streamed answer, event by event. */
struct anthropic_stream;
struct anthropic_stream *anthropic_stream_new(struct call *c);
/* true when content has begun */
bool anthropic_stream_event(struct anthropic_stream *s, struct span event);
/* A whole message instead of events. */
void anthropic_stream_message(struct anthropic_stream *s, struct span message);
/* true: the stream came to its own end, or to an error */
bool anthropic_stream_finish(struct anthropic_stream *s, bool streamed);

#endif
