/*
 * BoringSSL without symbols, in executables such as Bun's. Its errors carry a reason and the line
 * in ssl_lib.cc, both as immediates beside a reference to that file name. The pattern of reasons
 * and distances between lines tells which function is which; absolute lines move with versions.
 *
 *   SSL_write      should-not-have-been-called at L, uninitialized at L + 5, handshake failure at
 *                  L + 20, bad length at L + 26 (distances with some slack)
 *   ssl_read_impl  uninitialized, then handshake failure some 30 lines on, before SSL_write
 *   SSL_read       should-not-have-been-called 21 or 22 lines before SSL_write's; calls ssl_read_impl
 */
#include "capture/locate/errsites.h"

#include <string.h>

enum {
	REASON_SHOULD_NOT = 0x42,    /* ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED */
	REASON_BAD_LENGTH = 0x6f,    /* SSL_R_BAD_LENGTH */
	REASON_SSL_HANDSHAKE = 0xd7, /* SSL_R_SSL_HANDSHAKE_FAILURE */
	REASON_UNINITIALIZED = 0xe2, /* SSL_R_UNINITIALIZED */
	WRITE_LINES = 40,	     /* slack for the four errors of SSL_write */
	READ_IMPL_LINES = 60,
	READ_LINES = 40,   /* SSL_read's error before SSL_write's */
	MAX_BACK = 0x1200, /* how far before its error site a function may begin */
	READ_CODE = 0x200, /* SSL_read calls ssl_read_impl within this many bytes */
};

/* arm64: [bti or paciasp] a frame record is made, in one step or two. */
static bool makes_frame_arm64(const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (at + 8 <= len && (le32(p + at) & 0xfffff01f) == 0xd503201f) /* hints */
		at += 4;
	if (at + 8 > len)
		return false;
	if ((le32(p + at) & 0xffc07fff) == 0xa9807bfd) /* stp x29, x30, [sp, #-n]! */
		return true;
	if ((le32(p + at) & 0xffc003ff) != 0xd10003ff) /* sub sp, sp, #n */
		return false;
	for (at += 4; at + 4 <= len && at < 20; at += 4) {
		if ((le32(p + at) & 0xffc07fff) == 0xa9007bfd) /* stp x29, x30, [sp, #n] */
			return true;
	}
	return false;
}

static bool begins_function(const struct elf *e, const uint8_t *p, size_t len)
{
	if (e->machine == EM_AARCH64)
		return makes_frame_arm64(p, len);
	return len >= 4 && !memcmp(p, "\x55\x48\x89\xe5", 4); /* push rbp; mov rbp, rsp */
}

/* The function around an address: by its unwind entry, else the last aligned place before it that
 * makes a frame. */
static uint64_t function_start(const struct elf *e, uint64_t va)
{
	uint8_t code[MAX_BACK];
	uint64_t start, end, off, room;

	if (fde_find(e, va, &start, &end))
		return start;
	if (!elf_va_to_off(e, va, &off))
		return 0;
	room = off < MAX_BACK ? off : MAX_BACK;
	if (elf_read(e, off - room, code, room))
		return 0;
	for (size_t back = va & 15; back <= room; back += 16) {
		if (begins_function(e, code + room - back, back))
			return va - back;
	}
	return 0;
}

/* Does the code at [va, va + READ_CODE) call target directly? */
static bool calls(const struct elf *e, uint64_t va, uint64_t target)
{
	uint8_t code[READ_CODE];
	uint64_t off;

	if (!elf_va_to_off(e, va, &off) || elf_read(e, off, code, sizeof(code)))
		return false;
	for (size_t i = 0; i + 5 <= sizeof(code); i++) {
		if (e->machine == EM_AARCH64 && !(i & 3)) {
			uint32_t w = le32(code + i);

			if (w >> 26 == 0x25 &&
			    va + i + (uint64_t)((int64_t)((uint64_t)w << 38) >> 36) == target)
				return true;
		} else if (e->machine == EM_X86_64 && code[i] == 0xe8 &&
			   va + i + 5 + (uint64_t)(int64_t)(int32_t)le32(code + i + 1) == target) {
			return true;
		}
	}
	return false;
}

static const struct err_site *site_within(const struct errsites *t, uint32_t reason, uint32_t above,
					  uint32_t upto)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->s[i].reason == reason && t->s[i].line > above && t->s[i].line <= upto)
			return &t->s[i];
	}
	return NULL;
}

/* The line of SSL_write's first error; 0 when there is none or more than one such place. */
static uint32_t write_line(const struct errsites *t, uint64_t *va)
{
	uint32_t line = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct err_site *s = &t->s[i], *a, *b, *c;

		if (s->reason != REASON_SHOULD_NOT)
			continue;
		a = site_within(t, REASON_UNINITIALIZED, s->line, s->line + WRITE_LINES / 4);
		b = a ? site_within(t, REASON_SSL_HANDSHAKE, a->line, s->line + WRITE_LINES) : NULL;
		c = b ? site_within(t, REASON_BAD_LENGTH, b->line, s->line + WRITE_LINES) : NULL;
		if (!c)
			continue;
		if (line && line != s->line)
			return 0;
		line = s->line;
		*va = s->va;
	}
	return line;
}

static uint64_t read_impl(const struct elf *e, const struct errsites *t, uint32_t before)
{
	const struct err_site *best = NULL;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct err_site *s = &t->s[i];

		if (s->reason == REASON_UNINITIALIZED && s->line < before &&
		    site_within(t, REASON_SSL_HANDSHAKE, s->line, s->line + READ_IMPL_LINES) &&
		    (!best || s->line > best->line))
			best = s;
	}
	return best ? function_start(e, best->va) : 0;
}

/* Older builds inline SSL_peek into SSL_read, so both carry the same line; SSL_read is the one that
 * also consumes, and so the longer. Where lengths are not known both are taken. */
static void add_reads(const struct elf *e, const struct errsites *t, uint32_t line, uint64_t impl,
		      struct locate_lib *lib)
{
	uint64_t found[4], longest = 0;
	uint32_t n = 0;
	bool lengths = true;

	for (uint32_t i = 0; i < t->n && n < 4; i++) {
		const struct err_site *s = &t->s[i];
		uint64_t start, lo, hi;

		if (s->reason != REASON_SHOULD_NOT || s->line >= line ||
		    s->line + READ_LINES < line)
			continue;
		start = function_start(e, s->va);
		if (!start || start == impl || !calls(e, start, impl))
			continue;
		if (!fde_find(e, s->va, &lo, &hi))
			lengths = false;
		else if (hi - lo > longest)
			longest = hi - lo;
		found[n++] = start;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t lo, hi;

		if (n > 1 && lengths && fde_find(e, found[i], &lo, &hi) && hi - lo < longest)
			continue;
		lib_add_va(e, lib, FN_SSL_READ, found[i]);
	}
}

static int find(struct elf *e, const struct survey *s, struct locate_lib *lib)
{
	struct errsites t = { 0 };
	uint64_t va = 0, write = 0, impl = 0;
	uint32_t line;
	int err = errsites_read(e, s, &t);

	if (err)
		return err;
	line = write_line(&t, &va);
	if (line)
		write = function_start(e, va);
	if (write)
		impl = read_impl(e, &t, line);
	if (write && impl && impl != write) {
		lib_add_va(e, lib, FN_SSL_WRITE, write);
		add_reads(e, &t, line, impl, lib);
	}
	if (!lib_has(lib, FN_SSL_READ) || !lib_has(lib, FN_SSL_WRITE)) {
		lib_reason(lib, "BoringSSL found, %s not located (%u error sites)",
			   lib_has(lib, FN_SSL_WRITE) ? "SSL_read" : "SSL_write", t.n);
	}
	return 0;
}

const struct recipe recipe_boringssl = { "xref",	FINDER_ANY_MACHINE,
					 TLS_BORINGSSL, 1u << MARK_SSL_LIB_CC,
					 find,		"BoringSSL" };
