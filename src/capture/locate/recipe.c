/* One survey of the constant data decides which recipes are worth a pass over the code. */
#include "capture/locate/recipe.h"

#include <string.h>

static const char *const markers[N_MARKERS] = {
	[MARK_SSL_LIB_CC] = "/ssl/ssl_lib.cc",
	[MARK_SSL_READ_INTERNAL] = "ssl_read_internal",
	[MARK_SSL_WRITE_INTERNAL] = "ssl_write_internal",
	[MARK_OPENSSL_3] = "OpenSSL 3.",
	[MARK_OPENSSL_4] = "OpenSSL 4.",
	[MARK_RUSTLS_PATH] = "/rustls-0.",
	[MARK_RUSTLS_ERROR] = "received corrupt message",
};

static const struct recipe *const recipes[] = {
	&recipe_boringssl,
	&recipe_openssl3,
	&recipe_rustls,
};

static int on_marker(void *arg, unsigned marker, uint64_t off)
{
	struct survey *s = arg;

	if (s->n[marker] < RECIPE_MAX_HITS)
		s->off[marker][s->n[marker]++] = off;
	return 0;
}

static uint32_t seen(const struct survey *s)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < N_MARKERS; i++)
		bits |= (s->n[i] ? 1u : 0u) << i;
	return bits;
}

static int find(struct elf *e, const char *method, struct locate_result *out)
{
	struct survey s = { 0 };
	int err = scan_strings(e, markers, N_MARKERS, on_marker, &s);

	(void)method; /* each recipe names its own */
	for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]) && !err; i++) {
		const struct recipe *r = recipes[i];
		struct locate_lib *lib;

		if (!(seen(&s) & r->markers) || result_has(out, r->family))
			continue;
		lib = result_lib(out, r->family, r->method);
		if (!lib)
			break;
		lib->method = r->method;
		strncpy(lib->library, r->name, sizeof(lib->library) - 1);
		if (r->machine != FINDER_ANY_MACHINE && r->machine != e->machine)
			lib_reason(lib, "%s found, no recipe for this machine type (%u)", r->name,
				   e->machine);
		else
			err = r->find(e, &s, lib);
	}
	return err;
}

const struct finder finder_recipes = { "recipe", FINDER_ANY_MACHINE, find };
