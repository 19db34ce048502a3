/*
 * The door of dialect/: an exchange goes in, a call in one normal form comes out: what a model, tool server or store
 * was asked and what it said. A dialect is one file with one exported const object, one line in table.c, one golden case.
 */
#ifndef CF_DIALECT_CALL_H
#define CF_DIALECT_CALL_H

#include "base/arena.h"
#include "proto/exchange.h"

enum call_kind {
	CALL_LLM,	/* inference */
	CALL_EMBEDDING, /* an llm_call whose output is counts */
	CALL_TOOL,	/* a tool server was asked (MCP tools/call) */
	CALL_RETRIEVAL,
	CALL_MEMORY_READ,
	CALL_MEMORY_WRITE,
	CALL_INTERRUPT,
	CALL_COUNT, /* token counting, model lists: a call of the provider without inference; not a step */
};

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };

/* A tool that the model asked for. */
struct tool_request {
	struct span id; /* the provider's call id; SPAN_NONE when it gives none */
	struct span name;
	struct span
		arguments; /* raw JSON, exact; text that is not valid JSON comes as a JSON string */
	bool server_side;  /* the provider runs it itself */
	struct span result; /* raw JSON; only server_side and when shown */
	bool failed;	    /* server_side: it reported an error */
};

/* What the agent answered to a tool_request, found in a request. */
struct tool_result {
	struct span id;
	struct span name;   /* SPAN_NONE when the dialect gives only the id */
	struct span result; /* raw JSON: a string when it is only text */
	bool is_error;
};

/* One message of the conversation, in the contract's form. */
struct message {
	enum role role;
	struct span json; /* the whole contract message: {"role":..., "content":...} */
	struct span text; /* its plain text, parts joined by "\n"; {"" ,0} when it has none */
	/*
	 * Equal for the same message sent again: over role, text and tool call ids or (id-less) names and arguments by
	 * value, without reasoning, cache marks and insignificant white space.
	 */
	uint64_t hash;
	struct tool_request *requests; /* of an assistant message */
	size_t n_requests;
	struct tool_result *results; /* of a tool (or Anthropic user) message */
	size_t n_results;
	bool has_user_content; /* role user with something besides tool results */
	struct span parts;     /* contract parts array when not only text, else SPAN_NONE */
};

#define TOKENS_UNKNOWN (-1)

struct call {
	struct arena *arena; /* of the exchange */
	enum call_kind kind;
	const char *dialect;  /* "openai.chat", "openai.responses", "anthropic.messages" */
	struct span provider; /* "openai", "anthropic", "azure", ...; SPAN_NONE when not known */
	struct span model_requested;
	struct span model;	  /* as the answer names it, else as requested, else SPAN_NONE */
	struct message *messages; /* the request's, system prompt first */
	size_t n_messages;
	bool input_is_delta;	 /* previous_response_id, conversation: only new items were sent */
	struct span previous_id; /* previous_response_id or conversation id */
	struct span response_id; /* "chatcmpl-...", "resp_...", "msg_..." */
	struct span request_id;	 /* x-request-id, request-id, ... */
	struct span *tools_offered; /* names */
	size_t n_tools_offered;
	struct message answer; /* role assistant; json SPAN_NONE when there was none */
	struct span
		output; /* contract output: raw JSON string, or {"role","content":[...],"finish_reason"} */
	struct span finish_reason; /* in the provider's word */
	bool refusal;
	struct span usage;  /* the provider's own object, raw */
	int64_t tokens_in;  /* all input, cached included; TOKENS_UNKNOWN */
	int64_t tokens_out; /* all output, reasoning included */
	int64_t tokens_total;
	int64_t tokens_cached; /* read from cache, part of tokens_in */
	int64_t tokens_cache_write;
	int64_t tokens_reasoning;
	double cost; /* as the provider states it, USD; < 0 unknown */
	bool stream;
	uint64_t began_ns;	 /* first byte of the request */
	uint64_t first_token_ns; /* first piece of content; 0 unknown or not streamed */
	uint64_t ended_ns;	 /* last byte of the answer */
	struct {
		struct span type, message;
		int status;
	} error;	 /* type.p NULL: none */
	bool incomplete; /* bytes missing or cut */
	uint64_t missing_bytes;
	const char *reason; /* of incomplete */
	bool replaced_utf8; /* invalid UTF-8 became U+FFFD */
	struct span
		session_id; /* as headers or body name the agent's session or thread; SPAN_NONE */
	struct span agent_id, parent_agent_id; /* sub-agents that say so in headers */
	struct span
		metadata; /* further members for the step's metadata: raw JSON object, or SPAN_NONE */
	/* CALL_TOOL and others: */
	struct tool_request tool;
	struct span query;   /* retrieval, memory: raw JSON; interrupt: the prompt, a raw string */
	struct span results; /* raw JSON array; interrupt: what was answered, any JSON */
};

struct dialect {
	const char *name;
	/* How sure: 0 not mine; higher wins. Looks at method, path and the request body's keys, never only at the host. */
	int (*match)(const struct exchange *ex);
	/* Fills *c (zeroed, times and error defaults set by the caller). Also works on partial exchanges. */
	void (*read)(const struct exchange *ex, struct call *c);
	const char *provider; /* when neither host nor headers name one; may be NULL */
};

/* Table of all dialects, NULL-terminated. */
extern const struct dialect *const dialects[];

/* Chooses the dialect and reads the call. false: this exchange is no call that we know. */
bool call_from_exchange(struct exchange *ex, struct call *out);

#endif
