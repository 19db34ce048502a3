/* Searching large read-only parts of a file: for strings in data, for references in code. */
#ifndef CF_LOCATE_SCAN_H
#define CF_LOCATE_SCAN_H

#include "capture/locate/elf.h"

enum {
	SCAN_MAX_NEEDLES = 16,
	SCAN_MIN_NEEDLE = 7, /* bytes: the search looks at every fourth word */
	SCAN_MAX_NEEDLE = 64,
};

/* Calls on_hit with the needle's index and the file offset of each occurrence in the read-only
 * data of the file, in ascending order within a section. Nonzero from on_hit stops. */
int scan_strings(struct elf *e, const char *const *needles, unsigned n,
		 int (*on_hit)(void *arg, unsigned needle, uint64_t off), void *arg);

/* A span of addresses and what refers to it. */
struct xref {
	uint64_t at;	 /* address of the referring instruction */
	uint64_t target; /* the address it makes */
	uint8_t len;	 /* of that instruction */
	uint8_t reg;	 /* register that receives it */
};

/* Code that makes an address in [lo, hi]: at most cap, in ascending order of file; *n counts all. */
int scan_xrefs(struct elf *e, uint64_t lo, uint64_t hi, struct xref *out, unsigned cap,
	       unsigned *n);

/* Calls scan over all executable bytes. */
int scan_code(struct elf *e, elf_scan_fn scan, void *arg);

/* The function around an address by .eh_frame_hdr: [*start, *end). false where it has none. */
bool fde_find(const struct elf *e, uint64_t va, uint64_t *start, uint64_t *end);

#endif
