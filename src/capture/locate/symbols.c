/*
 * Functions by symbol. Two streaming passes, no table held: the string table is searched for the
 * wanted names (string tables merge tails, so any string that ends in a name counts), then the
 * symbol table for entries that point at those places.
 */
#include "capture/locate/symbols.h"

#include <string.h>

enum {
	SYM_MAX_HITS = 64, /* places in one string table; a real one has each name once */
};

static const struct sym_row {
	const char *name;
	enum tls_family family;
	enum tls_func func;  /* FN_NONE: only says what the library is */
	const char *library; /* with FN_NONE: its name; with a reason it is not covered */
	const char *reason;
} rows[] = {
	{ "SSL_read", TLS_OPENSSL, FN_SSL_READ, 0, 0 },
	{ "SSL_write", TLS_OPENSSL, FN_SSL_WRITE, 0, 0 },
	{ "SSL_read_ex", TLS_OPENSSL, FN_SSL_READ_EX, 0, 0 },
	{ "SSL_write_ex", TLS_OPENSSL, FN_SSL_WRITE_EX, 0, 0 },
	{ "SSL_write_ex2", TLS_OPENSSL, FN_SSL_WRITE_EX2, 0, 0 },
	{ "SSL_free", TLS_OPENSSL, FN_SSL_FREE, 0, 0 },
	{ "SSL_set_fd", TLS_OPENSSL, FN_SSL_SET_FD, 0, 0 },
	{ "SSL_set_rfd", TLS_OPENSSL, FN_SSL_SET_FD, 0, 0 },
	{ "SSL_set_wfd", TLS_OPENSSL, FN_SSL_SET_FD, 0, 0 },
	{ "SSL_set_bio", TLS_OPENSSL, FN_SSL_SET_BIO, 0, 0 },
	{ "SSL_CTX_set_grease_enabled", TLS_BORINGSSL, FN_NONE, "BoringSSL", 0 },
	{ "gnutls_record_send", TLS_GNUTLS, FN_GNUTLS_SEND, 0, 0 },
	{ "gnutls_record_recv", TLS_GNUTLS, FN_GNUTLS_RECV, 0, 0 },
	{ "gnutls_deinit", TLS_GNUTLS, FN_GNUTLS_DEINIT, 0, 0 },
	{ "gnutls_transport_set_int2", TLS_GNUTLS, FN_GNUTLS_SET_INT, 0, 0 },
	{ "JNI_CreateJavaVM", TLS_OTHER, FN_NONE, "Java (JSSE)",
	  "Java's TLS (JSSE) runs in compiled bytecode, which is not covered" },
	{ "SSL_ImportFD", TLS_OTHER, FN_NONE, "NSS", "NSS found, its functions are not covered" },
	{ "mbedtls_ssl_write", TLS_OTHER, FN_NONE, "Mbed TLS",
	  "Mbed TLS found, its functions are not covered" },
	{ "wolfSSL_write", TLS_OTHER, FN_NONE, "wolfSSL",
	  "wolfSSL found, its functions are not covered" },
	{ "s2n_send", TLS_OTHER, FN_NONE, "s2n", "s2n found, its functions are not covered" },
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

struct hit {
	uint32_t stroff;
	uint32_t row;
};

struct names {
	uint64_t base; /* file offset of the string table */
	size_t lens[N_ROWS];
	bool ends[256]; /* last characters of wanted names */
	uint32_t n;
	uint64_t filter[64]; /* which st_name values can matter: one bit per low 12 bits */
	struct hit hits[SYM_MAX_HITS];
};

/* What one symbol table said about each row. */
struct answers {
	uint64_t va[N_ROWS];
	bool seen[N_ROWS], twice[N_ROWS];
};

static void take_name(struct names *n, const uint8_t *buf, const uint8_t *nul, size_t own,
		      uint64_t at)
{
	for (uint32_t r = 0; r < N_ROWS && n->n < SYM_MAX_HITS; r++) {
		size_t len = n->lens[r];
		const uint8_t *start = nul - len;
		uint32_t off;

		/* start in the part we own: each place is reported once */
		if ((size_t)(nul - buf) < len || start >= buf + own ||
		    memcmp(start, rows[r].name, len))
			continue;
		off = (uint32_t)(at + (uint64_t)(start - buf) - n->base);
		n->hits[n->n].stroff = off;
		n->hits[n->n++].row = r;
		n->filter[off >> 6 & 63] |= 1ULL << (off & 63);
	}
}

static int scan_names(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	struct names *n = arg;
	const uint8_t *end = buf + avail, *nul = buf + 1;

	while (nul < end && (nul = memchr(nul, 0, (size_t)(end - nul)))) {
		if (n->ends[nul[-1]])
			take_name(n, buf, nul, own, at);
		while (nul < end && !*nul) /* holes of a sparse file are nothing but these */
			nul++;
	}
	return 0;
}

struct sym_pass {
	const struct names *names;
	struct answers *answers;
};

static void take_symbol(struct sym_pass *p, const Elf64_Sym *s)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);

	if (!(p->names->filter[s->st_name >> 6 & 63] >> (s->st_name & 63) & 1))
		return;
	if (s->st_shndx == SHN_UNDEF || !s->st_value || (type != STT_FUNC && type != STT_NOTYPE))
		return;
	for (uint32_t i = 0; i < p->names->n; i++) {
		uint32_t r = p->names->hits[i].row;

		if (p->names->hits[i].stroff != s->st_name)
			continue;
		if (p->answers->seen[r] && p->answers->va[r] != s->st_value)
			p->answers->twice[r] = true;
		p->answers->seen[r] = true;
		p->answers->va[r] = s->st_value;
	}
}

static int scan_symbols(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	(void)at;
	(void)avail;
	for (size_t i = 0; i + sizeof(Elf64_Sym) <= own; i += sizeof(Elf64_Sym)) {
		Elf64_Sym s;

		memcpy(&s, buf + i, sizeof(s));
		take_symbol(arg, &s);
	}
	return 0;
}

static int read_table(struct elf *e, const struct elf_sec *syms, const struct elf_sec *strs,
		      struct answers *a)
{
	struct names n = { .base = strs->off };
	struct sym_pass pass = { &n, a };
	int err;

	for (uint32_t r = 0; r < N_ROWS; r++) {
		n.lens[r] = strlen(rows[r].name);
		n.ends[(uint8_t)rows[r].name[n.lens[r] - 1]] = true;
	}
	err = elf_scan(e, strs->off, strs->size, scan_names, &n);
	if (err || !n.n)
		return err;
	return elf_scan_items(e, syms->off, syms->size, sizeof(Elf64_Sym), scan_symbols, &pass);
}

static void name_library(const struct elf *e, const struct answers *a, struct locate_lib *lib)
{
	static const char *const plain[TLS_N_FAMILIES] = {
		[TLS_OPENSSL] = "OpenSSL",
		[TLS_BORINGSSL] = "BoringSSL",
		[TLS_GNUTLS] = "GnuTLS",
	};

	if (lib->library[0])
		return;
	for (uint32_t r = 0; r < N_ROWS; r++) {
		if (a->seen[r] && rows[r].library && rows[r].family == lib->family) {
			strncpy(lib->library, rows[r].library, sizeof(lib->library) - 1);
			return;
		}
	}
	elf_soname(e, lib->library, sizeof(lib->library));
	/* an executable, or a shared object that carries TLS among other things (libnode) */
	if (!lib->library[0] && plain[lib->family])
		strncpy(lib->library, plain[lib->family], sizeof(lib->library) - 1);
}

/* BoringSSL shares OpenSSL's names; a function that only it has tells them apart. */
static enum tls_family family_of(const struct answers *a, const struct sym_row *row)
{
	if (row->family != TLS_OPENSSL)
		return row->family;
	for (uint32_t r = 0; r < N_ROWS; r++) {
		if (rows[r].family == TLS_BORINGSSL && a->seen[r])
			return TLS_BORINGSSL;
	}
	return TLS_OPENSSL;
}

static void check_directions(struct locate_lib *lib)
{
	bool reads = lib_has(lib, FN_SSL_READ) || lib_has(lib, FN_SSL_READ_EX) ||
		     lib_has(lib, FN_GNUTLS_RECV);
	bool writes = lib_has(lib, FN_SSL_WRITE) || lib_has(lib, FN_SSL_WRITE_EX) ||
		      lib_has(lib, FN_GNUTLS_SEND);

	if (lib->reason[0] || (reads && writes))
		return;
	lib_reason(lib, "%s: no symbol for %s", lib->library,
		   reads    ? "writing"
		   : writes ? "reading"
			    : "reading or writing");
	if (!reads && !writes)
		lib->n_sites = 0;
}

static void take_answers(const struct elf *e, const struct elf *code, const struct answers *a,
			 const char *method, struct locate_result *out)
{
	uint32_t before = out->n_libs;

	for (uint32_t r = 0; r < N_ROWS; r++) {
		enum tls_family family = family_of(a, &rows[r]);
		struct locate_lib *lib;

		if (!a->seen[r] || (rows[r].func == FN_NONE && !rows[r].reason))
			continue;
		lib = result_lib(out, family, method);
		if (!lib)
			return;
		if (rows[r].reason)
			lib_reason(lib, "%s", rows[r].reason);
		else if (a->twice[r])
			lib_reason(lib, "two different functions are called %s", rows[r].name);
		else
			lib_add_va(code, lib, rows[r].func, a->va[r]);
		name_library(e, a, lib);
	}
	for (uint32_t i = before; i < out->n_libs; i++) {
		check_directions(&out->libs[i]);
		if (out->libs[i].family == TLS_OPENSSL)
			openssl_find_inner(code, &out->libs[i]);
	}
}

/* Symbols come from e; the code they speak of is in code (the same file, or the stripped one). */
int symbols_find(struct elf *e, const struct elf *code, uint32_t table_type, const char *method,
		 struct locate_result *out)
{
	for (uint32_t i = 0; i < e->n_secs; i++) {
		struct answers a = { 0 };
		int err;

		if (e->secs[i].type != table_type || e->secs[i].link >= e->n_secs)
			continue;
		err = read_table(e, &e->secs[i], &e->secs[e->secs[i].link], &a);
		if (err)
			return err;
		take_answers(e, code, &a, method, out);
	}
	return 0;
}

static bool any_sites(const struct locate_result *out)
{
	for (uint32_t i = 0; i < out->n_libs; i++) {
		if (out->libs[i].n_sites)
			return true;
	}
	return false;
}

static int find(struct elf *e, const char *method, struct locate_result *out)
{
	int err = symbols_find(e, e, SHT_DYNSYM, method, out);

	/* what is exported is complete for what it exports; .symtab can be a hundred times larger */
	if (!err && !any_sites(out))
		err = symbols_find(e, e, SHT_SYMTAB, method, out);
	return err;
}

const struct finder finder_symbols = { "symbol", FINDER_ANY_MACHINE, find };
