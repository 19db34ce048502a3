/* The unprivileged process: drains the ring, takes the facts, and puts both through the pipeline. Or replays a file. */
#ifndef CF_OBSERVE_H
#define CF_OBSERVE_H

#include "options.h"

/* Gives up every privilege first. Returns an exit code. */
int observe_main(const struct options *o, int channel, int ring_fd, size_t ring_bytes);

#endif
