#include "unprivileged.h"

#include "base/exit.h"
#include "base/log.h"
#include "base/mem.h"
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX (64 * 1024)

/* The options of this call, as they were given: what stands between the program's name and the command. */
static size_t own_arguments(const struct options *o, char *text, size_t room, const char **out, size_t most)
{
	AUTO_CLOSE int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, text, room - 1);
	size_t n = 0, all = 0, seen = 0;

	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(text + at) + 1)
		all++;
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(text + at) + 1, seen++) {
		bool ours = seen > 0 && seen + (size_t)o->n_args < all;
		if (ours && strcmp(text + at, "run") && strcmp(text + at, "--") && n < most)
			out[n++] = text + at;
	}
	return n;
}

/* sudo closes all but 0, 1 and 2: stdout is how it tells that the probes are there. */
static pid_t start_capture(const struct options *o, pid_t target, int *ready)
{
	static char text[ARGS_MAX], self[4096], pid[16];
	const char *argv[128] = { "sudo", "--", self, "attach", "--ready-fd", "1", "--pid", pid };
	int pipe_fd[2];

	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0 || pipe2(pipe_fd, O_CLOEXEC))
		return -1;
	snprintf(pid, sizeof(pid), "%d", target);
	own_arguments(o, text, sizeof(text), argv + 8, 119);
	pid_t child = fork();
	if (child == 0) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		execvp("sudo", (char **)argv);
		log_error("needs root, or sudo to ask for it: %s", strerror(errno));
		_exit(EXIT_HOST);
	}
	close(pipe_fd[1]);
	*ready = pipe_fd[0];
	return child;
}

int unprivileged_run(const struct options *o)
{
	struct held held = { 0 };
	sigset_t mask, ints;
	int ready = -1, status = 0;
	char byte;

	sigemptyset(&ints);
	sigaddset(&ints, SIGINT);
	sigaddset(&ints, SIGTERM);
	sigprocmask(SIG_BLOCK, &ints, &mask); /* the command and the capture half have them from the terminal */
	if (command_hold(o->args, &mask, &held))
		return EXIT_RUN_FAILED;
	pid_t capture = start_capture(o, held.pid, &ready);
	bool begun = capture > 0 && read(ready, &byte, 1) == 1;
	if (begun && write(held.release, "", 1) != 1)
		begun = false;
	close(held.release);
	if (capture > 0 && waitpid(capture, &status, 0) < 0)
		status = EXIT_INTERNAL;
	int observed = !begun ? EXIT_HOST : WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_INTERNAL;
	/* For one process that is watched it is a failure; a command without TLS is nothing out of the ordinary. */
	if (observed == EXIT_UNHOOKED)
		observed = EXIT_FINE;
	return command_status(&held, o->args[0], observed);
}
