/* Shared by the files of the console. */
#ifndef CF_SINK_CONSOLE_INT_H
#define CF_SINK_CONSOLE_INT_H

#include "base/map.h"
#include "sink/console.h"

#define COLOR_DIM "\033[2m"
#define COLOR_RED "\033[31m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_GREEN "\033[32m"
#define COLOR_BOLD "\033[1m"
#define COLOR_END "\033[0m"

/* What the kernel and the queue lost, by cause; the order of counter_rows in console.c. */
enum {
	COUNT_EVENTS,
	COUNT_BYTES,
	LOST_RING,
	LOST_FAULT,
	LOST_CLAMP,
	LOST_MAP,
	LOST_CONTROL,
	LOST_QUEUE,
	N_COUNTERS,
};

struct console {
	struct console_setup setup;
	struct buf line;
	int utc_offset_s;
	int64_t wall_offset_ns;
	uint64_t first_ns, last_ns; /* boot time of the records heard */

	int64_t counters[N_COUNTERS];
	int64_t told[N_COUNTERS]; /* as of the last line about losses */
	uint64_t told_ns;
	bool stopped;

	int64_t libraries, unhooked, gaps;
	int64_t runs, incomplete_runs, unwritten_runs;
	int64_t calls, tools, errors;
	int64_t tokens_in, tokens_out, without_cost;
	double cost;
	struct names hosts, files, unhooked_names;
	char last_file[256];
	struct buf reasons; /* why runs are incomplete, a line each, few */
	size_t n_reasons;
};

/* Writes c->line with an end of line, in `color` when colours are on, and clears it. */
void console_put(struct console *c, const char *color);
/* The text of one step behind the time and the process; false: nothing to tell yet. */
bool console_describe(struct console *c, const struct step *s, struct buf *out);
void console_count_step(struct console *c, const struct step *s);
/* Adds `text` to a set. */
void console_note(struct names *set, struct span text);
void console_put_text(struct buf *b, struct arena *a, struct span raw, size_t width);

#endif
