#include "capture/locate/scan.h"

#include <errno.h>
#include <string.h>

enum {
	STEP = 4, /* a needle of STEP + 3 bytes holds one aligned word wherever it lies */
	FILTER_BITS = 1 << 16,
};

struct strings {
	const char *const *needles;
	unsigned n;
	size_t lens[SCAN_MAX_NEEDLES];
	int (*on_hit)(void *arg, unsigned needle, uint64_t off);
	void *arg;
	uint64_t filter[FILTER_BITS / 64]; /* which words can be the beginning of something */
};

static uint32_t hash(uint32_t word)
{
	return word * 0x9e3779b1u >> 16;
}

/* The word at buf[at] may belong to a needle that begins up to three bytes before it. */
static int try_needles(struct strings *s, const uint8_t *buf, size_t at, size_t own, size_t avail,
		       uint64_t base)
{
	for (unsigned i = 0; i < s->n; i++) {
		for (size_t back = 0; back < STEP && back <= at; back++) {
			size_t start = at - back;
			int err;

			if (start >= own || s->lens[i] > avail - start ||
			    memcmp(buf + start, s->needles[i], s->lens[i]))
				continue;
			err = s->on_hit(s->arg, i, base + start);
			if (err)
				return err;
		}
	}
	return 0;
}

static int scan_window(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	struct strings *s = arg;

	for (size_t i = 0; i + 4 <= avail && i < own + STEP; i += STEP) {
		uint32_t h = hash(le32(buf + i));

		if (s->filter[h / 64] >> (h % 64) & 1) {
			int err = try_needles(s, buf, i, own, avail, at);

			if (err)
				return err;
		}
	}
	return 0;
}

static bool is_constant_data(const struct elf_sec *s)
{
	return s->type == SHT_PROGBITS && (s->flags & SHF_ALLOC) &&
	       !(s->flags & (SHF_WRITE | SHF_EXECINSTR));
}

int scan_strings(struct elf *e, const char *const *needles, unsigned n,
		 int (*on_hit)(void *arg, unsigned needle, uint64_t off), void *arg)
{
	struct strings s = { .needles = needles, .n = n, .on_hit = on_hit, .arg = arg };
	bool any = false;
	int err = 0;

	if (n > SCAN_MAX_NEEDLES)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		s.lens[i] = strlen(needles[i]);
		if (s.lens[i] < SCAN_MIN_NEEDLE || s.lens[i] > SCAN_MAX_NEEDLE)
			return -EINVAL;
		for (size_t k = 0; k < STEP; k++) {
			uint32_t h = hash(le32((const uint8_t *)needles[i] + k));

			s.filter[h / 64] |= 1ULL << (h % 64);
		}
	}
	for (uint32_t i = 0; i < e->n_secs && !err; i++) {
		if (!is_constant_data(&e->secs[i]))
			continue;
		any = true;
		err = elf_scan(e, e->secs[i].off, e->secs[i].size, scan_window, &s);
	}
	/* without section headers: every segment that is not writable */
	for (uint32_t i = 0; i < e->n_segs && !any && !err; i++) {
		if (!(e->segs[i].flags & PF_W))
			err = elf_scan(e, e->segs[i].off, e->segs[i].filesz, scan_window, &s);
	}
	return err;
}

int scan_code(struct elf *e, elf_scan_fn scan, void *arg)
{
	int err = 0;

	for (uint32_t i = 0; i < e->n_segs && !err; i++) {
		if (e->segs[i].flags & PF_X)
			err = elf_scan(e, e->segs[i].off, e->segs[i].filesz, scan, arg);
	}
	return err;
}

struct refs {
	const struct elf *e;
	uint64_t lo, span;
	struct xref *out;
	unsigned cap, n;
};

static void add_ref(struct refs *r, uint64_t at, uint64_t target, unsigned len, unsigned reg)
{
	if (r->n < r->cap)
		r->out[r->n] = (struct xref){ at, target, (uint8_t)len, (uint8_t)reg };
	r->n++;
}

/* lea r64, [rip + disp32]: 48|4c 8d modrm(00 reg 101) disp32 */
static void refs_lea(struct refs *r, const uint8_t *buf, size_t own, size_t avail, uint64_t va)
{
	const uint8_t *p = buf, *end = buf + (own + 1 < avail ? own + 1 : avail);

	while (p < end && (p = memchr(p, 0x8d, (size_t)(end - p)))) {
		size_t i = (size_t)(p - buf);
		uint64_t next, target;

		p++;
		if (!i || i + 6 > avail || (buf[i - 1] & 0xfb) != 0x48 ||
		    (buf[i + 1] & 0xc7) != 0x05)
			continue;
		next = va + i + 6;
		target = next + (uint64_t)(int64_t)(int32_t)le32(buf + i + 2);
		if (target - r->lo <= r->span)
			add_ref(r, va + i - 1, target, 7,
				(buf[i + 1] >> 3 & 7) | (buf[i - 1] & 4) << 1);
	}
}

/* mov r32, imm32 of code that is not position independent: [41] b8+r imm32 */
static void ref_mov(struct refs *r, const uint8_t *buf, size_t i, uint64_t va)
{
	uint32_t imm = le32(buf + i);
	bool rex;

	if (imm - (uint32_t)r->lo > (uint32_t)r->span || (buf[i - 1] & 0xf8) != 0xb8)
		return;
	rex = i >= 2 && buf[i - 2] == 0x41;
	add_ref(r, va + i - 1 - rex, imm, 5 + rex, (buf[i - 1] & 7) | rex << 3);
}

typedef uint32_t words __attribute__((vector_size(16)));

/* Is one of the words that begin at the 16 bytes from p in the span? */
static bool any_in_span(const uint8_t *p, words lo, words span)
{
	words hit = { 0 };

	for (int k = 0; k < 4; k++) {
		words w;

		memcpy(&w, p + k, sizeof(w));
		hit |= (words)(w - lo <= span);
	}
	return hit[0] | hit[1] | hit[2] | hit[3];
}

static void refs_mov(struct refs *r, const uint8_t *buf, size_t own, size_t avail, uint64_t va)
{
	words lo = (words){ 0 } + (uint32_t)r->lo, span = (words){ 0 } + (uint32_t)r->span;
	size_t i = 1;

	/* this loop sees every byte of the code: sixteen at a time, 3 GB/s */
	for (; i < own + 1 && i + 16 + 4 <= avail; i += 16) {
		if (!any_in_span(buf + i, lo, span))
			continue;
		for (size_t k = i; k < i + 16 && k < own + 1; k++)
			ref_mov(r, buf, k, va);
	}
	for (; i < own + 1 && i + 4 <= avail; i++)
		ref_mov(r, buf, i, va);
}

/* adrp xN, page; add xM, xN, lo12 within the next few instructions */
static void refs_adrp(struct refs *r, const uint8_t *buf, size_t own, size_t avail, uint64_t va)
{
	for (size_t i = 0; i < own && i + 4 <= avail; i += 4) {
		uint32_t w = le32(buf + i);
		uint64_t imm, page;

		if ((w & 0x9f000000) != 0x90000000)
			continue;
		imm = (w >> 3 & 0x1ffffc) | (w >> 29 & 3);
		page = ((va + i) & ~0xfffULL) +
		       (uint64_t)((int64_t)(imm << 43) >> 31); /* 21 bits, sign, 4 KiB */
		if (page > r->lo + r->span || page + 0xfff < r->lo)
			continue;
		for (size_t k = i + 4; k < i + 40 && k + 4 <= avail; k += 4) {
			uint32_t a = le32(buf + k);
			uint64_t target = page + (a >> 10 & 0xfff);

			if ((a & 0xffc00000) == 0x91000000 && (a >> 5 & 31) == (w & 31) &&
			    target - r->lo <= r->span) {
				add_ref(r, va + k, target, 4, a & 31);
				break;
			}
		}
	}
}

static int refs_window(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	struct refs *r = arg;
	uint64_t va;

	if (!elf_off_to_va(r->e, at, &va))
		return 0;
	if (r->e->machine == EM_AARCH64) {
		refs_adrp(r, buf, own, avail, va);
		return 0;
	}
	refs_lea(r, buf, own, avail, va);
	if (r->e->type == ET_EXEC && r->lo + r->span <= UINT32_MAX)
		refs_mov(r, buf, own, avail, va);
	return 0;
}

int scan_xrefs(struct elf *e, uint64_t lo, uint64_t hi, struct xref *out, unsigned cap, unsigned *n)
{
	struct refs r = { .e = e, .lo = lo, .span = hi - lo, .out = out, .cap = cap };
	int err = scan_code(e, refs_window, &r);

	*n = r.n;
	return err;
}

/* Binary search table of .eh_frame_hdr: pairs of (start, FDE), both relative to the header. */
static bool fde_entry(const struct elf *e, uint32_t n, uint64_t va, uint64_t *start, uint64_t *fde)
{
	uint32_t lo = 0, hi = n;
	uint8_t pair[8];

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (elf_read(e, e->ehf_off + 12 + 8ULL * mid, pair, sizeof(pair)))
			return false;
		if (e->ehf_va + (uint64_t)(int64_t)(int32_t)le32(pair) <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || elf_read(e, e->ehf_off + 12 + 8ULL * (lo - 1), pair, sizeof(pair)))
		return false;
	*start = e->ehf_va + (uint64_t)(int64_t)(int32_t)le32(pair);
	*fde = e->ehf_va + (uint64_t)(int64_t)(int32_t)le32(pair + 4);
	return true;
}

bool fde_find(const struct elf *e, uint64_t va, uint64_t *start, uint64_t *end)
{
	uint8_t hdr[12], rec[16];
	uint64_t fde, off, begin;
	uint32_t n;

	/* version 1, pcrel pointer, udata4 count, datarel sdata4 table: what every linker writes */
	if (!e->ehf_size || elf_read(e, e->ehf_off, hdr, sizeof(hdr)) || hdr[0] != 1 ||
	    hdr[1] != 0x1b || hdr[2] != 0x03 || hdr[3] != 0x3b)
		return false;
	n = le32(hdr + 8);
	if (n > e->ehf_size / 8 || !fde_entry(e, n, va, start, &fde))
		return false;
	if (!elf_va_to_off(e, fde, &off) || elf_read(e, off, rec, sizeof(rec)))
		return false;
	/* length, CIE, start (pcrel sdata4), range: the start must agree with the table */
	begin = fde + 8 + (uint64_t)(int64_t)(int32_t)le32(rec + 8);
	*end = begin + le32(rec + 12);
	return begin == *start && va < *end;
}
