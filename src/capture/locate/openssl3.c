/*
 * OpenSSL 3 linked statically into a stripped executable. Its errors name their function, so code
 * that refers to the string "ssl_write_internal" lies in that function, and unwind entries say where
 * it begins. Both SSL_write and SSL_write_ex come through it, with SSL_write_ex's arguments, and since
 * 3.3 with SSL_write_ex2's.
 */
#include "capture/locate/recipe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
	MAX_REFS = 512, /* places that name either function, or one whose name lies between */
	NAMES_APART = 4096,
	FLAGS_VERSION = 303, /* 3.3 gave ssl_write_internal a flags argument before the count */
};

/* Address of the whole string that is name, not a part of a longer one; 0 when absent or not unique. */
static uint64_t string_address(const struct elf *e, const struct survey *s, enum marker marker,
			       const char *name)
{
	uint64_t found = 0;

	for (uint32_t i = 0; i < s->n[marker]; i++) {
		char text[SCAN_MAX_NEEDLE];
		uint64_t va, off = s->off[marker][i];

		if (!off || elf_string(e, off, text, sizeof(text)) || strcmp(text, name) ||
		    elf_string(e, off - 1, text, 2) || text[0] || !elf_off_to_va(e, off, &va))
			continue;
		if (found)
			return 0;
		found = va;
	}
	return found;
}

/* The one function that all references to an address lie in; 0 when there is none or they differ. */
static uint64_t function_of(const struct elf *e, const struct xref *refs, unsigned n, uint64_t name)
{
	uint64_t found = 0, start, end;

	for (unsigned i = 0; i < n; i++) {
		if (refs[i].target != name)
			continue;
		if (!fde_find(e, refs[i].at, &start, &end) || (found && found != start))
			return 0;
		found = start;
	}
	return found;
}

/* "OpenSSL 3.5.5 27 Jan 2026" among the constants: major and minor, 0 when not there. */
static unsigned version_at(const struct elf *e, uint64_t off, struct locate_lib *lib)
{
	static const size_t digit = sizeof("OpenSSL ") - 1;
	unsigned major, minor;
	size_t len = digit;
	char text[24];

	if (elf_string(e, off, text, sizeof(text)))
		return 0;
	while (isdigit((unsigned char)text[len]) || text[len] == '.')
		len++;
	if (text[len] != ' ' || sscanf(text + digit, "%1u.%2u.", &major, &minor) != 2)
		return 0;
	snprintf(lib->library, sizeof(lib->library), "%.*s", (int)len, text);
	return major * 100 + minor;
}

static unsigned find_version(const struct elf *e, const struct survey *s, struct locate_lib *lib)
{
	for (int m = MARK_OPENSSL_3; m <= MARK_OPENSSL_4; m++) {
		for (uint32_t i = 0; i < s->n[m]; i++) {
			unsigned version = version_at(e, s->off[m][i], lib);

			if (version)
				return version;
		}
	}
	return 0;
}

static int find(struct elf *e, const struct survey *s, struct locate_lib *lib)
{
	uint64_t read = string_address(e, s, MARK_SSL_READ_INTERNAL, "ssl_read_internal");
	uint64_t write = string_address(e, s, MARK_SSL_WRITE_INTERNAL, "ssl_write_internal");
	uint64_t lo = read < write ? read : write, hi = read < write ? write : read;
	struct xref refs[MAX_REFS];
	unsigned n = 0, version;
	int err = 0;

	version = find_version(e, s, lib);
	/* both names are constants of one source file, so one pass over the code serves both */
	if (read && write && hi - lo < NAMES_APART)
		err = scan_xrefs(e, lo, hi, refs, MAX_REFS, &n);
	if (err)
		return err;
	n = n < MAX_REFS ? n : 0;
	read = function_of(e, refs, n, read);
	write = function_of(e, refs, n, write);
	if (!version && read && write) {
		lib_reason(lib,
			   "%s found, its version not: how its functions are called is not known",
			   lib->library);
		return 0;
	}
	if (read && write && read != write) {
		lib_add_va(e, lib, FN_SSL_READ_EX, read);
		lib_add_va(e, lib, version < FLAGS_VERSION ? FN_SSL_WRITE_EX : FN_SSL_WRITE_EX2,
			   write);
	}
	if (lib->n_sites < 2) {
		lib->n_sites = 0;
		lib_reason(lib, "%s found, %s not located", lib->library,
			   write ? "ssl_read_internal" : "ssl_write_internal");
	}
	return 0;
}

const struct recipe recipe_openssl3 = { "xref",	     FINDER_ANY_MACHINE,
					TLS_OPENSSL, 1u << MARK_SSL_WRITE_INTERNAL,
					find,	     "OpenSSL 3" };
