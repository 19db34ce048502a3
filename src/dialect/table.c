#include "dialect/dialects.h"

const struct dialect *const dialects[] = {
	&dialect_openai_chat,
	&dialect_openai_responses,
	&dialect_anthropic_messages,
	&dialect_openai_embeddings,
	&dialect_openai_completions,
	&dialect_gemini,
	&dialect_ollama,
	&dialect_cohere,
	&dialect_bedrock,
	&dialect_mcp,
	NULL,
};
