/*
 * OpenSSL 3 linked statically into a stripped executable. Its errors name their function, so code
 * that refers to the string "ssl_write_internal" lies in that function, and unwind entries say where
 * it begins. Both SSL_write and SSL_write_ex come through it, with SSL_write_ex's arguments.
 */
#include "capture/locate/recipe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
	MAX_REFS = 64, /* places that name one function; real ones have 2-6 */
};

/* The one function all references lie in; 0 when there is none or they disagree. */
static int function_naming(struct elf *e, const struct survey *s, enum marker marker,
			   const char *name, uint64_t *out)
{
	struct xref refs[MAX_REFS];
	uint64_t found = 0;

	*out = 0;
	for (uint32_t i = 0; i < s->n[marker]; i++) {
		char text[SCAN_MAX_NEEDLE];
		uint64_t va, start, end;
		unsigned n;
		int err;

		/* the whole string, not a part of a longer one */
		if (!s->off[marker][i] || elf_string(e, s->off[marker][i], text, sizeof(text)) ||
		    strcmp(text, name) || elf_string(e, s->off[marker][i] - 1, text, 2) ||
		    text[0] || !elf_off_to_va(e, s->off[marker][i], &va))
			continue;
		err = scan_xrefs(e, va, va, refs, MAX_REFS, &n);
		if (err)
			return err;
		for (unsigned k = 0; k < n && k < MAX_REFS; k++) {
			if (!fde_find(e, refs[k].at, &start, &end) || (found && found != start))
				return 0;
			found = start;
		}
	}
	*out = found;
	return 0;
}

/* "OpenSSL 3.5.5 27 Jan 2026" among the constants. */
static void name_version(const struct elf *e, const struct survey *s, struct locate_lib *lib)
{
	for (uint32_t i = 0; i < s->n[MARK_OPENSSL_VERSION]; i++) {
		char text[24];
		size_t len = strlen("OpenSSL ");

		if (elf_string(e, s->off[MARK_OPENSSL_VERSION][i], text, sizeof(text)))
			continue;
		while (isdigit((unsigned char)text[len]) || text[len] == '.')
			len++;
		if (text[len] == ' ' && isdigit((unsigned char)text[len - 1])) {
			snprintf(lib->library, sizeof(lib->library), "%.*s", (int)len, text);
			return;
		}
	}
}

static int find(struct elf *e, const struct survey *s, struct locate_lib *lib)
{
	uint64_t read, write;
	int err;

	name_version(e, s, lib);
	err = function_naming(e, s, MARK_SSL_READ_INTERNAL, "ssl_read_internal", &read);
	if (!err)
		err = function_naming(e, s, MARK_SSL_WRITE_INTERNAL, "ssl_write_internal", &write);
	if (err)
		return err;
	if (read && write && read != write) {
		lib_add_va(e, lib, FN_SSL_READ_EX, read);
		lib_add_va(e, lib, FN_SSL_WRITE_EX, write);
	}
	if (lib->n_sites < 2) {
		lib->n_sites = 0;
		lib_reason(lib, "%s found, %s not located", lib->library,
			   write ? "ssl_read_internal" : "ssl_write_internal");
	}
	return 0;
}

const struct recipe recipe_openssl3 = { "xref", FINDER_ANY_MACHINE, TLS_OPENSSL,
					1u << MARK_SSL_WRITE_INTERNAL, find, "OpenSSL 3" };
