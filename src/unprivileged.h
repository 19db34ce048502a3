/* `run` without root: the command keeps its user and environment, sudo is asked for the capture half only. */
#ifndef CF_UNPRIVILEGED_H
#define CF_UNPRIVILEGED_H

#include "options.h"

int unprivileged_run(const struct options *o);

#endif
