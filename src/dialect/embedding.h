/* Embedding calls are told by their counts, never by their vectors. */
#ifndef CF_DIALECT_EMBEDDING_H
#define CF_DIALECT_EMBEDDING_H

#include "dialect/message.h"

/* Each input as a user message: a text, a list of texts, or whatever else. */
void embedding_input(struct call *c, struct span input);
/* Dimensions of a vector: numbers, or base64 of little-endian float32; 0 when unknown. */
size_t embedding_dimensions(struct span vector);
void embedding_output(struct call *c, size_t n, size_t dimensions);

#endif
