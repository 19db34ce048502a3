/*
 * Any bytes as a file to locate. Build: clang -fsanitize=fuzzer,address,undefined with the locate
 * room; seeds: tests/locate/seeds.sh DIR. With -DSTANDALONE it runs the files named on the command
 * line once each, for compilers without libFuzzer.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/locate.h"

static void check(const struct locate_result *r, int err, uint64_t size)
{
	uint32_t sites = 0;

	if (r->n_libs > LOCATE_MAX_LIBS)
		abort();
	for (uint32_t i = 0; i < r->n_libs; i++) {
		const struct locate_lib *lib = &r->libs[i];

		if (!lib->method || lib->n_sites > LOCATE_MAX_SITES)
			abort();
		for (uint32_t k = 0; k < lib->n_sites; k++) {
			/* a probe outside the file would be refused, or worse, not be */
			if (lib->sites[k].entry_off >= size || lib->sites[k].ret_off >= size ||
			    lib->sites[k].n_rets > LOCATE_MAX_RETS)
				abort();
		}
		if (!lib->n_sites && !lib->reason[0])
			abort();
		sites += lib->n_sites;
	}
	if ((err == 0) != (sites > 0) || (err && !r->reason[0]))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct locate_result r;
	int fd = memfd_create("fuzz", MFD_CLOEXEC), err;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	err = locate_file(fd, &r);
	check(&r, err, size);
	close(fd);
	return 0;
}

#ifdef STANDALONE
int main(int argc, char **argv)
{
	static uint8_t buf[16 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "re");

		if (!f)
			return 1;
		LLVMFuzzerTestOneInput(buf, fread(buf, 1, sizeof(buf), f));
		fclose(f);
	}
	return 0;
}
#endif
