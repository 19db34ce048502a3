/* One observation: the privileged capture process, the unprivileged observe process and the stream between them. */
#ifndef CF_SESSION_H
#define CF_SESSION_H

#include "options.h"

int cmd_attach(const struct options *o);
int cmd_run(const struct options *o);
int cmd_record(const struct options *o);
int cmd_replay(const struct options *o);

#endif
