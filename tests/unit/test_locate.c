/* locate: where plaintext calls are, checked against what the dynamic linker says. */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

int main(void)
{
	Suite *s = suite_create("locate");
	TCase *t = tcase_create("locate");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_test(t, openssl_by_symbol);
	tcase_add_test(t, gnutls_by_symbol);
	tcase_add_test(t, not_for_us);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
