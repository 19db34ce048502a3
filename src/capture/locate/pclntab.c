/*
 * Go: .gopclntab names every function, also in stripped and position independent executables,
 * because tracebacks need it. Read is followed by its RET instructions, never by a uretprobe: Go
 * moves stacks, and a return address that is not where it was ends the process.
 */
#include "capture/locate/finder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_FUNCS = 4 << 20,	  /* functions of one program; large ones have 300,000 */
	MAX_FUNC_SIZE = 64 << 10, /* bytes; Conn.Read and Conn.Write are below 3 KiB */
	CURSOR = 64 << 10,	  /* bytes held of each table while walking it */
	MAX_REFILLS = 16384,	  /* of a cursor: offsets that jump about would read without end */
	MAX_TRIES = 64,		  /* places that look like the table when headers do not name it */
	MODULE_TEXT = 176,	  /* runtime.moduledata.text, Go 1.18 and later */
};

static const struct go_func {
	const char *name;
	enum tls_func func;
} wanted[] = {
	{ "crypto/tls.(*Conn).Read", FN_GO_READ },
	{ "crypto/tls.(*Conn).Write", FN_GO_WRITE },
	{ "crypto/tls.(*Conn).Close", FN_GO_CLOSE },
};

enum { N_WANTED = sizeof(wanted) / sizeof(wanted[0]) };

struct pcln {
	uint64_t off;	 /* file offset of the table */
	uint64_t va;	 /* its address */
	uint8_t version; /* low byte of the magic: fa 1.16, f0 1.18, f1 1.20 */
	uint64_t n_funcs, text, names, names_len, funcs;
	unsigned entry; /* bytes of a functab entry */
};

/* Sequential reader: one piece of the file at a time. */
struct cursor {
	const struct elf *e;
	uint64_t at;
	size_t len;
	unsigned refills;
	uint8_t buf[CURSOR];
};

static const uint8_t *cursor_get(struct cursor *c, uint64_t off, size_t len)
{
	if (off < c->at || off - c->at + len > c->len) {
		long n = c->refills++ < MAX_REFILLS
				 ? elf_read_some(c->e, off, c->buf, sizeof(c->buf))
				 : 0;

		c->at = off;
		c->len = n > 0 ? (size_t)n : 0;
		if (len > c->len)
			return NULL;
	}
	return c->buf + (off - c->at);
}

static bool is_header(const uint8_t *p)
{
	return (p[0] == 0xf1 || p[0] == 0xf0 || p[0] == 0xfa) && p[1] == 0xff && p[2] == 0xff &&
	       p[3] == 0xff && !p[4] && !p[5] && (p[6] == 1 || p[6] == 4) && p[7] == 8;
}

static bool read_header(const struct elf *e, uint64_t off, struct pcln *t)
{
	uint8_t h[8 + 8 * 8];
	uint64_t w[8];

	if (elf_read(e, off, h, sizeof(h)) || !is_header(h) || !elf_off_to_va(e, off, &t->va))
		return false;
	for (int i = 0; i < 8; i++)
		w[i] = le64(h + 8 + 8 * i);
	t->off = off;
	t->version = h[0];
	t->n_funcs = w[0];
	/* functions, files, [text,] names, units, files, pc tables, functions */
	if (t->version == 0xfa) {
		t->text = 0;
		t->names = w[2];
		t->names_len = w[3] - w[2];
		t->funcs = w[6];
		t->entry = 16;
	} else {
		t->text = w[2];
		t->names = w[3];
		t->names_len = w[4] - w[3];
		t->funcs = w[7];
		t->entry = 8;
	}
	return t->n_funcs && t->n_funcs <= MAX_FUNCS && t->names < e->size &&
	       t->names_len < e->size && t->funcs < e->size;
}

struct magic_pass {
	const struct elf *e;
	struct pcln *t;
	unsigned tries;
};

static int magic_window(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	struct magic_pass *p = arg;

	/* the linker aligns the table to 16 bytes or more */
	for (size_t i = (16 - at % 16) % 16; i < own && i + 8 <= avail; i += 16) {
		if (is_header(buf + i) && p->tries++ < MAX_TRIES && read_header(p->e, at + i, p->t))
			return 1;
	}
	return 0;
}

static int find_table(struct elf *e, struct pcln *t)
{
	static const char *const names[] = { ".gopclntab", ".data.rel.ro.gopclntab" };
	struct magic_pass pass = { e, t, 0 };
	int found = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct elf_sec *s = elf_section(e, names[i]);

		if (s && s->type != SHT_NOBITS && read_header(e, s->off, t))
			return 1;
	}
	/* external linking folds it into other sections; .go.buildinfo always stays */
	if (e->n_secs && !elf_section(e, ".go.buildinfo"))
		return 0;
	for (uint32_t i = 0; i < e->n_segs && !found; i++) {
		if (!(e->segs[i].flags & PF_X))
			found = elf_scan(e, e->segs[i].off, e->segs[i].filesz, magic_window, &pass);
	}
	return found;
}

/* Offsets of the wanted names in the name table. */
struct name_pass {
	uint64_t base;
	int64_t off[N_WANTED]; /* -1: not there */
};

static int name_window(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	static const char prefix[] = "crypto/tls.(*Conn).";
	struct name_pass *n = arg;
	const uint8_t *p = buf, *end = buf + avail;

	while ((p = memmem(p, (size_t)(end - p), prefix, sizeof(prefix) - 1))) {
		uint64_t off = at + (uint64_t)(p - buf) - n->base;

		for (int i = 0; i < N_WANTED; i++) {
			size_t len = strlen(wanted[i].name) + 1;

			if ((size_t)(p - buf) < own && (size_t)(end - p) >= len &&
			    !memcmp(p, wanted[i].name, len) && (p == buf || !p[-1]))
				n->off[i] = (int64_t)off;
		}
		p++;
	}
	return 0;
}

struct found {
	uint64_t entry[N_WANTED], end[N_WANTED]; /* relative to text (1.18+), or addresses */
	bool have[N_WANTED];
};

static bool func_entry(struct cursor *c, const struct pcln *t, uint64_t i, uint64_t *entry,
		       uint64_t *func)
{
	/* after the last entry comes one more address, the end of the last function */
	size_t len = i == t->n_funcs ? t->entry / 2 : t->entry;
	const uint8_t *p = cursor_get(c, t->off + t->funcs + i * t->entry, len);

	if (!p)
		return false;
	*entry = t->entry == 8 ? le32(p) : le64(p);
	*func = len < t->entry ? 0 : t->entry == 8 ? le32(p + 4) : le64(p + 8);
	return true;
}

static int walk(const struct elf *e, const struct pcln *t, const struct name_pass *names,
		struct found *out)
{
	struct cursor *tab = calloc(2, sizeof(*tab)), *data = tab + 1;
	unsigned left = 0;

	if (!tab)
		return -ENOMEM;
	tab->e = data->e = e;
	for (int k = 0; k < N_WANTED; k++)
		left += names->off[k] >= 0;
	for (uint64_t i = 0; i < t->n_funcs && left; i++) {
		uint64_t entry, func, end, ignored;
		const uint8_t *p;
		int32_t name;

		if (!func_entry(tab, t, i, &entry, &func))
			break;
		p = cursor_get(data, t->off + t->funcs + func, 16);
		if (!p)
			break;
		name = (int32_t)le32(p + t->entry / 2);
		for (int k = 0; k < N_WANTED; k++) {
			if (names->off[k] != name || out->have[k] ||
			    !func_entry(tab, t, i + 1, &end, &ignored))
				continue;
			out->entry[k] = entry;
			out->end[k] = end;
			out->have[k] = true;
			left--;
		}
	}
	free(tab);
	return 0;
}

/* A base is right when a wanted function then begins with Go's stack check. */
static bool base_fits(const struct elf *e, const struct found *f, uint64_t base)
{
	for (int k = 0; k < N_WANTED; k++) {
		struct locate_site site = { 0 };

		if (!f->have[k])
			continue;
		if (!elf_va_is_code(e, base + f->entry[k]) ||
		    !elf_va_to_off(e, base + f->entry[k], &site.func_off) ||
		    !prologue_slide_go(e, &site))
			return false;
	}
	return true;
}

/* runtime.moduledata begins with the address of the table, and holds the start of the text. */
struct module {
	uint64_t table, relative;
	uint64_t at; /* address of the module data */
	uint64_t text;
};

static int on_rela(void *arg, const Elf64_Rela *r)
{
	struct module *m = arg;

	if (ELF64_R_TYPE(r->r_info) != m->relative)
		return 0;
	if ((uint64_t)r->r_addend == m->table)
		m->at = r->r_offset;
	/* relocations are sorted by address, so the module's begin precedes its members */
	if (m->at && r->r_offset == m->at + MODULE_TEXT) {
		m->text = (uint64_t)r->r_addend;
		return 1;
	}
	return 0;
}

static int module_window(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	struct module *m = arg;

	for (size_t i = (8 - at % 8) % 8; i < own && i + MODULE_TEXT + 8 <= avail; i += 8) {
		if (le64(buf + i) == m->table && le64(buf + i + MODULE_TEXT)) {
			m->text = le64(buf + i + MODULE_TEXT);
			return 1;
		}
	}
	return 0;
}

static uint64_t module_text(struct elf *e, const struct pcln *t)
{
	struct module m = { .table = t->va, .relative = elf_relative(e) };
	int found = elf_rela(e, on_rela, &m);

	for (uint32_t i = 0; i < e->n_segs && !found; i++) {
		if (e->segs[i].flags & PF_W)
			found = elf_scan(e, e->segs[i].off, e->segs[i].filesz, module_window, &m);
	}
	return found == 1 ? m.text : 0;
}

static bool text_base(struct elf *e, const struct pcln *t, const struct found *f, uint64_t *base)
{
	const struct elf_sec *s;

	*base = t->text;
	if (base_fits(e, f, *base))
		return true;
	if (t->entry == 16) /* addresses need no base */
		return false;
	s = elf_section(e, ".text");
	if (s) {
		*base = s->va;
		if (base_fits(e, f, *base))
			return true;
	}
	*base = module_text(e, t);
	return *base && base_fits(e, f, *base);
}

/* "go1.22.1" from the build information; since Go 1.18 the string itself is there. */
static void name_version(const struct elf *e, struct locate_lib *lib)
{
	const struct elf_sec *s = elf_section(e, ".go.buildinfo");
	char text[24] = "";
	size_t len = 0;

	if (s && s->type != SHT_NOBITS)
		elf_string(e, s->off + 33, text, sizeof(text));
	if (!strncmp(text, "go1.", 4)) {
		while ((text[len] >= '0' && text[len] <= '9') || text[len] == '.' ||
		       (text[len] >= 'a' && text[len] <= 'z'))
			len++;
	}
	snprintf(lib->library, sizeof(lib->library), "%.*s crypto/tls", len ? (int)len : 2,
		 len ? text : "Go");
}

static void add_funcs(struct elf *e, const struct pcln *t, const struct found *f,
		      struct locate_lib *lib)
{
	uint64_t base;

	if (!text_base(e, t, f, &base)) {
		lib_reason(
			lib,
			t->version == 0xfa
				? "%s: arguments on the stack (Go 1.16 and before) are not covered"
				: "%s found, the start of the Go text was not",
			lib->library);
		return;
	}
	for (int k = 0; k < N_WANTED; k++) {
		uint64_t size = f->end[k] - f->entry[k];
		struct locate_site *s;

		if (!f->have[k] || size > MAX_FUNC_SIZE ||
		    !lib_add_va(e, lib, wanted[k].func, base + f->entry[k]))
			continue;
		s = &lib->sites[lib->n_sites - 1];
		prologue_slide_go(e, s);
		if (wanted[k].func != FN_GO_CLOSE)
			s->n_rets = go_find_rets(e, s->func_off, size, s->rets);
		if (wanted[k].func == FN_GO_READ && !s->n_rets)
			lib_reason(lib, "%s: RETs of Conn.Read not found", lib->library);
	}
}

static int find(struct elf *e, const char *method, struct locate_result *out)
{
	struct pcln t = { 0 };
	struct name_pass names = { .off = { -1, -1, -1 } };
	struct found f = { 0 };
	struct locate_lib *lib;
	int err = find_table(e, &t);

	if (err <= 0)
		return err;
	names.base = t.off + t.names;
	err = elf_scan(e, names.base, t.names_len, name_window, &names);
	if (err || names.off[0] < 0 || names.off[1] < 0)
		return err;
	err = walk(e, &t, &names, &f);
	if (err)
		return err;
	lib = result_lib(out, TLS_GO, method);
	if (!lib)
		return 0;
	name_version(e, lib);
	if (f.have[0] && f.have[1])
		add_funcs(e, &t, &f, lib);
	else
		lib_reason(lib, "%s found, Conn.Read or Conn.Write was not", lib->library);
	return 0;
}

const struct finder finder_pclntab = { "pclntab", FINDER_ANY_MACHINE, find };
