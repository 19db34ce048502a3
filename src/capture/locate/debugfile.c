/*
 * Functions from a separate debug file: /usr/lib/debug/.build-id/xx/yyyy.debug. Its build-id must be
 * the file's own. The path is made of hex digits only, so a hostile file cannot steer it.
 */
#include "capture/locate/symbols.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int find(struct elf *e, const char *method, struct locate_result *out)
{
	char path[128];
	struct elf dbg;
	int fd, err = 0;

	if (strlen(e->build_id) < 6)
		return 0;
	for (uint32_t i = 0; i < out->n_libs; i++) {
		if (out->libs[i].n_sites)
			return 0;
	}
	snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", e->build_id,
		 e->build_id + 2);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (!elf_open(&dbg, fd)) {
		if (!strcmp(dbg.build_id, e->build_id))
			err = symbols_find(&dbg, e, SHT_SYMTAB, method, out);
		elf_close(&dbg);
	}
	close(fd);
	return err;
}

const struct finder finder_debug_file = { "debug file", FINDER_ANY_MACHINE, find };
