/*
 * What the person sees while it runs: what is covered, one line for every finished step, the sum at the end. Every text
 * that came from outside is escaped. Reads no clock; all it knows came through its calls.
 */
#ifndef CF_SINK_CONSOLE_H
#define CF_SINK_CONSOLE_H

#include "event.h"
#include "trace/model.h"

struct console_setup {
	int fd; /* where lines go: stderr, so that stdout stays free */
	bool color;
	bool json;	 /* one JSON object a line */
	bool quiet;	 /* losses and failures only */
	bool verbose;	 /* also what frameworks were found, files without TLS, counters */
	int width;	 /* columns of the terminal; 0: 100 */
	uint64_t buffer; /* bytes of the ring, for the advice when it was too small */
	const char *dir; /* where the traces are, as the person wrote it; NULL: nowhere (record) */
};

struct console;
struct console *console_new(const struct console_setup *setup);
void console_free(struct console *c);

/* Every record of the stream; facts are told, the rest is ignored. `ready` is told when all is attached. */
void console_event(struct console *c, const struct cf_event *e);
/* A step as the assembler gives it. */
void console_step(struct console *c, const struct step *s, bool again);
/* A run ended and is in `file` (its name in the directory; NULL: it could not be written). */
void console_run_end(struct console *c, const struct run_info *info, const char *file);
/* The counters as last heard (SIGUSR1). */
void console_counters(struct console *c);
/* The sum over all runs, how complete it is, where it is, what to try next. */
void console_end(struct console *c);
/* Whether nothing was lost and all runs call themselves complete (--fail-incomplete). */
bool console_complete(const struct console *c);

/* Whether anything of what was watched could be read: a library was hooked or a call was seen. */
bool console_covered(const struct console *c);

#endif
