/* The traces that an argument names: a file, or all in a directory. */
#ifndef CF_SINK_CMD_FILES_H
#define CF_SINK_CMD_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_file {
	char *path;
	bool journal;
	int64_t changed_ns;
};
struct trace_files {
	struct trace_file *items; /* by name */
	size_t n;
	size_t cap;
	bool from_dir; /* the argument was a directory */
};

/* 0 or -errno: there is no such file. "-" is standard input. */
int trace_files_find(const char *path, struct trace_files *out);
void trace_files_fini(struct trace_files *files);
/* A descriptor or -errno. */
int trace_file_open(const struct trace_file *f);
/* "name: reason" on stderr, escaped. */
void trace_file_complain(const char *path, const char *what);

/* An option of these commands: sets *on. */
struct cmd_flag {
	const char *name;
	bool *on;
};
/* Takes the flags out of argv; the rest are arguments. Their number, or -1 after it said what is wrong. */
int cmd_take_flags(int argc, char **argv, const struct cmd_flag *flags);

#endif
