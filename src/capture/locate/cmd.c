/* cf-observe locate FILE... [--json]: what was found in each file, how, and why not. */
#include "capture/locate.h"

#include <cjson/cJSON.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_NOT_FOUND = 1, EXIT_BAD_USAGE = 2 };

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Library names come out of untrusted files: nothing but plain ASCII reaches the terminal. */
static const char *plain(const char *s, char *buf, size_t cap)
{
	size_t n = 0;

	for (; *s && n + 1 < cap; s++)
		buf[n++] = *s >= ' ' && *s <= '~' ? *s : '?';
	buf[n] = '\0';
	return buf;
}

static void print_text(const char *path, int err, double ms, const struct locate_result *r)
{
	char name[LOCATE_MAX_REASON];

	printf("%s\n", path);
	if (r->build_id[0])
		printf("  build-id %s\n", r->build_id);
	if (err)
		printf("  %s\n", plain(r->reason, name, sizeof(name)));
	for (uint32_t i = 0; i < r->n_libs; i++) {
		const struct locate_lib *lib = &r->libs[i];

		printf("  %s, by %s\n", plain(lib->library, name, sizeof(name)), lib->method);
		for (uint32_t k = 0; k < lib->n_sites; k++) {
			const struct locate_site *s = &lib->sites[k];

			printf("    %-26s 0x%-9" PRIx64 " entry +%" PRIu64, tls_func_name(s->func),
			       s->func_off, s->entry_off - s->func_off);
			if (s->ret_off)
				printf(" return +%" PRIu64, s->ret_off - s->func_off);
			if (s->n_rets)
				printf(" %u RETs", s->n_rets);
			if (s->inner_off)
				printf(" inner 0x%" PRIx64, s->inner_off);
			putchar('\n');
		}
		if (lib->reason[0])
			printf("    %s\n", plain(lib->reason, name, sizeof(name)));
	}
	printf("  %.1f ms\n", ms);
}

static cJSON *site_json(const struct locate_site *s)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "function", tls_func_name(s->func));
	cJSON_AddNumberToObject(o, "offset", (double)s->func_off);
	cJSON_AddNumberToObject(o, "entry", (double)s->entry_off);
	if (s->ret_off)
		cJSON_AddNumberToObject(o, "return", (double)s->ret_off);
	if (s->n_rets) {
		cJSON *rets = cJSON_AddArrayToObject(o, "rets");

		for (uint32_t i = 0; i < s->n_rets; i++)
			cJSON_AddItemToArray(rets, cJSON_CreateNumber((double)s->rets[i]));
	}
	return o;
}

static void print_json(const char *path, int err, double ms, const struct locate_result *r)
{
	cJSON *o = cJSON_CreateObject(), *libs;
	char name[LOCATE_MAX_REASON], *text;

	cJSON_AddStringToObject(o, "file", path);
	cJSON_AddBoolToObject(o, "found", err == 0);
	if (r->build_id[0])
		cJSON_AddStringToObject(o, "build_id", r->build_id);
	if (err)
		cJSON_AddStringToObject(o, "reason", plain(r->reason, name, sizeof(name)));
	libs = cJSON_AddArrayToObject(o, "libraries");
	for (uint32_t i = 0; i < r->n_libs; i++) {
		const struct locate_lib *lib = &r->libs[i];
		cJSON *l = cJSON_CreateObject(), *sites;

		cJSON_AddStringToObject(l, "family", tls_family_name(lib->family));
		cJSON_AddStringToObject(l, "library", plain(lib->library, name, sizeof(name)));
		cJSON_AddStringToObject(l, "method", lib->method);
		if (lib->reason[0])
			cJSON_AddStringToObject(l, "reason",
						plain(lib->reason, name, sizeof(name)));
		sites = cJSON_AddArrayToObject(l, "sites");
		for (uint32_t k = 0; k < lib->n_sites; k++)
			cJSON_AddItemToArray(sites, site_json(&lib->sites[k]));
		cJSON_AddItemToArray(libs, l);
	}
	cJSON_AddNumberToObject(o, "ms", (double)(int64_t)(ms * 10) / 10);
	text = cJSON_PrintUnformatted(o);
	if (text)
		puts(text);
	free(text);
	cJSON_Delete(o);
}

static int locate_one(const char *path, bool json)
{
	struct locate_result r;
	double start = now_ms();
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		fprintf(stderr, "cannot open %s: %s\n", path, strerror(errno));
		return -errno;
	}
	err = locate_file(fd, &r);
	close(fd);
	(json ? print_json : print_text)(path, err, now_ms() - start, &r);
	return err;
}

int cmd_locate(int argc, char **argv)
{
	bool json = false;
	int files = 0, status = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (argv[i][0] == '-' && argv[i][1])
			goto usage;
		else
			files++;
	}
	if (!files)
		goto usage;
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' && locate_one(argv[i], json))
			status = EXIT_NOT_FOUND;
	}
	return status;
usage:
	fprintf(stderr,
		"usage: cf-observe locate FILE... [--json]\n"
		"Shows where plaintext enters and leaves the TLS library in each ELF file.\n");
	return EXIT_BAD_USAGE;
}
