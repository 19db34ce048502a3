/* Code as the Go compiler makes it: the stack check that begins a function, the RETs that end it. */
#include "capture/locate/finder.h"

#include <stdlib.h>
#include <string.h>

/* Offset behind the stack check: [lea r12, [rsp - n];] cmp (rsp|r12), [r14 + 16]; jbe */
static size_t go_check_x86(const uint8_t *p)
{
	size_t at = 0;

	if (p[0] == 0x4c && p[1] == 0x8d && p[2] == 0x64 && p[3] == 0x24)
		at = 5;
	else if (p[0] == 0x4c && p[1] == 0x8d && p[2] == 0xa4 && p[3] == 0x24)
		at = 8;
	if ((p[at] | 4) != 0x4d || p[at + 1] != 0x3b || (p[at + 2] & 0xc7) != 0x46 ||
	    p[at + 3] != 0x10)
		return 0;
	at += 4;
	if (p[at] == 0x76)
		return at + 2;
	return p[at] == 0x0f && p[at + 1] == 0x86 ? at + 6 : 0;
}

/* ldr x16, [x28, #16]; compare with some form of sp; b.ls */
static size_t go_check_arm64(const uint8_t *p, size_t len)
{
	if (le32(p) != 0xf9400b90)
		return 0;
	for (size_t at = 4; at + 4 <= len; at += 4) {
		if ((le32(p + at) & 0xff00001f) == 0x54000009)
			return at + 4;
	}
	return 0;
}

bool prologue_slide_go(const struct elf *e, struct locate_site *site)
{
	uint8_t code[3 * PROLOGUE_BYTES] = { 0 };
	long n = elf_read_some(e, site->func_off, code, sizeof(code));
	bool on_top = true;
	size_t at;

	site->entry_off = site->func_off;
	site->ret_off = 0;
	if (n < PROLOGUE_BYTES)
		return false;
	if (e->machine == EM_AARCH64) {
		at = go_check_arm64(code, PROLOGUE_BYTES);
		site->entry_off += at;
		return at;
	}
	at = e->machine == EM_X86_64 ? go_check_x86(code) : 0;
	if (at)
		site->entry_off += prologue_slide_x86(code, at, (size_t)n, &on_top);
	return at;
}

/* Bytes of no-ops at p: the assembler puts them before a RET that would straddle 32 bytes. */
static size_t nops_len(const uint8_t *p, size_t len)
{
	static const struct {
		size_t len;
		uint8_t bytes[8];
	} nops[] = {
		{ 1, { 0x90 } },
		{ 2, { 0x66, 0x90 } },
		{ 3, { 0x0f, 0x1f, 0x00 } },
		{ 4, { 0x0f, 0x1f, 0x40, 0x00 } },
		{ 5, { 0x0f, 0x1f, 0x44, 0x00, 0x00 } },
		{ 6, { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 } },
		{ 7, { 0x0f, 0x1f, 0x80, 0, 0, 0, 0 } },
		{ 8, { 0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0 } },
		{ 1, { 0x66 } }, /* prefix of a longer form of the last */
	};
	size_t at = 0, i = 0;

	while (i < sizeof(nops) / sizeof(nops[0])) {
		if (nops[i].len <= len - at && !memcmp(p + at, nops[i].bytes, nops[i].len)) {
			at += nops[i].len;
			i = 0;
		} else {
			i++;
		}
	}
	return at;
}

/* add rsp, n; [pop rbp;] [no-ops;] ret: the offset of the ret, or 0. */
static size_t ret_behind(const uint8_t *p, size_t i, size_t size)
{
	if (size - i < 5 || p[i] != 0x48 || (p[i + 1] != 0x83 && p[i + 1] != 0x81) ||
	    p[i + 2] != 0xc4)
		return 0;
	i += p[i + 1] == 0x83 ? 4 : 7;
	if (i < size && p[i] == 0x5d)
		i++;
	if (i < size)
		i += nops_len(p + i, size - i);
	return i < size && p[i] == 0xc3 ? i : 0;
}

uint32_t go_find_rets(const struct elf *e, uint64_t off, uint64_t size, uint64_t rets[])
{
	uint8_t *code = malloc(size);
	uint32_t n = 0;

	if (!code || elf_read(e, off, code, size))
		goto out;
	for (size_t i = 0; i + 4 <= size; i += e->machine == EM_AARCH64 ? 4 : 1) {
		size_t at = 0;

		if (e->machine == EM_X86_64)
			at = ret_behind(code, i, size);
		else if (le32(code + i) == 0xd65f03c0)
			at = i;
		if (!at)
			continue;
		if (n == LOCATE_MAX_RETS) { /* a part of them would lose bytes */
			n = 0;
			break;
		}
		rets[n++] = off + at;
	}
out:
	free(code);
	return n;
}
