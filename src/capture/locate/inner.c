/*
 * OpenSSL's SSL_read and SSL_read_ex are thin: both call ssl_read_internal at once, with SSL_read_ex's arguments and result;
 * writing likewise. Debian's build begins the thin ones with `sub rsp`, which the kernel single-steps, and the inner ones
 * with `push`, which it emulates at a thirtieth of the cost. What both call is the inner one.
 */
#include "capture/locate/finder.h"

#include <string.h>

enum {
	NEAR = 64,     /* bytes of a thin function that are looked at; its call is within 40 */
	MAX_CALLS = 8, /* in those */
};

struct calls {
	uint64_t to[MAX_CALLS]; /* file offsets */
	uint32_t n;
};

/* Whatever looks like `call rel32`: what is none by chance is not shared by two functions. */
static void find_calls(const struct elf *e, uint64_t off, struct calls *c)
{
	uint8_t code[NEAR];
	long n = elf_read_some(e, off, code, sizeof(code));
	uint64_t va, to;

	c->n = 0;
	if (!elf_off_to_va(e, off, &va))
		return;
	for (long i = 0; i + 5 <= n && c->n < MAX_CALLS; i++) {
		if (code[i] != 0xe8)
			continue;
		to = va + (uint64_t)i + 5 + (uint64_t)(int64_t)(int32_t)le32(code + i + 1);
		if (elf_va_is_code(e, to) && elf_va_to_off(e, to, &to))
			c->to[c->n++] = to;
	}
}

static struct locate_site *site_of(struct locate_lib *lib, enum tls_func func)
{
	struct locate_site *found = NULL;

	for (uint32_t i = 0; i < lib->n_sites; i++) {
		if (lib->sites[i].func == func) {
			if (found)
				return NULL;
			found = &lib->sites[i];
		}
	}
	return found;
}

static void find_inner(const struct elf *e, struct locate_site *plain, struct locate_site *ex)
{
	struct locate_site inner = { 0 };
	struct calls a, b;

	if (!plain || !ex)
		return;
	find_calls(e, plain->func_off, &a);
	find_calls(e, ex->func_off, &b);
	for (uint32_t i = 0; i < a.n; i++) {
		for (uint32_t k = 0; k < b.n; k++) {
			if (a.to[i] != b.to[k] || a.to[i] == inner.func_off)
				continue;
			if (inner.func_off)
				return; /* two that both call: not known which */
			inner.func_off = a.to[i];
		}
	}
	if (!inner.func_off)
		return;
	prologue_slide(e, &inner);
	if (inner.entry_off == inner.ret_off && prologue_is_cheap(e, inner.entry_off) &&
	    !(prologue_is_cheap(e, plain->ret_off) && prologue_is_cheap(e, ex->ret_off)))
		plain->inner_off = ex->inner_off = inner.entry_off;
}

void openssl_find_inner(const struct elf *e, struct locate_lib *lib)
{
	if (e->machine != EM_X86_64)
		return;
	find_inner(e, site_of(lib, FN_SSL_READ), site_of(lib, FN_SSL_READ_EX));
	/* since 3.3 the inner one has another shape, and there is a third outer one */
	if (!lib_has(lib, FN_SSL_WRITE_EX2))
		find_inner(e, site_of(lib, FN_SSL_WRITE), site_of(lib, FN_SSL_WRITE_EX));
}
