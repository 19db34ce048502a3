/* Recipes for code without symbols: each is called when its marker string is in the file. */
#ifndef CF_LOCATE_RECIPE_H
#define CF_LOCATE_RECIPE_H

#include "capture/locate/finder.h"
#include "capture/locate/scan.h"

enum {
	RECIPE_MAX_HITS = 8,
};

/* Where each marker string of the survey was seen. */
enum marker {
	MARK_SSL_LIB_CC, /* BoringSSL's assertion and error file name */
	MARK_SSL_READ_INTERNAL,
	MARK_SSL_WRITE_INTERNAL,
	MARK_OPENSSL_3,
	MARK_OPENSSL_4,
	MARK_RUSTLS_PATH,
	MARK_RUSTLS_ERROR, /* a message of its error type: left when paths were trimmed */
	N_MARKERS,
};

struct survey {
	uint32_t n[N_MARKERS];
	uint64_t off[N_MARKERS][RECIPE_MAX_HITS];
};

struct recipe {
	const char *method;
	uint16_t machine;
	enum tls_family family;
	uint32_t markers; /* bits 1 << enum marker: seen at least one of them */
	int (*find)(struct elf *e, const struct survey *s, struct locate_lib *lib);
	const char *name; /* for the reason when this machine has no recipe */
};

/* rustls by its mangled names in .symtab; sets the method when it finds them. */
int rustls_by_symbol(struct elf *e, struct locate_lib *lib);

extern const struct recipe recipe_boringssl, recipe_openssl3, recipe_rustls;

#endif
