/* The chain of finders, and what every finder needs to answer. */
#include "capture/locate/finder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct finder *const finders[] = {
	&finder_symbols,
	&finder_debug_file,
	&finder_pclntab,
	&finder_recipes,
};

struct locate_lib *result_lib(struct locate_result *out, enum tls_family family, const char *method)
{
	struct locate_lib *lib;

	for (uint32_t i = 0; i < out->n_libs; i++) {
		if (out->libs[i].family == family)
			return &out->libs[i];
	}
	if (out->n_libs == LOCATE_MAX_LIBS)
		return NULL;
	lib = &out->libs[out->n_libs++];
	lib->family = family;
	lib->method = method;
	return lib;
}

bool result_has(const struct locate_result *out, enum tls_family family)
{
	for (uint32_t i = 0; i < out->n_libs; i++) {
		if (out->libs[i].family == family && out->libs[i].n_sites)
			return true;
	}
	return false;
}

bool lib_has(const struct locate_lib *lib, enum tls_func func)
{
	for (uint32_t i = 0; i < lib->n_sites; i++) {
		if (lib->sites[i].func == func)
			return true;
	}
	return false;
}

bool lib_add_va(const struct elf *e, struct locate_lib *lib, enum tls_func func, uint64_t va)
{
	struct locate_site *site;
	uint64_t off;

	if (!elf_va_is_code(e, va) || !elf_va_to_off(e, va, &off))
		return false;
	for (uint32_t i = 0; i < lib->n_sites; i++) {
		if (lib->sites[i].func == func && lib->sites[i].func_off == off)
			return true; /* an alias */
	}
	if (lib->n_sites == LOCATE_MAX_SITES) {
		lib_reason(lib, "more than %d functions", LOCATE_MAX_SITES);
		return false;
	}
	site = &lib->sites[lib->n_sites++];
	memset(site, 0, sizeof(*site));
	site->func = func;
	site->func_off = off;
	prologue_slide(e, site);
	return true;
}

void lib_reason(struct locate_lib *lib, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(lib->reason, sizeof(lib->reason), fmt, ap);
	va_end(ap);
}

static int verdict(struct locate_result *out)
{
	const struct locate_lib *lacking = NULL;

	for (uint32_t i = 0; i < out->n_libs; i++) {
		if (out->libs[i].n_sites)
			return 0;
		lacking = &out->libs[i];
	}
	if (!lacking) {
		snprintf(out->reason, sizeof(out->reason), "no TLS library in this file");
		return -ENOENT;
	}
	memcpy(out->reason, lacking->reason, sizeof(out->reason));
	return -ESRCH;
}

int locate_file(int fd, struct locate_result *out)
{
	struct elf e;
	int err;

	memset(out, 0, sizeof(*out));
	err = elf_open(&e, fd);
	if (err) {
		snprintf(out->reason, sizeof(out->reason), "%s",
			 err == -ENOEXEC  ? "not a 64-bit little-endian ELF file"
			 : err == -EINVAL ? "damaged ELF headers"
					  : strerror(-err));
		return err;
	}
	out->machine = e.machine;
	memcpy(out->build_id, e.build_id, sizeof(out->build_id));
	for (size_t i = 0; i < sizeof(finders) / sizeof(finders[0]); i++) {
		const struct finder *f = finders[i];

		if (f->machine != FINDER_ANY_MACHINE && f->machine != e.machine)
			continue;
		err = f->find(&e, f->method, out);
		if (err)
			break;
	}
	elf_close(&e);
	if (err) {
		snprintf(out->reason, sizeof(out->reason), "%s",
			 err == -E2BIG ? "tables overlap too often to be a real program"
				       : strerror(-err));
		return err;
	}
	return verdict(out);
}
