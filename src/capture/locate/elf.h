/* A bounded reader of untrusted 64-bit little-endian ELF files: pread only, so that a file which
 * shrinks under us is a short read and not a SIGBUS. */
#ifndef CF_LOCATE_ELF_H
#define CF_LOCATE_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ELF_MAX_SEGS = 64,	  /* PT_LOAD; linkers make 2-10 */
	ELF_MAX_PHDRS = 256,	  /* program headers looked at */
	ELF_MAX_SECS = 1024,	  /* section headers looked at; executables have 20-60 */
	ELF_MAX_NOTES = 64 << 10, /* bytes of one note segment */
	ELF_MAX_RELA = 64 << 20,  /* bytes of relocations; 20 MB in a 400 MB executable */
	ELF_MAX_DYNAMIC = 4096,	  /* entries of the dynamic section */
	ELF_WINDOW = 1 << 20,	  /* bytes of a file held at once while scanning */
	ELF_BUDGET_FILES = 16,	  /* how many times the size of the file may be scanned in all: five
				  * is usual, and overlapping headers must not make it thousands */
	ELF_AHEAD = 4096,	  /* bytes a scanner may look past the positions it owns */
};

/* ... and not more than this: a few seconds. Sparse files cost nothing to make large. */
#define ELF_BUDGET_BYTES (4ULL << 30)

struct elf_seg {
	uint64_t off, va, filesz;
	uint32_t flags; /* PF_* */
};

struct elf_sec {
	uint64_t off, va, size, entsize;
	uint32_t type, link, name; /* name: offset in the section name table */
	uint64_t flags;		   /* SHF_* */
};

struct elf {
	int fd;
	uint64_t size;
	uint64_t budget; /* bytes that may still be scanned */
	uint16_t machine, type;
	uint32_t n_segs, n_secs;
	uint64_t names_off, names_size;	    /* section name table */
	uint64_t dyn_off, dyn_size;	    /* PT_DYNAMIC */
	uint64_t ehf_off, ehf_va, ehf_size; /* PT_GNU_EH_FRAME */
	char build_id[65];
	struct elf_seg segs[ELF_MAX_SEGS];
	struct elf_sec *secs;
	uint8_t *window; /* ELF_WINDOW + ELF_AHEAD bytes, lent to scanners */
};

int elf_open(struct elf *e, int fd);
void elf_close(struct elf *e);

/* All of [off, off + len) or an error. */
int elf_read(const struct elf *e, uint64_t off, void *buf, size_t len);
/* As much of it as the file has; the count, or -errno. */
long elf_read_some(const struct elf *e, uint64_t off, void *buf, size_t len);

/* Between addresses and file offsets through PT_LOAD; false where nothing maps. */
bool elf_va_to_off(const struct elf *e, uint64_t va, uint64_t *off);
bool elf_off_to_va(const struct elf *e, uint64_t off, uint64_t *va);
bool elf_va_is_code(const struct elf *e, uint64_t va);

const struct elf_sec *elf_section(const struct elf *e, const char *name);
/* A NUL-terminated string at a file offset, cut to cap; -errno where unreadable. */
int elf_string(const struct elf *e, uint64_t off, char *buf, size_t cap);
/* DT_SONAME, or an empty string. */
void elf_soname(const struct elf *e, char *buf, size_t cap);

/* Calls on_rela for each relocation of the RELA table the dynamic section names. */
int elf_rela(struct elf *e, int (*on_rela)(void *arg, const Elf64_Rela *r), void *arg);
/* The relocation type that means "base + addend" on this machine. */
uint32_t elf_relative(const struct elf *e);

/*
 * Calls scan over [off, off + len) window by window. The callee owns match starts in buf[0..own)
 * and may look at buf[0..avail); at is the file offset of buf[0]. A nonzero return stops and is
 * returned. A range that leaves the file is cut to it. -E2BIG when the budget is used up.
 */
typedef int (*elf_scan_fn)(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at);
int elf_scan(struct elf *e, uint64_t off, uint64_t len, elf_scan_fn scan, void *arg);
/* The same over a table of items: no window cuts one. */
int elf_scan_items(struct elf *e, uint64_t off, uint64_t len, size_t item, elf_scan_fn scan,
		   void *arg);

static inline uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t le64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

#endif
