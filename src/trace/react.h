/*
 * The text protocol of agents without native tool calls (ReAct; CrewAI, LangChain): the answer says
 * "Action: NAME\nAction Input: {...}", a later request repeats it with "\nObservation: RESULT" behind.
 */
#ifndef CF_TRACE_REACT_H
#define CF_TRACE_REACT_H

#include "dialect/call.h"

struct react_action {
	struct span name;
	struct span input; /* as written, trimmed; without code fences */
};

/* The tool that an answer's text asks for; false when it asks for none, or already has its final answer. */
bool react_parse(struct span text, struct react_action *out);
/* The call's answer asks for a tool in text and none was asked for natively. */
bool react_asks(const struct call *c);
/* A message that is nothing but an observation. */
bool react_is_observation(struct span text);
/* What a message reports as the result of this action (name, input as written); SPAN_NONE: nothing. */
struct span react_result(struct span text, struct span name, struct span input);

#endif
