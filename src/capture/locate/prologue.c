/*
 * Where in a prologue the probe sits decides its cost: the kernel emulates push, jmp, call, jcc and
 * one-byte nop (about 0.5 us a hit) and single-steps everything else (about 15 us).
 */
#include "capture/locate/finder.h"

enum {
	INSN_ROOM = 15, /* longest x86 instruction */
};

struct insn {
	unsigned len;  /* 0: not understood, stop here */
	bool emulated; /* by the kernel's uprobes */
	bool on_top;   /* after it, the return address is still on top of the stack */
};

/* The argument registers rax, rcx, rdx, rbx, rsi, rdi, r8-r10 must survive what is slid over (rax
 * and rbx carry arguments in Go); by register number with the REX bit as bit 3. */
static bool reg_is_scratch(unsigned reg)
{
	return reg == 5 || reg >= 11; /* rbp, r11-r15 */
}

/* Length of modrm + sib + displacement. */
static unsigned modrm_len(const uint8_t *p)
{
	unsigned mod = p[0] >> 6, rm = p[0] & 7, len = 1;

	if (mod == 3)
		return 1;
	if (rm == 4) {
		len++;
		if (mod == 0 && (p[1] & 7) == 5)
			return len + 4;
	} else if (mod == 0 && rm == 5) {
		return len + 4;
	}
	return len + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* What instructions with a modrm byte do that matters here. */
enum effect {
	WRITES_RM, /* a register we may lose, or memory (a spill) */
	WRITES_REG,
	CLEARS,	   /* xor r, r */
	FLAGS,	   /* test, cmp: flags only */
	IMMEDIATE, /* sub rsp, n and cmp r/m, n: told apart by the reg field */
};

static const struct {
	uint8_t opcode, imm; /* imm: bytes behind modrm and displacement */
	enum effect effect;
} opcodes[] = {
	{ 0x89, 0, WRITES_RM }, { 0x8b, 0, WRITES_REG }, { 0x8d, 0, WRITES_REG },
	{ 0x31, 0, CLEARS },	{ 0x33, 0, CLEARS },	 { 0x85, 0, FLAGS },
	{ 0x39, 0, FLAGS },	{ 0x3b, 0, FLAGS },	 { 0x83, 1, IMMEDIATE },
	{ 0x81, 4, IMMEDIATE },
};

static bool is_harmless(enum effect effect, bool direct, unsigned reg, unsigned rm)
{
	switch (effect) {
	case WRITES_RM:
		return !direct || reg_is_scratch(rm);
	case WRITES_REG:
		return reg_is_scratch(reg);
	case CLEARS:
		return direct && reg_is_scratch(rm) && reg_is_scratch(reg);
	case FLAGS:
		return true;
	case IMMEDIATE:
		return (reg & 7) == 7 || (direct && rm == 4 && (reg & 7) == 5);
	}
	return false;
}

static struct insn decode_moves(const uint8_t *p, unsigned rex, unsigned at)
{
	unsigned reg = (p[at + 1] >> 3 & 7) | (rex & 4) << 1;
	unsigned rm = (p[at + 1] & 7) | (rex & 1) << 3;
	bool direct = p[at + 1] >> 6 == 3;

	for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		bool moves_rsp = opcodes[i].effect == IMMEDIATE && (reg & 7) == 5;

		if (opcodes[i].opcode == p[at] && is_harmless(opcodes[i].effect, direct, reg, rm))
			return (struct insn){ at + 1 + modrm_len(p + at + 1) + opcodes[i].imm,
					      false, !moves_rsp };
	}
	return (struct insn){ 0 };
}

static struct insn decode_x86(const uint8_t *p)
{
	unsigned at = 0, rex = 0;

	if (p[0] == 0xf3 && p[1] == 0x0f && p[2] == 0x1e && p[3] == 0xfa) /* endbr64 */
		return (struct insn){ 4, false, true };
	if (p[0] == 0x0f && p[1] == 0x1f) /* nop r/m: emulated only by the newest kernels */
		return (struct insn){ 2 + modrm_len(p + 2), false, true };
	if ((p[0] & 0xf0) == 0x40) {
		rex = p[0];
		at = 1;
	}
	if (p[at] >= 0x50 && p[at] <= 0x57)
		return (struct insn){ at + 1, true, false };
	if (!rex && (p[0] == 0x90 || p[0] == 0xe8 || p[0] == 0xe9 || p[0] == 0xeb ||
		     (p[0] & 0xf0) == 0x70 || (p[0] == 0x0f && (p[1] & 0xf0) == 0x80)))
		return (struct insn){ 1, true, false };
	return decode_moves(p, rex, at);
}

size_t prologue_slide_x86(const uint8_t *code, size_t at, size_t len, bool *on_top)
{
	size_t begin = at;

	while (at + INSN_ROOM <= len && at < PROLOGUE_BYTES) {
		struct insn in = decode_x86(code + at);

		if (in.emulated)
			return at;
		if (!in.len)
			break;
		*on_top = *on_top && in.on_top;
		at += in.len;
	}
	*on_top = true;
	return begin;
}

bool prologue_is_cheap(const struct elf *e, uint64_t off)
{
	uint8_t code[INSN_ROOM] = { 0 };

	return e->machine == EM_X86_64 && elf_read_some(e, off, code, sizeof(code)) > 0 &&
	       decode_x86(code).emulated;
}

void prologue_slide(const struct elf *e, struct locate_site *site)
{
	uint8_t code[PROLOGUE_BYTES + 2 * INSN_ROOM] = { 0 };
	long n;

	site->entry_off = site->func_off;
	site->ret_off = site->func_off;
	if (e->machine != EM_X86_64)
		return;
	n = elf_read_some(e, site->func_off, code, sizeof(code));
	if (n > INSN_ROOM) {
		bool on_top = true;

		site->entry_off += prologue_slide_x86(code, 0, (size_t)n, &on_top);
		/* one breakpoint for both where it may be: the cheapest pair */
		if (on_top)
			site->ret_off = site->entry_off;
	}
}
