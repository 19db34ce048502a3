/*
 * Agent frameworks of a process: names and versions from the package metadata beside the modules that it has loaded.
 * Python: *.dist-info of the site-packages directories that it maps files from or that its interpreter would search.
 * Node: package.json of the node_modules above its working directory and script. "Installed" is all this says.
 */
#include "capture/room.h"

#include "base/json.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_DIRS 16

static const char *const python_packages[] = {
	"langchain", "langchain_core", "langgraph", "crewai", "autogen_agentchat", "autogen_core", "pyautogen", "ag2",
	"pydantic_ai", "pydantic_ai_slim", "llama_index_core", "smolagents", "openai_agents", "dspy", "semantic_kernel",
	"haystack_ai", "agno", "strands_agents", "google_adk", "openai", "anthropic", "google_genai", "litellm", "mcp", NULL,
};

static const char *const node_packages[] = {
	"langchain", "@langchain/core", "@langchain/langgraph", "ai", "@mastra/core", "@openai/agents", "openai",
	"@anthropic-ai/sdk", "@anthropic-ai/claude-agent-sdk", "@google/genai", "@modelcontextprotocol/sdk", NULL,
};

/* A path of the target's, below the target's own root, whatever links it has laid. */
static int open_inside(uint32_t pid, const char *path, int flags)
{
	char root[64];
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC | O_NONBLOCK), .resolve = RESOLVE_IN_ROOT };

	snprintf(root, sizeof(root), "/proc/%u/root", pid);
	AUTO_CLOSE int at = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	long fd = syscall(SYS_openat2, at, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static void tell(struct capture *c, const struct followed *f, struct span name, struct span version, const char *evidence)
{
	buf_clear(&c->json);
	buf_add_char(&c->json, '{');
	json_put_member_i64(&c->json, "pid", f->pid);
	json_put_member_text(&c->json, "name", name);
	if (version.len)
		json_put_member_text(&c->json, "version", version);
	json_put_member_text(&c->json, "evidence", span_of(evidence));
	buf_add_char(&c->json, '}');
	facts_send(c, CF_FACT_FRAMEWORK, f->pid, f->start_ns);
}

/* "name-1.2.3.dist-info"; names compare without case, with _ for - and . (PyPA name normalisation). */
static bool dist_info(const char *entry, char name[64], char version[64])
{
	const char *dash = strchr(entry, '-'), *tail = strstr(entry, ".dist-info");
	size_t i = 0;

	if (!dash || !tail || dash > tail || dash - entry >= 64 || tail - dash - 1 >= 64)
		return false;
	for (const char *p = entry; p < dash; p++)
		name[i++] = *p == '-' || *p == '.' ? '_' : (char)tolower((unsigned char)*p);
	name[i] = 0;
	memcpy(version, dash + 1, (size_t)(tail - dash - 1));
	version[tail - dash - 1] = 0;
	return true;
}

static void scan_site(struct capture *c, const struct followed *f, const char *dir)
{
	char name[64], version[64];
	int fd = open_inside(f->pid, dir, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d))) {
		if (!dist_info(e->d_name, name, version))
			continue;
		for (size_t i = 0; python_packages[i]; i++)
			if (strcmp(python_packages[i], name) == 0)
				tell(c, f, span_of(name), span_of(version), "python package metadata");
	}
	closedir(d);
}

static void scan_module(struct capture *c, const struct followed *f, const char *dir, const char *package)
{
	char path[4096], text[16384];
	struct arena a;

	snprintf(path, sizeof(path), "%s/node_modules/%s/package.json", dir, package);
	AUTO_CLOSE int fd = open_inside(f->pid, path, O_RDONLY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	ssize_t n = read(fd, text, sizeof(text));
	struct span json = span_at(text, n > 0 ? (size_t)n : 0), value;
	arena_init(&a);
	if (json_value(json, &value, NULL) == 0)
		tell(c, f, span_of(package), json_get_text(&a, value, "version"), "node package metadata");
	arena_fini(&a);
}

struct dirs {
	char *list[MAX_DIRS];
	size_t n;
};

static void add_dir(struct dirs *d, const char *path, size_t len)
{
	for (size_t i = 0; i < d->n; i++)
		if (strlen(d->list[i]) == len && memcmp(d->list[i], path, len) == 0)
			return;
	if (d->n == MAX_DIRS || !len)
		return;
	d->list[d->n] = mem_alloc(len + 1);
	memcpy(d->list[d->n++], path, len);
}

/* Directories that end in site-packages or dist-packages, from the mapped files. */
static void sites_from_maps(uint32_t pid, struct dirs *out)
{
	static const char *const marks[] = { "/site-packages", "/dist-packages" };
	char name[32], *line = NULL;
	size_t room = 0;

	snprintf(name, sizeof(name), "/proc/%u/maps", pid);
	FILE *f = fopen(name, "re");
	if (!f)
		return;
	while (getline(&line, &room, f) > 0) {
		const char *path = strchr(line, '/');
		for (size_t i = 0; path && i < 2; i++) {
			const char *at = strstr(path, marks[i]);
			if (at)
				add_dir(out, path, (size_t)(at - path) + strlen(marks[i]));
		}
	}
	free(line);
	fclose(f);
}

/* A virtual environment: <prefix>/bin/python -> <prefix>/lib/python3.N/site-packages. */
static void sites_from_argv(uint32_t pid, struct dirs *out)
{
	char name[64], argv0[4096], dir[4600];

	snprintf(name, sizeof(name), "/proc/%u/cmdline", pid);
	AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, argv0, sizeof(argv0) - 1);
	if (n <= 0)
		return;
	argv0[n] = 0;
	char *bin = strstr(argv0, "/bin/python");
	if (!bin || argv0[0] != '/')
		return;
	*bin = 0;
	for (int minor = 8; minor < 20; minor++) {
		snprintf(dir, sizeof(dir), "%s/lib/python3.%d/site-packages", argv0, minor);
		int site = open_inside(pid, dir, O_RDONLY | O_DIRECTORY);
		if (site < 0)
			continue;
		close(site);
		add_dir(out, dir, strlen(dir));
	}
}

static bool is_node(uint32_t pid)
{
	char name[64], exe[4096];

	snprintf(name, sizeof(name), "/proc/%u/exe", pid);
	ssize_t n = readlink(name, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = 0;
	const char *base = strrchr(exe, '/');
	return base && (strncmp(base, "/node", 5) == 0 || strcmp(base, "/bun") == 0 || strcmp(base, "/deno") == 0);
}

static void scan_node(struct capture *c, const struct followed *f)
{
	char name[64], dir[3500];

	snprintf(name, sizeof(name), "/proc/%u/cwd", f->pid);
	ssize_t n = readlink(name, dir, sizeof(dir) - 1);
	if (n <= 0)
		return;
	dir[n] = 0;
	/* Upwards, as the module resolver does. */
	for (;;) {
		for (size_t i = 0; node_packages[i]; i++)
			scan_module(c, f, dir, node_packages[i]);
		char *up = strrchr(dir, '/');
		if (!up || up == dir)
			break;
		*up = 0;
	}
}

void framework_scan(struct capture *c, const struct followed *f)
{
	struct dirs sites = { .n = 0 };

	if (is_node(f->pid)) {
		scan_node(c, f);
		return;
	}
	sites_from_maps(f->pid, &sites);
	sites_from_argv(f->pid, &sites);
	for (size_t i = 0; i < sites.n; i++) {
		scan_site(c, f, sites.list[i]);
		free(sites.list[i]);
	}
}
