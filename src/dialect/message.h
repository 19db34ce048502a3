/* Building contract messages: parts are collected in a draft and written once, with text and hash. */
#ifndef CF_DIALECT_MESSAGE_H
#define CF_DIALECT_MESSAGE_H

#include "dialect/read.h"

enum part_kind { PART_TEXT, PART_REASONING, PART_REQUEST, PART_RESULT, PART_MEDIA, PART_OTHER };

struct part {
	enum part_kind kind;
	const char *media; /* "image", "audio", "file" */
	struct span raw;   /* text: the raw string; media, other: the provider's object */
	size_t index;	   /* of the request or result */
};

struct draft {
	struct call *call;
	enum role role;
	struct part *parts;
	size_t n_parts;
	struct tool_request *requests;
	size_t n_requests;
	struct tool_result *results;
	size_t n_results;
	bool full; /* LIMIT_PARTS: the rest is left out */
};

void draft_init(struct draft *d, struct call *c, enum role role);
void draft_text(struct draft *d,
		struct span raw); /* raw JSON string; anything else and "" is no part */
void draft_reasoning(struct draft *d, struct span raw); /* the same */
void draft_media(struct draft *d, const char *media, struct span object);
void draft_other(struct draft *d, struct span raw);
/* Zeroed, for the caller to fill in before anything else is added. NULL when full. */
struct tool_request *draft_request(struct draft *d);
/* [{"id","function":{"name","arguments"}}]: whole calls in OpenAI's shape, as Cohere and Ollama send them. */
void draft_function_calls(struct draft *d, struct span calls);
struct tool_result *draft_result(struct draft *d);
/* Contract content: a raw string when all is text (parts joined by "\n"), else an array of parts. */
struct span draft_content(const struct draft *d);
void draft_finish(struct draft *d, struct message *out);

/* The request with this provider id among the last ones, or NULL. */
struct tool_request *draft_find(struct draft *d, struct span id);

/* Adds a message to the call's list; NULL past LIMIT_MESSAGES. */
struct message *call_add_message(struct call *c);
void call_add_tool(struct call *c, struct span name);
/* The answer: message, output, finish reason (its raw value may be absent). */
void call_set_answer(struct call *c, struct draft *d, struct span finish_reason);

/* Arguments given as JSON text in a string come out as that JSON; text that is none stays a string; none is {}. */
struct span tool_arguments(struct call *c, struct span raw);
struct span role_name(enum role role);

#endif
