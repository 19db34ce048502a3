/* Who ran: agent_info, from what is seen of the process and its requests. What nothing tells is left out. */
#include "trace/assemble_int.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>

/* First words of a User-Agent: "OpenAI/Python 1.54.0", "claude-cli/2.1.120 (external, cli)". */
static const struct {
	const char *prefix;
	const char *agent; /* the program is this agent */
	const char *sdk;   /* it is built on this */
	bool language;     /* the version follows a language name */
} user_agents[] = {
	{ "claude-cli/", "claude-code", NULL, false },
	{ "claude-code/", "claude-code", NULL, false },
	{ "codex_cli_rs/", "codex", NULL, false },
	{ "codex-tui/", "codex", NULL, false },
	{ "codex_exec/", "codex", NULL, false },
	{ "GeminiCLI/", "gemini-cli", NULL, false },
	{ "GeminiCLI-", "gemini-cli", NULL, false },
	{ "QwenCode/", "qwen-code", NULL, false },
	{ "opencode/", "opencode", NULL, false },
	{ "aider/", "aider", NULL, false },
	{ "AsyncOpenAI/", NULL, "openai", true },
	{ "OpenAI/", NULL, "openai", true },
	{ "AsyncAzureOpenAI/", NULL, "openai", true },
	{ "AzureOpenAI/", NULL, "openai", true },
	{ "AsyncAnthropic/", NULL, "anthropic", true },
	{ "Anthropic/", NULL, "anthropic", true },
	{ "ai-sdk/", NULL, "ai", false },
	{ "litellm/", NULL, "litellm", false },
	{ "pydantic-ai/", NULL, "pydantic-ai", false },
	{ "Agents/Python ", NULL, "openai-agents", false },
	{ "google-genai-sdk/", NULL, "google-genai", false },
	{ "ollama-python/", NULL, "ollama", false },
	{ "ollama-js/", NULL, "ollama", false },
	{ "langchain", NULL, "langchain", false },
};

/* Distribution and module names in the order of telling: what is built on another comes before it. */
static const struct {
	const char *package;
	const char *name;
} frameworks[] = {
	{ "crewai", "crewai" },
	{ "autogen-agentchat", "autogen" },
	{ "autogen-core", "autogen" },
	{ "pyautogen", "autogen" },
	{ "ag2", "ag2" },
	{ "autogen", "autogen" },
	{ "openai-agents", "openai-agents" },
	{ "@openai/agents", "openai-agents" },
	{ "claude-agent-sdk", "claude-agent-sdk" },
	{ "@anthropic-ai/claude-agent-sdk", "claude-agent-sdk" },
	{ "smolagents", "smolagents" },
	{ "pydantic-ai", "pydantic-ai" },
	{ "pydantic-ai-slim", "pydantic-ai" },
	{ "agno", "agno" },
	{ "google-adk", "google-adk" },
	{ "strands-agents", "strands-agents" },
	{ "dspy", "dspy" },
	{ "dspy-ai", "dspy" },
	{ "semantic-kernel", "semantic-kernel" },
	{ "haystack-ai", "haystack" },
	{ "haystack", "haystack" },
	{ "llama-index", "llama-index" },
	{ "llama-index-core", "llama-index" },
	{ "@mastra/core", "mastra" },
	{ "mastra", "mastra" },
	{ "langgraph", "langgraph" },
	{ "@langchain/langgraph", "langgraph" },
	{ "langchain", "langchain" },
	{ "langchain-core", "langchain" },
	{ "@langchain/core", "langchain" },
	{ "ai", "ai" },
	{ "litellm", "litellm" },
	{ "openai", "openai" },
	{ "anthropic", "anthropic" },
	{ "@anthropic-ai/sdk", "anthropic" },
	{ "google-genai", "google-genai" },
	{ "@google/genai", "google-genai" },
	{ "ollama", "ollama" },
};
#define N_FRAMEWORKS (sizeof(frameworks) / sizeof(*frameworks))

/* Programs that are agents by their own name, wherever the name stands: executable, script or package. */
static const struct {
	const char *word;
	const char *name;
} programs[] = {
	{ "claude", "claude-code" }, { "codex", "codex" }, { "gemini", "gemini-cli" }, { "opencode", "opencode" },
	{ "qwen", "qwen-code" },     { "aider", "aider" }, { "goose", "goose" },       { "crush", "crush" },
};

/* What runs scripts; the program is its first argument that is no option. */
static const char *const interpreters[] = { "python", "node", "bun", "deno", "ruby", "tsx", "ts-node", "uv", "npx", "pypy",
					    "nodejs" };

static struct span version_at(struct span s)
{
	size_t n = 0;

	while (n < s.len && (s.p[n] == '.' || s.p[n] == '-' || (s.p[n] >= '0' && s.p[n] <= '9') ||
			     (s.p[n] >= 'a' && s.p[n] <= 'z')))
		n++;
	return n && s.p[0] >= '0' && s.p[0] <= '9' ? span_at(s.p, n) : SPAN_NONE;
}

void agent_headers(struct run *r, const struct exchange *ex)
{
	struct span agent = http_field(&ex->request, "user-agent");

	if (!agent.len || r->sdk || r->agent_name)
		return;
	for (size_t i = 0; i < sizeof(user_agents) / sizeof(*user_agents); i++) {
		struct span prefix = span_of(user_agents[i].prefix);
		if (!span_istarts(agent, prefix))
			continue;
		struct span rest = span_at(agent.p + prefix.len, agent.len - prefix.len);
		if (user_agents[i].language) {
			struct span blank = span_find(rest, SPAN(" "));
			rest = blank.p ? span_at(blank.p + 1, blank.len - 1) : SPAN_NONE;
		}
		struct span version = rest.p ? version_at(rest) : SPAN_NONE;
		if (user_agents[i].agent) {
			r->agent_name = mem_text(user_agents[i].agent);
			r->agent_version = span_dup(version);
		} else {
			r->sdk = mem_text(user_agents[i].sdk);
			r->sdk_version = span_dup(version);
		}
		return;
	}
}

static struct span base_name(struct span path)
{
	size_t i = path.len;

	while (i && path.p[i - 1] != '/')
		i--;
	return path.len ? span_at(path.p + i, path.len - i) : path;
}

static struct span without_suffix(struct span name)
{
	static const char *const suffixes[] = { ".py", ".js", ".mjs", ".cjs", ".ts", ".pyc", ".rb" };

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++)
		if (name.len > strlen(suffixes[i]) && span_ends(name, span_of(suffixes[i])))
			return span_at(name.p, name.len - strlen(suffixes[i]));
	return name;
}

static bool is_interpreter(struct span name)
{
	for (size_t i = 0; i < sizeof(interpreters) / sizeof(*interpreters); i++) {
		struct span word = span_of(interpreters[i]);
		if (span_starts(name, word) &&
		    (name.len == word.len || strspn(name.p + word.len, "0123456789.") == name.len - word.len))
			return true;
	}
	return false;
}

/* "main.py" in "billing/main.py" says little: then its directory does. */
static struct span telling_name(struct span path)
{
	static const char *const dull[] = { "__main__", "main", "index", "cli", "app", "run" };
	struct span name = without_suffix(base_name(path));
	size_t dir = path.len - base_name(path).len;

	for (size_t i = 0; i < sizeof(dull) / sizeof(*dull); i++)
		if (span_is(name, dull[i]) && dir > 1) {
			struct span above = base_name(span_at(path.p, dir - 1));
			if (above.len && !span_is(above, ".") && !span_is(above, ".."))
				return above;
		}
	return name;
}

/* The program in an interpreter's arguments: a script, -m a module; -c is text without a name. */
static struct span script_name(struct arena *arena, struct span argv)
{
	struct json_iter it = json_iter(argv);
	struct span key, value;
	bool first = true, module = false;

	while (json_next(&it, &key, &value)) {
		struct span text = json_text(arena, value);
		if (first) {
			first = false;
			continue;
		}
		if (module)
			return text;
		if (span_is(text, "-c") || span_is(text, "-e") || span_is(text, "-"))
			return SPAN_NONE;
		if (span_is(text, "-m"))
			module = true;
		else if (text.len && text.p[0] != '-')
			return telling_name(text);
	}
	return SPAN_NONE;
}

static struct span program_of(struct arena *arena, const struct proc *p)
{
	struct span exe = base_name(span_str(p->exe)), argv = span_str(p->argv);
	struct span zero = argv.p ? json_text(arena, json_at(argv, 0)) : SPAN_NONE;

	if (exe.len && is_interpreter(exe)) {
		struct span script = argv.p ? script_name(arena, argv) : SPAN_NONE;
		return script.len ? script : exe;
	}
	if (base_name(zero).len && !exe.len)
		exe = base_name(zero);
	if (!exe.len && p->comm[0])
		exe = span_of(p->comm);
	return without_suffix(exe);
}

static const char *known_program(struct span name, struct span argv)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		struct span word = span_of(programs[i].word);
		if (span_is(name, programs[i].word) ||
		    (span_starts(name, word) && name.len > word.len && name.p[word.len] == '-'))
			return programs[i].name;
	}
	if (span_find(argv, SPAN("@anthropic-ai/claude-code")).p)
		return "claude-code";
	if (span_find(argv, SPAN("@google/gemini-cli")).p)
		return "gemini-cli";
	if (span_find(argv, SPAN("@openai/codex")).p)
		return "codex";
	return NULL;
}

/* "Pydantic_AI" and "pydantic-ai" are one distribution name. */
static bool same_package(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		char x = *a == '_' ? '-' : *a, y = *b == '_' ? '-' : *b;
		x = x >= 'A' && x <= 'Z' ? (char)(x + 32) : x;
		if (x != y)
			return false;
	}
	return !*a && !*b;
}

static size_t rank_of(const char *package)
{
	size_t i = 0;

	while (i < N_FRAMEWORKS && !same_package(package, frameworks[i].package))
		i++;
	return i;
}

/* The most telling one of the process or those above it. */
static const struct framework *best_framework(const struct proc *p)
{
	const struct framework *best = NULL;
	size_t rank = N_FRAMEWORKS + 1;

	for (; p && !best; p = p->parent)
		for (const struct framework *f = p->frameworks; f; f = f->next)
			if (rank_of(f->name) < rank) {
				rank = rank_of(f->name);
				best = f;
			}
	return best;
}

static const struct framework *agent_fact(const struct proc *p)
{
	for (; p; p = p->parent)
		for (const struct framework *f = p->frameworks; f; f = f->next)
			if (f->kind && strcmp(f->kind, "agent") == 0)
				return f;
	return NULL;
}

static void put_framework(struct buf *b, const struct run *r, const struct framework *f)
{
	if (f) {
		size_t i = rank_of(f->name);
		json_put_member_text(b, "framework", span_of(i < N_FRAMEWORKS ? frameworks[i].name : f->name));
		json_put_member_text(b, "framework_version", span_str(f->version));
	} else if (r->sdk) {
		json_put_member_text(b, "framework", span_str(r->sdk));
		json_put_member_text(b, "framework_version", span_str(r->sdk_version));
	}
}

void agent_write(struct run *r, struct buf *b)
{
	const struct proc *p = proc_find(r->a, r->pid, r->proc_start_ns);
	const struct framework *fact = agent_fact(p);
	struct arena arena;

	if (!p)
		p = r->tree->root;
	arena_init(&arena);
	struct span name = program_of(&arena, p), version = SPAN_NONE;
	const char *known = known_program(name, span_str(p->argv));
	if (r->agent_name) {
		name = span_of(r->agent_name);
		version = span_str(r->agent_version);
	} else if (fact) {
		name = span_of(fact->name);
		version = span_str(fact->version);
	} else if (known) {
		name = span_of(known);
	}
	buf_add_char(b, '{');
	json_put_member_text(b, "name", name.len ? name : SPAN("unknown"));
	json_put_member_text(b, "version", version);
	put_framework(b, r, best_framework(p));
	buf_add_char(b, '}');
	arena_fini(&arena);
}
