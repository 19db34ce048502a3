/* Reads the arguments of error calls beside references to the name of ssl_lib.cc. */
#include "capture/locate/errsites.h"

enum {
	MAX_PATH = 256, /* bytes of the file name before /ssl/ssl_lib.cc */
	CONTEXT = 48,	/* bytes looked at on each side of a reference */
};

struct imm {
	unsigned len, reg;
	uint32_t value;
	bool known; /* an immediate, rather than some other harmless instruction */
};

/* The instruction forms that set up the arguments of an error call. */
static struct imm decode_imm(const uint8_t *p)
{
	unsigned rex = p[0] == 0x41 || p[0] == 0x45 || p[0] == 0x44 ? p[0] : 0;
	const uint8_t *op = p + (rex ? 1 : 0);
	unsigned at = rex ? 1 : 0;

	if ((op[0] & 0xf8) == 0xb8 && (!rex || rex == 0x41))
		return (struct imm){ at + 5, (op[0] & 7) | (rex ? 8 : 0), le32(op + 1), true };
	if (op[0] == 0x31 && op[1] >> 6 == 3 && (op[1] & 7) == (op[1] >> 3 & 7))
		return (struct imm){ at + 2, (op[1] & 7) | (rex ? 8 : 0), 0, true };
	if ((p[0] & 0xfb) == 0x48 && p[1] == 0x8d && (p[2] & 0xc7) == 0x05)
		return (struct imm){ 7, 0, 0, false };
	if ((p[0] & 0xf8) == 0x48 && p[1] == 0x89 && p[2] >> 6 == 3)
		return (struct imm){ 3, 0, 0, false };
	return (struct imm){ 0 };
}

/* The immediates in registers at the call after the reference: what precedes it, then what follows.
 * regs[r] is -1 where nothing is known. */
static void read_arguments(const uint8_t *code, size_t at, size_t len, size_t end, int64_t regs[16])
{
	static const unsigned lens[] = { 7, 6, 5, 3, 2 };
	size_t begin = at, p;

	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]) && !more; i++) {
			if (begin >= lens[i] && decode_imm(code + begin - lens[i]).len == lens[i]) {
				begin -= lens[i];
				more = true;
			}
		}
	}
	for (int r = 0; r < 16; r++)
		regs[r] = -1;
	for (p = begin; p + 8 <= end;) {
		struct imm in = decode_imm(code + p);

		if (p == at)
			in = (struct imm){ .len = (unsigned)len };
		if (!in.len)
			break;
		if (in.known)
			regs[in.reg] = in.value;
		p += in.len;
	}
}

/* arm64: movz wN, #imm beside the reference, up to the next branch. */
static void read_arguments_arm64(const uint8_t *code, size_t at, size_t end, int64_t regs[16])
{
	size_t begin = at;

	for (int r = 0; r < 16; r++)
		regs[r] = -1;
	while (begin >= 4 && (le32(code + begin - 4) & 0x7c000000) != 0x14000000 &&
	       (le32(code + begin - 4) & 0x7e000000) != 0x34000000 && at - begin < 32)
		begin -= 4;
	for (size_t p = begin; p + 4 <= end; p += 4) {
		uint32_t w = le32(code + p);

		if ((w & 0x7c000000) == 0x14000000) /* b, bl */
			break;
		if ((w & 0xffe00000) == 0x52800000 && (w & 31) < 16)
			regs[w & 31] = w >> 5 & 0xffff;
	}
}

/* ERR_put_error(library, unused, reason, file, line); some builds dropped the unused argument. */
static bool read_site(const struct elf *e, const struct xref *x, struct err_site *out)
{
	uint8_t code[2 * CONTEXT];
	unsigned reason, line;
	int64_t regs[16];
	uint64_t off;

	if (!elf_va_to_off(e, x->at, &off) || off < CONTEXT ||
	    elf_read(e, off - CONTEXT, code, sizeof(code)))
		return false;
	if (e->machine == EM_AARCH64) {
		reason = x->reg - 1U;
		line = x->reg + 1U;
		if (x->reg != 2 && x->reg != 3)
			return false;
		read_arguments_arm64(code, CONTEXT, sizeof(code), regs);
	} else {
		/* file in rdx: reason rsi, line rcx; file in rcx: reason rdx, line r8 */
		if (x->reg != 2 && x->reg != 1)
			return false;
		reason = x->reg == 2 ? 6 : 2;
		line = x->reg == 2 ? 1 : 8;
		read_arguments(code, CONTEXT, x->len, sizeof(code), regs);
	}
	if (regs[reason] <= 0 || regs[line] <= 0)
		return false;
	*out = (struct err_site){ x->at, (uint32_t)regs[reason], (uint32_t)regs[line] };
	return true;
}

int errsites_read(struct elf *e, const struct survey *s, struct errsites *t)
{
	struct xref refs[ERRSITES_MAX];
	int err = 0;

	for (uint32_t i = 0; i < s->n[MARK_SSL_LIB_CC] && !err; i++) {
		uint64_t off = s->off[MARK_SSL_LIB_CC][i], va;
		unsigned n;

		/* the name begins somewhere before, at an address that code tells us */
		if (!elf_off_to_va(e, off, &va))
			continue;
		err = scan_xrefs(e, va - MAX_PATH, va, refs, ERRSITES_MAX, &n);
		for (unsigned k = 0; k < n && k < ERRSITES_MAX && t->n < ERRSITES_MAX; k++)
			t->n += read_site(e, &refs[k], &t->s[t->n]);
	}
	return err;
}
