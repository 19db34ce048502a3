#include "trace/write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static int own(int fd, uid_t uid, gid_t gid)
{
	if (uid == (uid_t)-1 || uid == geteuid())
		return 0;
	return fchown(fd, uid, gid) ? -errno : 0;
}

/* One step down. Only the last part must not be a link: those above it are the user's own business. */
static int enter(int at, const char *name, bool last, uid_t uid, gid_t gid)
{
	int flags = O_DIRECTORY | O_RDONLY | O_CLOEXEC | (last ? O_NOFOLLOW : 0);
	bool made = mkdirat(at, name, 0700) == 0;

	if (!made && errno != EEXIST)
		return -errno;
	int fd = openat(at, name, flags | (made ? O_NOFOLLOW : 0));
	if (fd < 0)
		return -errno;
	int err = made ? own(fd, uid, gid) : 0;
	if (err)
		close(fd);
	return err ? err : fd;
}

int run_dir_open(const char *path, uid_t uid, gid_t gid)
{
	char part[NAME_MAX + 1];
	int at = open(*path == '/' ? "/" : ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (!*path)
		errno = ENOENT;
	if (at < 0 || !*path) {
		int err = -errno;
		if (at >= 0)
			close(at);
		return err;
	}
	path += strspn(path, "/");
	while (*path) {
		size_t len = strcspn(path, "/"), blank = strspn(path + len, "/");
		if (len > NAME_MAX) {
			close(at);
			return -ENAMETOOLONG;
		}
		memcpy(part, path, len);
		part[len] = 0;
		path += len + blank;
		int below = enter(at, part, !*path, uid, gid);
		close(at);
		if (below < 0)
			return below;
		at = below;
	}
	return at;
}
