#include "sink/cmd_files.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "trace/write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && strcmp(name + len - n, suffix) == 0;
}

static bool is_trace(const char *name)
{
	return strncmp(name, "trace-", 6) == 0 && (ends_with(name, ".json") || ends_with(name, JOURNAL_SUFFIX));
}

static void add(struct trace_files *files, const char *dir, const char *name, const struct stat *st)
{
	size_t len = (dir ? strlen(dir) : 0) + strlen(name) + 2;

	files->items = mem_room(files->items, &files->cap, files->n + 1, sizeof(*files->items));
	struct trace_file *f = &files->items[files->n++];
	f->path = mem_alloc(len);
	if (dir)
		snprintf(f->path, len, "%s%s%s", dir, dir[0] && dir[strlen(dir) - 1] == '/' ? "" : "/", name);
	else
		snprintf(f->path, len, "%s", name);
	f->journal = ends_with(name, JOURNAL_SUFFIX);
	f->changed_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct trace_file *)a)->path, ((const struct trace_file *)b)->path);
}

static int find_in(const char *path, struct trace_files *out)
{
	DIR *d = opendir(path);
	struct stat st;

	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));)
		if (is_trace(e->d_name) && !fstatat(dirfd(d), e->d_name, &st, 0) && S_ISREG(st.st_mode))
			add(out, path, e->d_name, &st);
	closedir(d);
	if (out->n)
		qsort(out->items, out->n, sizeof(*out->items), by_path);
	return 0;
}

int trace_files_find(const char *path, struct trace_files *out)
{
	struct stat st = { 0 };

	*out = (struct trace_files){ 0 };
	if (strcmp(path, "-") != 0 && stat(path, &st))
		return -errno;
	out->from_dir = S_ISDIR(st.st_mode);
	if (out->from_dir)
		return find_in(path, out);
	add(out, NULL, path, &st);
	return 0;
}

void trace_files_fini(struct trace_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		free(files->items[i].path);
	free(files->items);
	*files = (struct trace_files){ 0 };
}

int trace_file_open(const struct trace_file *f)
{
	int fd = strcmp(f->path, "-") == 0 ? dup(STDIN_FILENO) : open(f->path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void trace_file_complain(const char *path, const char *what)
{
	struct buf line;

	buf_init(&line, 16384);
	text_put_safe(&line, span_of(path));
	fprintf(stderr, "cf-observe: %s: %s\n", buf_text(&line), what);
	buf_fini(&line);
}

int cmd_take_flags(int argc, char **argv, const struct cmd_flag *flags)
{
	int n = 0;
	bool end = false;

	for (int i = 1; i < argc; i++) {
		const struct cmd_flag *f = flags;
		if (!end && strcmp(argv[i], "--") == 0) {
			end = true;
			continue;
		}
		if (end || argv[i][0] != '-' || !argv[i][1]) {
			argv[1 + n++] = argv[i];
			continue;
		}
		while (f->name && strcmp(f->name, argv[i]) != 0)
			f++;
		if (!f->name) {
			trace_file_complain(argv[i], "no such option");
			return -1;
		}
		*f->on = true;
	}
	return n;
}
