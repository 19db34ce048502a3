/*
 * rustls 0.23 without symbols. Its record layer is reached through vtables:
 *
 *   dyn MessageEncrypter  drop, size, align, encrypt, encrypted_payload_len
 *   dyn MessageDecrypter  drop, size, align, decrypt
 *
 * encrypted_payload_len only adds the record's overhead, so its body is one of a few tiny byte
 * strings; it leads to the encrypter's vtable. The decrypter is of the same type (same drop, size,
 * align), with its vtable or its code nearby.
 *
 * What the probes see (x86_64): encrypt(rdi result, rsi self, rdx msg, rcx seq). Word 0 of msg zero:
 * one slice (ptr word 1, len word 2), else an array of slices (word 0), count, start, end; the byte
 * at +32 is the content type (23 on the wire, 3 as the enum: application data). decrypt: keep rdi;
 * at the return the low byte of its word 0 says Ok (0x16, 0x29: behind the variants of Error), then
 * payload ptr word 1, len word 2, low byte of word 3 the content type. The payload lies inside the
 * record given in words 0 (ptr) and 1 (len) of msg.
 */
#include "capture/locate/recipe.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_MINOR = 23,      /* rustls 0.23 */
	MAX_LENS = 4096,       /* bodies that look like encrypted_payload_len; 10-200 are met */
	MAX_TYPES = 32,	       /* encrypters: one per cipher family, provider and instance */
	MAX_TABLES = 64 << 20, /* bytes of relocated constants held at once; 2-6 MB are met */
	MAX_OBJECT = 0x2000,   /* size of an encrypter in bytes */
	NEAR_CODE = 0x8000,    /* a decrypter's code lies within this of an encrypter's, */
	NEAR_TABLE = 0x80,     /* or its vtable does: it has been 0x38 bytes before it */
};

struct lens {
	const struct elf *e;
	uint32_t n;
	uint64_t va[MAX_LENS];
};

/* Added by encrypted_payload_len: TLS 1.3 type + tag, TLS 1.2 nonce + tag, ChaCha tag. */
static bool is_overhead(uint32_t n)
{
	return n == 0x11 || n == 0x18 || n == 0x10;
}

static void add_len(struct lens *l, uint64_t off)
{
	uint64_t va;

	if (l->n < MAX_LENS && elf_off_to_va(l->e, off, &va))
		l->va[l->n++] = va;
}

/* [push rbp; mov rbp, rsp;] lea rax, [rsi + n]; [pop rbp;] ret */
static void lens_x86(struct lens *l, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	const uint8_t *p = buf, *end = buf + (own + 16 < avail ? own + 16 : avail);

	for (; p < end && (p = memchr(p, 0xc3, (size_t)(end - p))); p++) {
		size_t i = (size_t)(p - buf);

		if (i >= 4 && !memcmp(p - 4, "\x48\x8d\x46", 3) && is_overhead(p[-1])) {
			if (i - 4 < own)
				add_len(l, at + i - 4);
		} else if (i >= 9 && !memcmp(p - 9, "\x55\x48\x89\xe5\x48\x8d\x46", 7) &&
			   is_overhead(p[-2]) && p[-1] == 0x5d) {
			if (i - 9 < own)
				add_len(l, at + i - 9);
		}
	}
}

/* add x0, x1, #n; ret */
static void lens_arm64(struct lens *l, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	for (size_t i = 0; i < own && i + 8 <= avail; i += 4) {
		uint32_t w = le32(buf + i);

		if ((w & 0xffc003ff) == 0x91000020 && is_overhead(w >> 10 & 0xfff) &&
		    le32(buf + i + 4) == 0xd65f03c0)
			add_len(l, at + i);
	}
}

static int lens_window(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	struct lens *l = arg;

	if (l->e->machine == EM_AARCH64)
		lens_arm64(l, buf, own, avail, at);
	else
		lens_x86(l, buf, own, avail, at);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The relocated constants of the file, as the program sees them when loaded at address 0. */
struct tables {
	uint64_t va, *w;
	size_t n;
	uint32_t relative;
};

static int on_rela(void *arg, const Elf64_Rela *r)
{
	struct tables *t = arg;
	uint64_t at = r->r_offset - t->va;

	if (ELF64_R_TYPE(r->r_info) == t->relative && !(at & 7) && at / 8 < t->n)
		t->w[at / 8] = (uint64_t)r->r_addend;
	return 0;
}

static int tables_read(struct elf *e, struct tables *t)
{
	const struct elf_sec *s = elf_section(e, ".data.rel.ro");
	uint64_t size;
	long n;

	/* position dependent code keeps them with the plain constants */
	if (!s && e->type == ET_EXEC)
		s = elf_section(e, ".rodata");
	if (!s || s->type == SHT_NOBITS)
		return -ENOENT;
	size = s->size < MAX_TABLES ? s->size & ~7ULL : MAX_TABLES;
	t->w = malloc(size + 8);
	if (!t->w)
		return -ENOMEM;
	n = elf_read_some(e, s->off, t->w, size);
	if (n < 0)
		return (int)n;
	t->n = (size_t)n / 8;
	t->va = s->va;
	t->relative = elf_relative(e);
	return elf_rela(e, on_rela, t);
}

struct types {
	uint32_t n;
	struct {
		uint64_t drop, size, align, encrypt;
		size_t at; /* index of the vtable's first word */
	} t[MAX_TYPES];
};

static bool is_align(uint64_t a)
{
	return a && a <= 64 && !(a & (a - 1));
}

static void find_encrypters(const struct elf *e, const struct tables *t, const struct lens *l,
			    struct types *out)
{
	for (size_t j = 4; j < t->n && out->n < MAX_TYPES; j++) {
		const uint64_t *v = t->w + j - 4;

		if (v[4] < l->va[0] || v[4] > l->va[l->n - 1] || !is_align(v[2]) || !v[1] ||
		    v[1] >= MAX_OBJECT || !elf_va_is_code(e, v[3]) ||
		    (v[0] && !elf_va_is_code(e, v[0])) ||
		    !bsearch(&v[4], l->va, l->n, sizeof(l->va[0]), compare))
			continue;
		out->t[out->n].drop = v[0];
		out->t[out->n].size = v[1];
		out->t[out->n].align = v[2];
		out->t[out->n].at = j - 4;
		out->t[out->n++].encrypt = v[3];
	}
}

static bool is_decrypter(const struct types *k, const uint64_t *v, size_t at)
{
	bool same = false, near = false;

	for (uint32_t i = 0; i < k->n; i++) {
		if (v[3] == k->t[i].encrypt)
			return false;
		same |= v[0] == k->t[i].drop && v[1] == k->t[i].size && v[2] == k->t[i].align;
		near |= v[3] - k->t[i].encrypt + NEAR_CODE <= 2 * NEAR_CODE ||
			(at - k->t[i].at) * 8 + NEAR_TABLE <= 2 * NEAR_TABLE;
	}
	return same && near;
}

static unsigned minor_version(const char *p)
{
	unsigned n = 0;

	for (; isdigit((unsigned char)*p) && n < 1000; p++)
		n = 10 * n + (unsigned)(*p - '0');
	return n;
}

/* "/rustls-0.23.36/src": the version among paths of panics. Before 0.23 messages had another layout,
 * so a vtable found there would be misread: false. */
static bool name_version(const struct elf *e, const struct survey *s, struct locate_lib *lib)
{
	for (uint32_t i = 0; i < s->n[MARK_RUSTLS_PATH]; i++) {
		size_t len = strlen("/rustls-");
		char text[40];

		if (elf_string(e, s->off[MARK_RUSTLS_PATH][i], text, sizeof(text)))
			continue;
		while (isalnum((unsigned char)text[len]) || text[len] == '.' || text[len] == '-')
			len++;
		if (text[len] != '/' && text[len] != '\\')
			continue;
		snprintf(lib->library, sizeof(lib->library), "rustls %.*s",
			 (int)(len - strlen("/rustls-")), text + strlen("/rustls-"));
		return minor_version(text + strlen("/rustls-0.")) >= FIRST_MINOR;
	}
	return true;
}

static void find_pair(const struct elf *e, const struct tables *t, const struct lens *l,
		      struct locate_lib *lib)
{
	struct types k = { 0 };

	find_encrypters(e, t, l, &k);
	for (uint32_t i = 0; i < k.n; i++)
		lib_add_va(e, lib, FN_RUSTLS_ENCRYPT, k.t[i].encrypt);
	for (size_t j = 0; j + 4 <= t->n && k.n; j++) {
		const uint64_t *v = t->w + j;

		/* cheap first: nearly every word fails here */
		if (is_align(v[2]) && v[1] && v[1] < MAX_OBJECT && is_decrypter(&k, v, j))
			lib_add_va(e, lib, FN_RUSTLS_DECRYPT, v[3]);
	}
}

static int find_vtables(struct elf *e, struct locate_lib *lib)
{
	struct lens *l = calloc(1, sizeof(*l));
	struct tables t = { 0 };
	int err;

	if (!l)
		return -ENOMEM;
	l->e = e;
	err = scan_code(e, lens_window, l);
	if (!err && l->n) {
		qsort(l->va, l->n, sizeof(l->va[0]), compare);
		err = tables_read(e, &t);
		if (!err)
			find_pair(e, &t, l, lib);
	}
	free(t.w);
	free(l);
	return err == -ENOENT ? 0 : err;
}

static int find(struct elf *e, const struct survey *s, struct locate_lib *lib)
{
	int err;

	if (!name_version(e, s, lib)) {
		err = rustls_by_symbol(e, lib);
		if (!err && !lib->n_sites)
			lib_reason(lib, "%s found without symbols; the recipe knows 0.%d and later",
				   lib->library, FIRST_MINOR);
		return err;
	}
	err = find_vtables(e, lib);
	if (err || (lib_has(lib, FN_RUSTLS_ENCRYPT) && lib_has(lib, FN_RUSTLS_DECRYPT)))
		return err;
	lib_reason(lib, "%s found, its record %s not located", lib->library,
		   lib_has(lib, FN_RUSTLS_ENCRYPT) ? "decrypters" : "encrypters");
	lib->n_sites = 0;
	return 0;
}

const struct recipe recipe_rustls = { "vtable",	  FINDER_ANY_MACHINE,
				      TLS_RUSTLS, 1u << MARK_RUSTLS_PATH | 1u << MARK_RUSTLS_ERROR,
				      find,	  "rustls" };
