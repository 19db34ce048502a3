/* Every dialect's one exported object, for table.c. */
#ifndef CF_DIALECT_DIALECTS_H
#define CF_DIALECT_DIALECTS_H

#include "dialect/call.h"

extern const struct dialect dialect_openai_chat;
extern const struct dialect dialect_openai_responses;
extern const struct dialect dialect_anthropic_messages;
extern const struct dialect dialect_openai_embeddings;
extern const struct dialect dialect_openai_completions;
extern const struct dialect dialect_gemini;
extern const struct dialect dialect_ollama;
extern const struct dialect dialect_cohere;
extern const struct dialect dialect_bedrock;
extern const struct dialect dialect_mcp;

#endif
