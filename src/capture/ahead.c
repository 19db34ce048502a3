/*
 * Hooks, before they are loaded, the TLS libraries that programs usually load and the executable that `run` is about to
 * start. Without it the first request of a program that hurries would race with the search of its libraries.
 *
 * A file is known by the device and inode that a mapping of it shows, which differ from stat's on some file systems: so a
 * helper maps the files, and they are found in it as in any other process.
 */
#include "capture/room.h"

#include "base/mem.h"

#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAP_MS 2000      /* for a helper to map some dozen files; a file system that stalls ends it */
#define MAX_SCRIPTS 4    /* scripts whose interpreter is a script; the kernel allows as many */
#define LINE_LEN 256     /* of "#!", as the kernel reads it */

static const char *const patterns[] = {
	"/lib/*-linux-gnu/libssl.so*",	   "/usr/lib/*-linux-gnu/libssl.so*",
	"/lib/*-linux-gnu/libgnutls.so*",  "/usr/lib/*-linux-gnu/libgnutls.so*",
	"/usr/lib/*-linux-gnu/libnode.so*", "/lib64/libssl.so*",
	"/usr/lib64/libssl.so*",	   "/usr/lib64/libgnutls.so*",
	"/usr/lib/libssl.so*",		   "/usr/lib/libgnutls.so*",
	"/usr/local/lib/libssl.so*",	   "/usr/local/lib64/libssl.so*",
};

/* Never unmapped: the helper ends soon. */
static void map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size)
		mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
}

/* As execvp finds it. */
static bool find_program(const char *name, char *out, size_t cap)
{
	struct span rest = span_of(getenv("PATH")), dir;

	if (strchr(name, '/')) {
		snprintf(out, cap, "%s", name);
		return access(out, X_OK) == 0;
	}
	while (span_split(&rest, ':', &dir)) {
		snprintf(out, cap, "%.*s/%s", SPAN_FMT(dir), name);
		if (access(out, X_OK) == 0)
			return true;
	}
	return false;
}

/* The program that runs a script: "#!/usr/bin/python3", "#!/usr/bin/env node", "#!/usr/bin/env -S node --flag". */
static bool find_interpreter(const char *script, char *out, size_t cap)
{
	char line[LINE_LEN] = "", *save = NULL;
	int fd = open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = '\0';
	if (strncmp(line, "#!", 2))
		return false;
	line[strcspn(line, "\n")] = '\0';
	char *word = strtok_r(line + 2, " \t", &save);
	const char *base = word ? strrchr(word, '/') : NULL;
	if (base && !strcmp(base, "/env"))
		do
			word = strtok_r(NULL, " \t", &save);
		while (word && (*word == '-' || strchr(word, '=')));
	return word && find_program(word, out, cap);
}

static void map_program(const char *name)
{
	char path[4096], next[4096];

	if (!find_program(name, path, sizeof(path)))
		return;
	map_file(path);
	for (int i = 0; i < MAX_SCRIPTS && find_interpreter(path, next, sizeof(next)); i++) {
		map_file(next);
		memcpy(path, next, sizeof(path));
	}
}

static void helper(const char *program, int ready)
{
	glob_t found;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "cf-ahead");
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		if (glob(patterns[i], GLOB_NOSORT, NULL, &found))
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++)
			map_file(found.gl_pathv[k]);
		globfree(&found);
	}
	if (program)
		map_program(program);
	ssize_t n = write(ready, "", 1);
	(void)n;
	pause();
	_exit(0);
}

void capture_ahead(struct capture *c, const char *program)
{
	struct followed f = { 0 };
	int ready[2];

	/* Probes for one process at a time cannot be placed before it is there. */
	if (c->options.isolate || pipe2(ready, O_CLOEXEC))
		return;
	pid_t child = fork();
	if (child == 0)
		helper(program, ready[1]);
	close(ready[1]);
	struct pollfd p = { .fd = ready[0], .events = POLLIN };
	if (child > 0 && poll(&p, 1, MAP_MS) > 0) {
		f.pid = (uint32_t)child;
		files_look(c, &f);
	}
	close(ready[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}
