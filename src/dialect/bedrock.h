/* Bedrock's converse shape: unions with one member. */
#ifndef CF_DIALECT_BEDROCK_H
#define CF_DIALECT_BEDROCK_H

#include "dialect/message.h"

struct converse;
void converse_request(struct call *c, struct span body);
struct converse *converse_new(struct call *c);
/* true when content has begun */
bool converse_event(struct converse *s, struct span type, struct span event);
void converse_whole(struct converse *s, struct span response);
void converse_finish(struct converse *s, bool streamed);

#endif
