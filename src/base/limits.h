/* Every maximum of the program, with its reason. A limit that is reached is an outcome that the trace shows. */
#ifndef CF_BASE_LIMITS_H
#define CF_BASE_LIMITS_H

#define KIB 1024ull
#define MIB (1024ull * KIB)

/* One HTTP head: servers refuse more than 8-64 KiB; agents send large cookies and beta lists. */
#define LIMIT_HTTP_HEAD (256 * KIB)
/* Header fields of one head. */
#define LIMIT_HTTP_FIELDS 256
/* One decoded body. Providers cap requests at 32-50 MB; the rest is counted as a truncated body. */
#define LIMIT_BODY (64 * MIB)
/* Output of a content decoder per input byte beyond the first MiB: gzip cannot exceed 1032:1. A bomb ends here. */
#define LIMIT_DECODE_RATIO 1100
/* One SSE event or one JSON line: the terminal event of a Responses stream repeats the whole answer. */
#define LIMIT_FRAME (32 * MIB)
/* Pieces of one streamed answer: a 128k-token answer has one piece a token. */
#define LIMIT_FRAMES 400000
/* Exchanges pipelined on one connection that still wait for an answer. */
#define LIMIT_PIPELINE 1024
/* Bytes of one direction in which a protocol is looked for: covers the longest request line and two HTTP/2 frames. */
#define LIMIT_DETECT (64 * KIB)
/* Bytes of a connection after which nobody looks any more: the answer that was under way when we joined has ended. */
#define LIMIT_DETECT_TOTAL (16 * MIB)
/* Out-of-order bytes held for one stream. */
#define LIMIT_REORDER (4 * MIB)
/* Nesting of JSON from the wire: deeper text is opaque. */
#define LIMIT_JSON_DEPTH 512
/* Connections followed at once; beyond it new ones are counted, not decoded. */
#define LIMIT_CONNS 65536
/* Bytes queued between draining the ring and parsing. */
#define LIMIT_QUEUE (256 * MIB)
/* All the bytes that unfinished exchanges may hold together. */
#define LIMIT_EXCHANGES_TOTAL (1024 * MIB)
/* Arguments of one exec, as the kernel copies them. */
#define LIMIT_ARGV (4 * KIB)
/* Messages of one conversation remembered for matching (hashes only). */
#define LIMIT_HISTORY 65536
/* One step as JSON: a request and an answer at LIMIT_BODY, with room for escapes. */
#define LIMIT_STEP (192 * MIB)
/* Steps gathered before one write to the journal. */
#define LIMIT_JOURNAL_BATCH (256 * KIB)
/* Everything of a run but its steps: agent, task, metadata with the coverage of every connection. */
#define LIMIT_RUN_HEAD (16 * MIB)
/* What the user asked first, as the run's task: longer text stands in its user_input step alone. */
#define LIMIT_TASK (64 * KIB)
/* Records sorted in memory; more of them go through a temporary file, so that a million steps need no more memory. */
#define LIMIT_SORT_MEMORY (1 * MIB)
/* Messages of one request: as many as are remembered. */
#define LIMIT_MESSAGES LIMIT_HISTORY
/* Parts of one message: a 128k-token answer could have one a token; more is an attack on memory. */
#define LIMIT_PARTS 131072
/* Tool names of one request: providers refuse more than some hundred, gateways send a few thousand. */
#define LIMIT_TOOLS_OFFERED 8192
/* Tools asked for in one streamed answer, and answers (choices) of one call. */
#define LIMIT_STREAM_TOOLS 1024
#define LIMIT_CHOICES 128
/* MCP requests of one connection that wait for their answers, and their bytes. */
#define LIMIT_MCP_WAITING 1024
#define LIMIT_MCP_HELD (64 * MIB)
/* Requests of one WebSocket that wait for their answers, and the bytes they hold. */
#define LIMIT_SOCKET_LANES 64
#define LIMIT_SOCKET_HELD (128 * MIB)
/* Runs open at the same time. */
#define LIMIT_RUNS 4096

#endif
