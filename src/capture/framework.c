/*
 * Agent frameworks that a process uses: those that its main script imports, with the version from the package metadata
 * beside them. That a package is installed says nothing: environments hold many that a program never loads. What a
 * script reaches only through its other modules is not seen here; requests tell more (User-Agent, SDK headers).
 */
#include "capture/room.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCAN_MS 2000
#define MAX_DIRS 16
#define SCRIPT_MAX (256 * KIB) /* imports stand at the top */

/* The module as it is imported, and the distribution that has its version; "" : the same name. */
static const struct {
	const char *module;
	const char *dist;
} python_packages[] = {
	{ "crewai", "" },
	{ "autogen_agentchat", "" },
	{ "autogen_core", "" },
	{ "autogen", "ag2" },
	{ "agents", "openai_agents" },
	{ "claude_agent_sdk", "" },
	{ "smolagents", "" },
	{ "pydantic_ai", "" },
	{ "agno", "" },
	{ "google.adk", "google_adk" },
	{ "strands", "strands_agents" },
	{ "dspy", "" },
	{ "semantic_kernel", "" },
	{ "haystack", "haystack_ai" },
	{ "llama_index", "llama_index_core" },
	{ "langgraph", "" },
	{ "langchain", "" },
	{ "langchain_core", "" },
	{ "litellm", "" },
	{ "openai", "" },
	{ "anthropic", "" },
	{ "google.genai", "google_genai" },
	{ "ollama", "" },
	{ "mcp", "" },
};

static const char *const node_packages[] = {
	"@mastra/core", "@openai/agents", "@anthropic-ai/claude-agent-sdk", "@langchain/langgraph", "langchain",
	"@langchain/core", "ai", "openai", "@anthropic-ai/sdk", "@google/genai", "ollama", "@modelcontextprotocol/sdk",
};

#define N(table) (sizeof(table) / sizeof(*(table)))

/* A path of the target's, below the target's own root, whatever links it has laid. */
static int open_inside(uint32_t pid, const char *base, const char *path, int flags)
{
	char root[64];
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC | O_NONBLOCK) };

	/* From the root nothing leads outside; from the working directory a relative path may climb, as the target's own does. */
	how.resolve = strcmp(base, "root") == 0 ? RESOLVE_IN_ROOT : RESOLVE_NO_MAGICLINKS;
	snprintf(root, sizeof(root), "/proc/%u/%s", pid, base);
	AUTO_CLOSE int at = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	long fd = syscall(SYS_openat2, at, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static bool read_regular(int fd, struct buf *out)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return false;
	char *to = buf_reserve(out, SCRIPT_MAX);
	ssize_t n = to ? read(fd, to, SCRIPT_MAX) : -1;
	if (n <= 0)
		return false;
	out->len += (size_t)n;
	return true;
}

struct program {
	char argv[4096];
	size_t len;
	const char *script; /* first argument that is no option; NULL: none */
	bool node;
};

static bool read_program(uint32_t pid, struct program *p)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%u/cmdline", pid);
	AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, p->argv, sizeof(p->argv) - 1);
	if (n <= 0)
		return false;
	p->argv[n] = 0;
	p->len = (size_t)n;
	p->script = NULL;
	for (size_t at = strlen(p->argv) + 1; at < p->len && !p->script; at += strlen(p->argv + at) + 1) {
		if (p->argv[at] != '-')
			p->script = p->argv + at;
		else if (strcmp(p->argv + at, "-c") == 0 || strcmp(p->argv + at, "-m") == 0)
			break; /* no file to read */
	}
	const char *base = strrchr(p->argv, '/');
	base = base ? base + 1 : p->argv;
	p->node = strncmp(base, "node", 4) == 0 || strcmp(base, "bun") == 0 || strcmp(base, "deno") == 0;
	return p->script != NULL;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* A line that begins with `import M` or `from M`, M as a whole dotted name or the head of one. */
static bool python_imports(struct span text, const char *module)
{
	static const char *const words[] = { "import ", "from " };
	size_t len = strlen(module);
	struct span line;

	while (span_split(&text, '\n', &line)) {
		line = span_trim(line);
		for (size_t i = 0; i < N(words); i++) {
			struct span word = span_of(words[i]);
			if (!span_starts(line, word))
				continue;
			struct span name = span_trim(span_at(line.p + word.len, line.len - word.len));
			if (span_starts(name, span_at(module, len)) && (name.len == len || !is_word(name.p[len])))
				return true;
		}
	}
	return false;
}

/* 'package' or 'package/path' in quotes behind from, import or require. */
static bool node_imports(struct span text, const char *package)
{
	size_t len = strlen(package);

	for (struct span at = span_find(text, span_of(package)); at.p; at = span_find(at, span_of(package))) {
		char before = at.p > text.p ? at.p[-1] : 0, after = at.len > len ? at.p[len] : 0;
		if ((before == '\'' || before == '"') && (after == before || after == '/')) {
			const char *p = at.p - 1;
			while (p > text.p && (p[-1] == ' ' || p[-1] == '('))
				p--;
			struct span head = span_at(text.p, (size_t)(p - text.p));
			if (span_ends(head, SPAN("from")) || span_ends(head, SPAN("import")) || span_ends(head, SPAN("require")))
				return true;
		}
		at = span_at(at.p + len, at.len - len);
	}
	return false;
}

static void tell(struct capture *c, const struct followed *f, const char *name, struct span version, const char *script)
{
	struct buf evidence;

	buf_init(&evidence, 8 * KIB);
	buf_printf(&evidence, "imported by %s", script);
	buf_clear(&c->json);
	buf_add_char(&c->json, '{');
	json_put_member_i64(&c->json, "pid", f->pid);
	json_put_member_text(&c->json, "name", span_of(name));
	if (version.len)
		json_put_member_text(&c->json, "version", version);
	json_put_member_text(&c->json, "evidence", buf_span(&evidence));
	buf_add_char(&c->json, '}');
	facts_send(c, CF_FACT_FRAMEWORK, f->pid, f->start_ns);
	buf_fini(&evidence);
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
		for (size_t i = 0; path && i < N(marks); i++) {
			const char *at = strstr(path, marks[i]);
			if (at)
				add_dir(out, path, (size_t)(at - path) + strlen(marks[i]));
		}
	}
	free(line);
	fclose(f);
}

/* A virtual environment: <prefix>/bin/python -> <prefix>/lib/python3.N/site-packages. */
static void sites_from_prefix(uint32_t pid, const struct program *p, struct dirs *out)
{
	const char *bin = strstr(p->argv, "/bin/python");
	char dir[4200];

	if (!bin || p->argv[0] != '/')
		return;
	for (int minor = 8; minor < 24; minor++) {
		snprintf(dir, sizeof(dir), "%.*s/lib/python3.%d/site-packages", (int)(bin - p->argv), p->argv, minor);
		int site = open_inside(pid, "root", dir, O_RDONLY | O_DIRECTORY);
		if (site < 0)
			continue;
		close(site);
		add_dir(out, dir, strlen(dir));
	}
}

/* "Name-1.2.3.dist-info"; names compare without case, with _ for - and . (PyPA name normalisation). */
static bool is_dist(const char *entry, const char *dist, char version[64])
{
	size_t i = 0;
	const char *tail = strstr(entry, ".dist-info");

	for (; dist[i]; i++) {
		char c = entry[i] == '-' || entry[i] == '.' ? '_' : (char)tolower((unsigned char)entry[i]);
		if (c != dist[i])
			return false;
	}
	if (entry[i] != '-' || !tail || tail - (entry + i + 1) >= 64 || tail <= entry + i)
		return false;
	snprintf(version, 64, "%.*s", (int)(tail - (entry + i + 1)), entry + i + 1);
	return true;
}

static bool find_version(uint32_t pid, const struct dirs *sites, const char *dist, char version[64])
{
	bool found = false;

	for (size_t i = 0; i < sites->n && !found; i++) {
		int fd = open_inside(pid, "root", sites->list[i], O_RDONLY | O_DIRECTORY);
		DIR *d = fd < 0 ? NULL : fdopendir(fd);
		struct dirent *e;
		while (d && !found && (e = readdir(d)))
			found = is_dist(e->d_name, dist, version);
		if (d)
			closedir(d);
		else if (fd >= 0)
			close(fd);
	}
	return found;
}

static void scan_python(struct capture *c, const struct followed *f, const struct program *p, struct span text)
{
	struct dirs sites = { .n = 0 };
	char version[64];

	sites_from_prefix(f->pid, p, &sites);
	sites_from_maps(f->pid, &sites);
	for (size_t i = 0; i < N(python_packages); i++) {
		const char *module = python_packages[i].module, *dist = python_packages[i].dist;
		if (!python_imports(text, module))
			continue;
		bool known = find_version(f->pid, &sites, *dist ? dist : module, version);
		tell(c, f, *dist ? dist : module, known ? span_of(version) : SPAN_NONE, p->script);
	}
	for (size_t i = 0; i < sites.n; i++)
		free(sites.list[i]);
}

/* From the script's directory upwards, as the module resolver does. */
static struct span node_version(struct arena *a, uint32_t pid, const char *dir, const char *package)
{
	char path[4700];
	struct span version = SPAN_NONE, json;
	struct buf text;

	buf_init(&text, SCRIPT_MAX);
	snprintf(path, sizeof(path), "%s/node_modules/%s/package.json", dir, package);
	AUTO_CLOSE int fd = open_inside(pid, "root", path, O_RDONLY);
	if (read_regular(fd, &text) && json_value(buf_span(&text), &json, NULL) == 0)
		version = arena_copy(a, json_get_text(a, json, "version"));
	buf_fini(&text);
	return version;
}

static void scan_node(struct capture *c, const struct followed *f, const struct program *p, int script_fd, struct span text)
{
	char link[64], dir[4096];
	struct arena a;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", script_fd);
	ssize_t n = readlink(link, dir, sizeof(dir) - 1);
	if (n <= 0)
		return;
	dir[n] = 0;
	arena_init(&a);
	for (size_t i = 0; i < N(node_packages); i++) {
		struct span version = SPAN_NONE;
		char at[4096];
		if (!node_imports(text, node_packages[i]))
			continue;
		snprintf(at, sizeof(at), "%s", dir);
		for (char *up = strrchr(at, '/'); up && up != at && !version.len; up = strrchr(at, '/')) {
			*up = 0;
			version = node_version(&a, f->pid, at, node_packages[i]);
		}
		tell(c, f, node_packages[i], version, p->script);
	}
	arena_fini(&a);
}

static void scan(struct capture *c, const struct followed *f)
{
	struct program p;
	struct buf text;

	if (!read_program(f->pid, &p))
		return;
	buf_init(&text, SCRIPT_MAX);
	AUTO_CLOSE int fd = open_inside(f->pid, p.script[0] == '/' ? "root" : "cwd", p.script, O_RDONLY);
	if (read_regular(fd, &text)) {
		if (p.node)
			scan_node(c, f, &p, fd, buf_span(&text));
		else
			scan_python(c, f, &p, buf_span(&text));
	}
	buf_fini(&text);
}

/* The target's files may stall whoever opens them (FUSE, NFS): a child does it, which sends the facts itself. */
void framework_scan(struct capture *c, const struct followed *f)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		scan(c, f);
		_exit(0);
	}
	if (child < 0)
		return;
	AUTO_CLOSE int ended = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd p = { .fd = ended, .events = POLLIN };
	if (ended < 0 || poll(&p, 1, SCAN_MS) <= 0)
		kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}
