/* The command of `run`: a child that waits to become it until the probes are there. */
#ifndef CF_COMMAND_H
#define CF_COMMAND_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct held {
	pid_t pid;
	int release; /* close it unwritten to give up */
	int failed;  /* errno of exec comes here */
};

/* Starts the child; it gets the signal mask `signals` back. 0 or -errno. */
int command_hold(char **argv, const sigset_t *signals, struct held *out);
/*
 * Waits for its end: its status as a shell tells it, or why it could not start. `observed` is how the observation ended
 * (an exit code): one that failed is told as EXIT_RUN_FAILED.
 */
int command_status(struct held *h, const char *name, int observed);
/* Is `pid` such a child, of this program but not yet a command? */
bool command_is_held(uint32_t pid);

#endif
