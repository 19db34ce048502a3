/* Between the files of the check. */
#ifndef CF_TRACE_CHECK_RULES_H
#define CF_TRACE_CHECK_RULES_H

#include "trace/check.h"

/* A place inside a file: a chain from the value outwards, made into text only when something is wrong. */
struct place {
	const struct place *of;
	const char *name; /* a member, or NULL: an item of an array */
	size_t index;
};

void check_say(struct check *c, bool warning, const struct place *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* One value against its field: kind, allowed texts, members. `raw` is present. */
void check_value(struct check *c, const struct step_field *f, struct span raw, const struct place *at);
void check_members(struct check *c, const struct step_field *fields, struct span object, const struct place *at);
/* messages of an llm_call's input */
void check_messages(struct check *c, struct span array, const struct place *at);
/* One message of them, and one part of its content. */
void check_message(struct check *c, struct span message, const struct place *at);
bool part_fits(struct span part);
void check_step_metadata(struct check *c, const struct step *s, const struct place *at);
void check_run_metadata(struct check *c, const struct run_info *run, const struct place *at);

#endif
