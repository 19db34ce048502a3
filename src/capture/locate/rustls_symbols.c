/*
 * rustls before 0.23, where symbols were left: mangled names keep their identifiers, in the legacy
 * form (_ZN...17h<hash>E) and in v0 (_RNv...). Reading is Reader::read. Writing goes to the sink
 * below Writer::write where that has a symbol, since Stream::write calls it without the Writer.
 */
#include "capture/locate/recipe.h"

#include <string.h>

enum {
	MAX_HITS = 32,
	MAX_PARTS = 3,
};

static const struct name {
	const char *prefix;
	const char *parts[MAX_PARTS]; /* in this order, after the prefix */
	enum tls_func func;
	bool fallback; /* only when nothing else gives this function */
} names[] = {
	{ "_ZN",
	  { "rustls..conn..", "Reader$u20$as$u20$std..io..Read$GT$4read17h" },
	  FN_RUSTLS_READ,
	  0 },
	{ "_ZN", { "rustls..conn..", "PlaintextSink$GT$5write17h" }, FN_RUSTLS_WRITE, 0 },
	{ "_ZN",
	  { "rustls..conn..", "Writer$u20$as$u20$std..io..Write$GT$5write17h" },
	  FN_RUSTLS_WRITE,
	  1 },
	{ "_RNv", { "6rustls4conn", "6ReaderNtNt", "4Read4read" }, FN_RUSTLS_READ, 0 },
	{ "_RNv", { "6rustls4conn", "13PlaintextSink", "5write" }, FN_RUSTLS_WRITE, 0 },
	{ "_RNv", { "6rustls4conn", "6WriterNtNt", "5Write5write" }, FN_RUSTLS_WRITE, 1 },
};

enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

struct pass {
	const struct elf *e;
	uint64_t base; /* file offset of the string table */
	uint32_t n;
	struct {
		uint32_t stroff, name;
		uint64_t va;
	} hits[MAX_HITS];
};

static bool matches(const struct name *name, const uint8_t *s, size_t len)
{
	const uint8_t *p = s + strlen(name->prefix);

	if (len < strlen(name->prefix) || memcmp(s, name->prefix, strlen(name->prefix)))
		return false;
	for (int i = 0; i < MAX_PARTS && name->parts[i]; i++) {
		p = memmem(p, (size_t)(s + len - p), name->parts[i], strlen(name->parts[i]));
		if (!p)
			return false;
		p += strlen(name->parts[i]);
	}
	/* in v0 only the crate that made the instance may follow the function's own name */
	return name->prefix[1] != 'R' || p == s + len || *p == '.' || *p == 'C';
}

static int scan_names(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	const uint8_t *p = buf, *end = buf + avail, *nul;
	struct pass *pass = arg;

	for (; p < buf + own && (nul = memchr(p, 0, (size_t)(end - p))); p = nul + 1) {
		for (uint32_t i = 0; i < N_NAMES && pass->n < MAX_HITS; i++) {
			if (!matches(&names[i], p, (size_t)(nul - p)))
				continue;
			pass->hits[pass->n].stroff =
				(uint32_t)(at + (uint64_t)(p - buf) - pass->base);
			pass->hits[pass->n++].name = i;
		}
	}
	return 0;
}

static int scan_symbols(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	struct pass *pass = arg;

	(void)avail;
	(void)at;
	for (size_t i = 0; i + sizeof(Elf64_Sym) <= own; i += sizeof(Elf64_Sym)) {
		Elf64_Sym s;

		memcpy(&s, buf + i, sizeof(s));
		for (uint32_t k = 0; k < pass->n; k++) {
			if (pass->hits[k].stroff == s.st_name && s.st_shndx != SHN_UNDEF &&
			    ELF64_ST_TYPE(s.st_info) == STT_FUNC)
				pass->hits[k].va = s.st_value;
		}
	}
	return 0;
}

static void add_hits(struct elf *e, const struct pass *pass, bool fallback, struct locate_lib *lib)
{
	bool had_write = lib_has(lib, FN_RUSTLS_WRITE);

	for (uint32_t i = 0; i < pass->n; i++) {
		const struct name *name = &names[pass->hits[i].name];

		if (pass->hits[i].va && name->fallback == fallback &&
		    !(fallback && had_write && name->func == FN_RUSTLS_WRITE))
			lib_add_va(e, lib, name->func, pass->hits[i].va);
	}
}

int rustls_by_symbol(struct elf *e, struct locate_lib *lib)
{
	for (uint32_t i = 0; i < e->n_secs; i++) {
		const struct elf_sec *syms = &e->secs[i], *strs;
		struct pass pass = { .e = e };
		int err;

		if (syms->type != SHT_SYMTAB || syms->link >= e->n_secs)
			continue;
		strs = &e->secs[syms->link];
		pass.base = strs->off;
		err = elf_scan(e, strs->off, strs->size, scan_names, &pass);
		if (!err && pass.n)
			err = elf_scan_items(e, syms->off, syms->size, sizeof(Elf64_Sym),
					     scan_symbols, &pass);
		if (err)
			return err;
		add_hits(e, &pass, false, lib);
		add_hits(e, &pass, true, lib);
	}
	if (!lib_has(lib, FN_RUSTLS_READ) || !lib_has(lib, FN_RUSTLS_WRITE))
		lib->n_sites = 0;
	else
		lib->method = "symbol";
	return 0;
}
