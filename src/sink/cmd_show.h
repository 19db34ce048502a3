/* Between the files of `show`. */
#ifndef CF_SINK_CMD_SHOW_H
#define CF_SINK_CMD_SHOW_H

#include "trace/model.h"

enum show_color { COLOR_NONE, COLOR_DIM, COLOR_BOLD, COLOR_RED, COLOR_YELLOW, COLOR_GREEN, COLOR_CYAN };

struct show_totals {
	uint64_t steps, llm_calls, tool_calls, retrievals, memory, errors, incomplete;
	uint64_t tokens_in, tokens_out, tokens_cached;
	double cost;
	bool has_cost;
};

struct show {
	bool color;
	bool json;
	bool list;
	bool full;          /* content is not cut */
	struct buf out;     /* one line or a few; printed and cleared */
	struct show_totals totals;
};

void show_color(struct show *s, enum show_color c);
/* A piece of text, escaped and cut. */
void show_text(struct show *s, struct span text, size_t width);
/* A raw value: text without quotes, anything else as it is; escaped and cut. */
void show_value(struct show *s, struct arena *a, struct span raw, size_t width);
/* What the step did, on one line, behind its time and its place in the tree. */
void show_step(struct show *s, struct arena *a, const struct step *step);
void show_count_step(struct show_totals *t, const struct step *step);

#endif
