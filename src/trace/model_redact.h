/* Takes secrets, and content that is not wanted, out of steps and runs before anything stores or shows them. */
#ifndef CF_TRACE_MODEL_REDACT_H
#define CF_TRACE_MODEL_REDACT_H

#include "base/redact.h"
#include "trace/model.h"

/*
 * Values that change move into the arena. With redact_inputs (redact_outputs) what was sent (came back) keeps its
 * structure: texts become the replacement, numbers 0; roles, types, names and ids stay. The number of secrets and
 * dropped values, or -ENOSPC for a step longer than LIMIT_STEP.
 */
int step_redact(const struct redactor *r, struct step *s, struct arena *a);
/* agent_info, task_info, metadata. */
int run_redact(const struct redactor *r, struct run_info *run, struct arena *a);

#endif
