/* Places in BoringSSL that report an error of ssl_lib.cc: the reason and the line they pass. */
#ifndef CF_LOCATE_ERRSITES_H
#define CF_LOCATE_ERRSITES_H

#include "capture/locate/recipe.h"

enum {
	ERRSITES_MAX = 1024, /* error sites of ssl_lib.cc; real ones have 80-160 */
};

struct err_site {
	uint64_t va;
	uint32_t reason, line;
};

struct errsites {
	uint32_t n;
	struct err_site s[ERRSITES_MAX];
};

int errsites_read(struct elf *e, const struct survey *s, struct errsites *t);

#endif
