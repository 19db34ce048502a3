#include "capture/locate/elf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the reader loads little-endian words directly"
#endif

long elf_read_some(const struct elf *e, uint64_t off, void *buf, size_t len)
{
	size_t done = 0;

	if (off >= e->size)
		return 0;
	if (len > e->size - off)
		len = e->size - off;
	while (done < len) {
		ssize_t n = pread(e->fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (long)done;
}

int elf_read(const struct elf *e, uint64_t off, void *buf, size_t len)
{
	long n = elf_read_some(e, off, buf, len);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EINVAL;
}

static void read_build_id(struct elf *e, const Elf64_Phdr *ph)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t *buf;
	long n;

	if (e->build_id[0] || ph->p_filesz > ELF_MAX_NOTES)
		return;
	buf = malloc(ph->p_filesz + 1);
	if (!buf)
		return;
	n = elf_read_some(e, ph->p_offset, buf, ph->p_filesz);
	for (long at = 0; at + 12 <= n;) {
		uint64_t namesz = le32(buf + at), descsz = le32(buf + at + 4);
		uint64_t desc = (uint64_t)at + 12 + ((namesz + 3) & ~3ULL);

		if (desc + descsz > (uint64_t)n)
			break;
		if (le32(buf + at + 8) == NT_GNU_BUILD_ID && namesz == 4 &&
		    !memcmp(buf + at + 12, "GNU", 4) && descsz && descsz <= 32) {
			for (size_t i = 0; i < descsz; i++) {
				e->build_id[2 * i] = hex[buf[desc + i] >> 4];
				e->build_id[2 * i + 1] = hex[buf[desc + i] & 15];
			}
			e->build_id[2 * descsz] = '\0';
			break;
		}
		at = (long)(desc + ((descsz + 3) & ~3ULL));
	}
	free(buf);
}

static void take_phdr(struct elf *e, const Elf64_Phdr *ph)
{
	if (ph->p_type == PT_LOAD && e->n_segs < ELF_MAX_SEGS) {
		struct elf_seg *s = &e->segs[e->n_segs];
		uint64_t room = ph->p_offset < e->size ? e->size - ph->p_offset : 0;

		s->off = ph->p_offset;
		s->va = ph->p_vaddr;
		s->filesz = ph->p_filesz < room ? ph->p_filesz : room;
		s->flags = ph->p_flags;
		if (s->filesz && s->va + s->filesz > s->va)
			e->n_segs++;
	} else if (ph->p_type == PT_DYNAMIC) {
		e->dyn_off = ph->p_offset;
		e->dyn_size = ph->p_filesz;
	} else if (ph->p_type == PT_GNU_EH_FRAME) {
		e->ehf_off = ph->p_offset;
		e->ehf_va = ph->p_vaddr;
		e->ehf_size = ph->p_filesz;
	} else if (ph->p_type == PT_NOTE) {
		read_build_id(e, ph);
	}
}

static int read_phdrs(struct elf *e, const Elf64_Ehdr *eh)
{
	unsigned n = eh->e_phnum < ELF_MAX_PHDRS ? eh->e_phnum : ELF_MAX_PHDRS;

	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return n ? -EINVAL : 0;
	for (unsigned i = 0; i < n; i++) {
		Elf64_Phdr ph;
		int err = elf_read(e, eh->e_phoff + i * sizeof(ph), &ph, sizeof(ph));

		if (err)
			return err;
		take_phdr(e, &ph);
	}
	return 0;
}

/* Section headers are a help, not a need: a stripped or damaged table reads as none. */
static int read_shdrs(struct elf *e, const Elf64_Ehdr *eh)
{
	unsigned n = eh->e_shnum;

	if (!n || n > ELF_MAX_SECS || eh->e_shentsize != sizeof(Elf64_Shdr))
		return 0;
	e->secs = calloc(n, sizeof(*e->secs));
	if (!e->secs)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		struct elf_sec *s = &e->secs[i];
		Elf64_Shdr sh;

		if (elf_read(e, eh->e_shoff + i * sizeof(sh), &sh, sizeof(sh)))
			return 0;
		s->off = sh.sh_offset;
		s->va = sh.sh_addr;
		s->size = sh.sh_size;
		s->entsize = sh.sh_entsize;
		s->type = sh.sh_type;
		s->link = sh.sh_link;
		s->name = sh.sh_name;
		s->flags = sh.sh_flags;
		if (s->type != SHT_NOBITS) {
			uint64_t room = s->off < e->size ? e->size - s->off : 0;

			if (s->size > room)
				s->size = room;
		}
		e->n_secs = i + 1;
	}
	if (eh->e_shstrndx < e->n_secs) {
		e->names_off = e->secs[eh->e_shstrndx].off;
		e->names_size = e->secs[eh->e_shstrndx].size;
	}
	return 0;
}

int elf_open(struct elf *e, int fd)
{
	struct stat st;
	Elf64_Ehdr eh;
	int err;

	memset(e, 0, sizeof(*e));
	e->fd = fd;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOEXEC;
	e->size = (uint64_t)st.st_size;
	e->budget = e->size < ELF_BUDGET_BYTES / ELF_BUDGET_FILES
			    ? (e->size + ELF_WINDOW) * ELF_BUDGET_FILES
			    : ELF_BUDGET_BYTES;
	err = elf_read(e, 0, &eh, sizeof(eh));
	if (err)
		return err == -EINVAL ? -ENOEXEC : err;
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	e->machine = eh.e_machine;
	e->type = eh.e_type;
	err = read_phdrs(e, &eh);
	if (!err)
		err = read_shdrs(e, &eh);
	if (!err) {
		e->window = malloc(ELF_WINDOW + ELF_AHEAD);
		if (!e->window)
			err = -ENOMEM;
	}
	if (err)
		elf_close(e);
	return err;
}

void elf_close(struct elf *e)
{
	free(e->secs);
	free(e->window);
	e->secs = NULL;
	e->window = NULL;
	e->n_secs = 0;
}

bool elf_va_to_off(const struct elf *e, uint64_t va, uint64_t *off)
{
	for (uint32_t i = 0; i < e->n_segs; i++) {
		const struct elf_seg *s = &e->segs[i];

		if (va - s->va < s->filesz) {
			*off = s->off + (va - s->va);
			return true;
		}
	}
	return false;
}

bool elf_off_to_va(const struct elf *e, uint64_t off, uint64_t *va)
{
	for (uint32_t i = 0; i < e->n_segs; i++) {
		const struct elf_seg *s = &e->segs[i];

		if (off - s->off < s->filesz) {
			*va = s->va + (off - s->off);
			return true;
		}
	}
	return false;
}

bool elf_va_is_code(const struct elf *e, uint64_t va)
{
	for (uint32_t i = 0; i < e->n_segs; i++) {
		const struct elf_seg *s = &e->segs[i];

		if (va - s->va < s->filesz)
			return s->flags & PF_X;
	}
	return false;
}

int elf_string(const struct elf *e, uint64_t off, char *buf, size_t cap)
{
	long n = elf_read_some(e, off, buf, cap - 1);

	if (n < 0)
		n = 0;
	buf[n] = '\0';
	return n ? 0 : -EINVAL;
}

const struct elf_sec *elf_section(const struct elf *e, const char *name)
{
	size_t len = strlen(name);
	char buf[64];

	if (len + 1 > sizeof(buf))
		return NULL;
	for (uint32_t i = 0; i < e->n_secs; i++) {
		if (e->secs[i].name >= e->names_size)
			continue;
		if (!elf_string(e, e->names_off + e->secs[i].name, buf, len + 2) &&
		    !strcmp(buf, name))
			return &e->secs[i];
	}
	return NULL;
}

/* The value of a dynamic tag; 0 when absent. */
static uint64_t dynamic(const struct elf *e, int64_t tag)
{
	uint64_t n = e->dyn_size / sizeof(Elf64_Dyn);

	if (n > ELF_MAX_DYNAMIC)
		n = ELF_MAX_DYNAMIC;
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Dyn d;

		if (elf_read(e, e->dyn_off + i * sizeof(d), &d, sizeof(d)) || d.d_tag == DT_NULL)
			break;
		if (d.d_tag == tag)
			return d.d_un.d_val;
	}
	return 0;
}

void elf_soname(const struct elf *e, char *buf, size_t cap)
{
	uint64_t strtab = dynamic(e, DT_STRTAB), soname = dynamic(e, DT_SONAME), off;

	buf[0] = '\0';
	if (strtab && soname && elf_va_to_off(e, strtab, &off))
		elf_string(e, off + soname, buf, cap);
}

uint32_t elf_relative(const struct elf *e)
{
	return e->machine == EM_AARCH64 ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE;
}

struct rela_pass {
	int (*on_rela)(void *arg, const Elf64_Rela *r);
	void *arg;
};

static int rela_window(void *arg, const uint8_t *buf, size_t own, size_t avail, uint64_t at)
{
	struct rela_pass *p = arg;

	(void)avail;
	(void)at;
	for (size_t i = 0; i + sizeof(Elf64_Rela) <= own; i += sizeof(Elf64_Rela)) {
		Elf64_Rela r;
		int err;

		memcpy(&r, buf + i, sizeof(r));
		err = p->on_rela(p->arg, &r);
		if (err)
			return err;
	}
	return 0;
}

int elf_rela(struct elf *e, int (*on_rela)(void *arg, const Elf64_Rela *r), void *arg)
{
	uint64_t va = dynamic(e, DT_RELA), size = dynamic(e, DT_RELASZ), off;
	struct rela_pass pass = { on_rela, arg };

	if (!va || !elf_va_to_off(e, va, &off))
		return 0;
	if (size > ELF_MAX_RELA)
		size = ELF_MAX_RELA;
	return elf_scan_items(e, off, size, sizeof(Elf64_Rela), rela_window, &pass);
}

int elf_scan(struct elf *e, uint64_t off, uint64_t len, elf_scan_fn scan, void *arg)
{
	if (off >= e->size)
		return 0;
	if (len > e->size - off)
		len = e->size - off;
	while (len) {
		size_t own = len < ELF_WINDOW ? len : ELF_WINDOW;
		size_t want = len < ELF_WINDOW + ELF_AHEAD ? len : ELF_WINDOW + ELF_AHEAD;
		long n = elf_read_some(e, off, e->window, want);
		int err;

		if (n < 0)
			return (int)n;
		if (n == 0)
			return 0;
		if ((uint64_t)n > e->budget)
			return -E2BIG;
		e->budget -= (uint64_t)n;
		if ((size_t)n < own)
			own = (size_t)n;
		err = scan(arg, e->window, own, (size_t)n, off);
		if (err)
			return err;
		off += own;
		len -= own;
	}
	return 0;
}

int elf_scan_items(struct elf *e, uint64_t off, uint64_t len, size_t item, elf_scan_fn scan,
		   void *arg)
{
	const uint64_t piece = ELF_WINDOW / item * item;
	int err = 0;

	for (uint64_t done = 0; done < len && off + done < e->size && !err; done += piece)
		err = elf_scan(e, off + done, len - done < piece ? len - done : piece, scan, arg);
	return err;
}
