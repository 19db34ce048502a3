/* What the finders of the locate room share: one row per finder, in order of trust. */
#ifndef CF_LOCATE_FINDER_H
#define CF_LOCATE_FINDER_H

#include "capture/locate.h"
#include "capture/locate/elf.h"

#define FINDER_ANY_MACHINE 0

enum {
	PROLOGUE_BYTES = 32, /* how far an entry probe may slide */
};

/*
 * A finder adds the libraries it recognises to out: with sites, or with a reason. It returns 0
 * also when it found nothing; -errno only when the file could not be read.
 */
struct finder {
	const char *method;
	uint16_t machine; /* e_machine, or FINDER_ANY_MACHINE */
	int (*find)(struct elf *e, const char *method, struct locate_result *out);
};

extern const struct finder finder_symbols, finder_debug_file, finder_pclntab, finder_recipes;

/* The library of that family, made when it is not there yet; NULL when the table is full. */
struct locate_lib *result_lib(struct locate_result *out, enum tls_family family,
			      const char *method);
/* Has an earlier, more trusted finder already located this family? */
bool result_has(const struct locate_result *out, enum tls_family family);
/* A function by its address; false when it is not code of this file or the table is full. */
bool lib_add_va(const struct elf *e, struct locate_lib *lib, enum tls_func func, uint64_t va);
bool lib_has(const struct locate_lib *lib, enum tls_func func);
void lib_reason(struct locate_lib *lib, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Fills entry_off and ret_off of a site from the code at func_off. */
void prologue_slide(const struct elf *e, struct locate_site *site);
/* The offset of the first instruction from code[at] on that the kernel emulates, or at itself. *on_top:
 * is the return address still on top of the stack there? */
size_t prologue_slide_x86(const uint8_t *code, size_t at, size_t len, bool *on_top);
/* Does the kernel emulate the instruction there? */
bool prologue_is_cheap(const struct elf *e, uint64_t off);
/* Fills inner_off of OpenSSL's sites, where surely known. */
void openssl_find_inner(const struct elf *e, struct locate_lib *lib);
/* prologue_slide for a Go function: the probe goes behind the stack check, which runs again after the
 * stack has grown, and there is no return probe. false when there is no such check. */
bool prologue_slide_go(const struct elf *e, struct locate_site *site);
/* File offsets of a Go function's RETs, at most LOCATE_MAX_RETS; 0 when none or more. */
uint32_t go_find_rets(const struct elf *e, uint64_t off, uint64_t size, uint64_t rets[]);

#endif
