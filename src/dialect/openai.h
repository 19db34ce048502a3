/* What the OpenAI dialects share. */
#ifndef CF_DIALECT_OPENAI_H
#define CF_DIALECT_OPENAI_H

#include "dialect/message.h"

/* Usage of both APIs: prompt/completion or input/output, details included. */
void openai_usage(struct call *c, struct span usage);
/* Names of `tools` (function, custom and built-in ones) and of the older `functions`. */
void openai_tools(struct call *c, struct span tools);
/* Members of a request that are kept as parameters. */
extern const char *const openai_params[];
/* One content part of a message; unknown ones are kept whole. */
void openai_part(struct draft *d, struct span part);
/* Text or an array of parts. */
void openai_content(struct draft *d, struct span content);
/* Arguments or result text of tools: a string stays one, parts become contract content. */
struct span openai_result(struct call *c, struct span content);
/* The answer of a chat exchange, streamed or not. */
void openai_chat_answer(const struct exchange *ex, struct call *c);

#endif
