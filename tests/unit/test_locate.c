/* locate: where plaintext calls are, checked against what the dynamic linker says. */
#include <check.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "capture/locate.h"

/* The file and the file offset behind a mapped address, from /proc/self/maps. */
static uint64_t mapped_offset(const void *addr, char *path, size_t cap)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t want = (uintptr_t)addr, found = 0;
	char line[512];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long lo, hi, off;
		char name[400] = "";

		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %399s", &lo, &hi, &off, name) >= 3 &&
		    want >= lo && want < hi) {
			snprintf(path, cap, "%s", name);
			found = want - lo + off;
		}
	}
	fclose(f);
	return found;
}

static const struct locate_site *site(const struct locate_result *r, enum tls_family family,
				      enum tls_func func)
{
	for (uint32_t i = 0; i < r->n_libs; i++) {
		for (uint32_t k = 0; k < r->libs[i].n_sites; k++) {
			if (r->libs[i].family == family && r->libs[i].sites[k].func == func)
				return &r->libs[i].sites[k];
		}
	}
	return NULL;
}

static void check_library(const char *soname, enum tls_family family, const enum tls_func *funcs)
{
	void *lib = dlopen(soname, RTLD_NOW);
	struct locate_result r;
	char path[512] = "";
	int fd;

	ck_assert_msg(lib, "%s", dlerror());
	for (; *funcs != FN_NONE; funcs++) {
		void *addr = dlsym(lib, tls_func_name(*funcs));
		const struct locate_site *s;
		uint64_t off;

		ck_assert_ptr_nonnull(addr);
		off = mapped_offset(addr, path, sizeof(path));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(locate_file(fd, &r), 0);
		close(fd);
		s = site(&r, family, *funcs);
		ck_assert_msg(s, "%s not found", tls_func_name(*funcs));
		ck_assert_uint_eq(s->func_off, off);
		ck_assert_uint_ge(s->entry_off, off);
		ck_assert_uint_lt(s->entry_off, off + 32);
		ck_assert_uint_ge(s->ret_off, off);
	}
	ck_assert_str_eq(r.libs[0].library, soname);
	ck_assert_str_eq(r.libs[0].method, "symbol");
	ck_assert_str_eq(r.libs[0].reason, "");
	ck_assert_uint_eq(strlen(r.build_id), 40);
	dlclose(lib);
}

START_TEST(openssl_by_symbol)
{
	static const enum tls_func funcs[] = { FN_SSL_READ,	FN_SSL_WRITE, FN_SSL_READ_EX,
					       FN_SSL_WRITE_EX, FN_SSL_FREE,  FN_NONE };

	check_library("libssl.so.3", TLS_OPENSSL, funcs);
}
END_TEST

static uint8_t byte_at(int fd, uint64_t off)
{
	uint8_t b = 0;

	ck_assert_int_eq(pread(fd, &b, 1, (off_t)off), 1);
	return b;
}

/* Where the thin functions begin with an instruction that is single-stepped, what both call is probed. */
START_TEST(openssl_inner)
{
	static const enum tls_func pairs[][2] = { { FN_SSL_READ, FN_SSL_READ_EX },
						  { FN_SSL_WRITE, FN_SSL_WRITE_EX } };
	void *lib = dlopen("libssl.so.3", RTLD_NOW);
	static struct locate_result r;
	uint64_t inner[2] = { 0 };
	char path[512] = "";

	ck_assert_ptr_nonnull(lib);
	mapped_offset(dlsym(lib, "SSL_read"), path, sizeof(path));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(locate_file(fd, &r), 0);
	for (int i = 0; i < 2; i++) {
		const struct locate_site *plain = site(&r, TLS_OPENSSL, pairs[i][0]);
		const struct locate_site *ex = site(&r, TLS_OPENSSL, pairs[i][1]);

		inner[i] = plain->inner_off;
		ck_assert_uint_eq(plain->inner_off, ex->inner_off);
		if (byte_at(fd, plain->func_off) != 0x48 || site(&r, TLS_OPENSSL, FN_SSL_WRITE_EX2))
			continue; /* another build of it, or a later one */
		ck_assert_uint_ne(inner[i], 0);
		uint64_t first = inner[i] + (byte_at(fd, inner[i]) == 0x41);
		ck_assert_uint_eq(byte_at(fd, first) & 0xf8, 0x50); /* push */
	}
	ck_assert(!inner[0] || inner[0] != inner[1]);
	close(fd);
	dlclose(lib);
}
END_TEST

START_TEST(gnutls_by_symbol)
{
	static const enum tls_func funcs[] = { FN_GNUTLS_SEND, FN_GNUTLS_RECV, FN_GNUTLS_DEINIT,
					       FN_NONE };

	check_library("libgnutls.so.30", TLS_GNUTLS, funcs);
}
END_TEST

static int locate_bytes(const void *p, size_t len, struct locate_result *r)
{
	int fd = memfd_create("locate", MFD_CLOEXEC), err;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, p, len), (ssize_t)len);
	err = locate_file(fd, r);
	close(fd);
	return err;
}

START_TEST(not_for_us)
{
	static const char script[] =
		"#!/bin/sh\necho this is not an ELF file, and long enough for one\n";
	struct locate_result r;
	int fd;

	ck_assert_int_eq(locate_bytes(script, sizeof(script), &r), -ENOEXEC);
	ck_assert_int_eq(locate_bytes("", 0, &r), -ENOEXEC);
	ck_assert_str_ne(r.reason, "");
	fd = open("/", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(locate_file(fd, &r), -ENOEXEC);
	close(fd);
	fd = open("/bin/ls", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(locate_file(fd, &r), -ENOENT);
	ck_assert_uint_eq(r.n_libs, 0);
	ck_assert_str_eq(r.reason, "no TLS library in this file");
	close(fd);
}
END_TEST

/* What must hold of any answer, whatever the file. */
static void check_sane(const struct locate_result *r, int err, uint64_t size)
{
	uint32_t sites = 0;

	ck_assert_uint_le(r->n_libs, LOCATE_MAX_LIBS);
	for (uint32_t i = 0; i < r->n_libs; i++) {
		ck_assert_uint_le(r->libs[i].n_sites, LOCATE_MAX_SITES);
		ck_assert_ptr_nonnull(r->libs[i].method);
		ck_assert(r->libs[i].n_sites || r->libs[i].reason[0]);
		for (uint32_t k = 0; k < r->libs[i].n_sites; k++)
			ck_assert_uint_lt(r->libs[i].sites[k].entry_off, size);
		sites += r->libs[i].n_sites;
	}
	ck_assert((err == 0) == (sites > 0));
	ck_assert(err == 0 || r->reason[0]);
}

static size_t read_file(const char *path, uint8_t *buf, size_t cap)
{
	FILE *f = fopen(path, "re");
	size_t n;

	ck_assert_msg(f, "%s", path);
	n = fread(buf, 1, cap, f);
	fclose(f);
	return n;
}

static size_t libssl(uint8_t *buf, size_t cap)
{
	void *lib = dlopen("libssl.so.3", RTLD_NOW);
	char path[512] = "";

	ck_assert_msg(lib, "%s", dlerror());
	mapped_offset(dlsym(lib, "SSL_read"), path, sizeof(path));
	dlclose(lib);
	return read_file(path, buf, cap);
}

START_TEST(truncated)
{
	static uint8_t file[2 << 20];
	size_t size = libssl(file, sizeof(file));
	struct locate_result r;
	size_t whole = size;

	for (size_t len = 0; len < size; len += len < 1024 ? 16 : 4099) {
		int err = locate_bytes(file, len, &r);

		check_sane(&r, err, len);
		if (err == 0 && len < whole)
			whole = len;
		/* section headers are at the end: without them only the code can answer */
		if (err == 0)
			ck_assert_str_eq(r.libs[0].method, "xref");
	}
	ck_assert_uint_gt(whole, size / 2);
	ck_assert_int_eq(locate_bytes(file, size, &r), 0);
	ck_assert_str_eq(r.libs[0].method, "symbol");
}
END_TEST

START_TEST(corrupted)
{
	static uint8_t file[2 << 20], copy[2 << 20];
	size_t size = libssl(file, sizeof(file));
	uint64_t random = 0x9e3779b97f4a7c15;
	uint64_t headers = *(uint64_t *)(file + 40); /* e_shoff */
	struct locate_result r;
	int found = 0;

	for (int round = 0; round < 600; round++) {
		memcpy(copy, file, size);
		for (int i = 0; i < 4; i++) {
			uint64_t at;

			random = random * 6364136223846793005 + 1442695040888963407;
			/* the file's headers, its section headers, or anywhere */
			at = random >> 33;
			at = round % 3 == 0   ? at % 1024
			     : round % 3 == 1 ? headers + at % (size - headers)
					      : at % size;
			copy[at] = round % 2 ? 0xff : (uint8_t)(random >> 24);
		}
		found += locate_bytes(copy, size, &r) == 0;
		check_sane(&r, r.n_libs && r.libs[0].n_sites ? 0 : -1, size);
	}
	ck_assert_int_gt(found, 50);
	ck_assert_int_lt(found, 600);
}
END_TEST

/* A thousand sections that each cover the whole of a file must not mean a thousand passes. */
START_TEST(overlapping)
{
	static uint8_t head[64 + 1000 * 64];
	const uint64_t size = 16ULL << 20;
	Elf64_Ehdr *eh = (Elf64_Ehdr *)head;
	struct locate_result r;
	struct timespec a, b;
	int fd = memfd_create("sparse", MFD_CLOEXEC);

	memcpy(eh->e_ident, ELFMAG "\2\1\1", 7);
	eh->e_machine = EM_X86_64;
	eh->e_type = ET_DYN;
	eh->e_shoff = 64;
	eh->e_shentsize = 64;
	eh->e_shnum = 1000;
	for (int i = 0; i < 1000; i++) {
		Elf64_Shdr *sh = (Elf64_Shdr *)(head + 64 + 64 * i);

		sh->sh_type = i % 2 ? SHT_PROGBITS : SHT_DYNSYM;
		sh->sh_flags = SHF_ALLOC;
		sh->sh_size = size;
	}
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(pwrite(fd, head, sizeof(head), 0), sizeof(head));
	clock_gettime(CLOCK_MONOTONIC, &a);
	ck_assert_int_eq(locate_file(fd, &r), -E2BIG);
	clock_gettime(CLOCK_MONOTONIC, &b);
	close(fd);
	ck_assert_str_ne(r.reason, "");
	ck_assert_int_lt(b.tv_sec - a.tv_sec, 10);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("locate");
	TCase *t = tcase_create("locate");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_test(t, openssl_by_symbol);
	tcase_add_test(t, openssl_inner);
	tcase_add_test(t, gnutls_by_symbol);
	tcase_add_test(t, not_for_us);
	tcase_add_test(t, truncated);
	tcase_add_test(t, corrupted);
	tcase_add_test(t, overlapping);
	tcase_set_timeout(t, 60);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
