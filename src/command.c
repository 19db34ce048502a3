#include "command.h"

#include "base/exit.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void become_user(void)
{
	const char *uid = getenv("SUDO_UID"), *gid = getenv("SUDO_GID");
	const struct passwd *pw;

	if (geteuid() != 0 || !uid || !gid)
		return;
	uid_t u = (uid_t)strtoul(uid, NULL, 10);
	gid_t g = (gid_t)strtoul(gid, NULL, 10);
	pw = getpwuid(u);
	if (pw)
		initgroups(pw->pw_name, g);
	if (setgid(g) || setuid(u))
		_exit(EXIT_RUN_FAILED);
	if (pw) {
		setenv("HOME", pw->pw_dir, 1);
		setenv("USER", pw->pw_name, 1);
		setenv("LOGNAME", pw->pw_name, 1);
	}
}

int command_hold(char **argv, const sigset_t *signals, struct held *h)
{
	int release[2], failed[2];
	char go;

	if (pipe2(release, O_CLOEXEC) || pipe2(failed, O_CLOEXEC))
		return -errno;
	h->pid = fork();
	if (h->pid < 0)
		return -errno;
	if (h->pid == 0) {
		close(release[1]);
		sigprocmask(SIG_SETMASK, signals, NULL);
		if (read(release[0], &go, 1) != 1)
			_exit(EXIT_RUN_FAILED);
		become_user();
		execvp(argv[0], argv);
		int err = errno;
		ssize_t n = write(failed[1], &err, sizeof(err));
		(void)n;
		_exit(err == ENOENT ? EXIT_RUN_NOT_FOUND : EXIT_RUN_CANNOT_EXEC);
	}
	close(release[0]);
	close(failed[1]);
	h->release = release[1];
	h->failed = failed[0];
	return 0;
}

/* The command's status as a shell tells it, or its failure to start. */
int command_status(struct held *h, const char *name, int observed)
{
	int status, err = 0;

	if (read(h->failed, &err, sizeof(err)) == (ssize_t)sizeof(err))
		log_error("cannot start %s: %s", name, strerror(err));
	if (waitpid(h->pid, &status, 0) < 0)
		return EXIT_RUN_FAILED;
	if (observed != EXIT_FINE && observed != EXIT_INCOMPLETE)
		return EXIT_RUN_FAILED;
	if (observed == EXIT_INCOMPLETE && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return EXIT_INCOMPLETE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool command_is_held(uint32_t pid)
{
	char name[32];
	struct stat a, b;

	snprintf(name, sizeof(name), "/proc/%u/exe", pid);
	return stat(name, &a) == 0 && stat("/proc/self/exe", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
