/* How the program ends. The numbers are a promise: they never change their meaning. */
#ifndef CF_BASE_EXIT_H
#define CF_BASE_EXIT_H

enum {
	EXIT_FINE = 0,
	EXIT_INTERNAL = 1, /* a fault of ours; also `check` and `locate`: the answer is no */
	EXIT_USAGE = 2,
	EXIT_HOST = 3,	     /* not root, no BTF, lockdown, kernel too old */
	EXIT_TARGET = 4,     /* no such process, container or file to replay */
	EXIT_UNHOOKED = 5,   /* nothing could be hooked */
	EXIT_WRITE = 6,	     /* the output cannot be written */
	EXIT_INCOMPLETE = 7, /* something was lost, and --fail-incomplete was given */

	/* `run` ends with the status of the command; these are its own, as env(1) and timeout(1) have them. */
	EXIT_RUN_FAILED = 125,
	EXIT_RUN_CANNOT_EXEC = 126,
	EXIT_RUN_NOT_FOUND = 127,
};

#endif
