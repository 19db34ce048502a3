#include "dialect/provider.h"

/* Suffixes of host names; the first that fits counts. */
static const struct {
	const char *host;
	const char *provider;
} hosts[] = {
	{ "api.openai.com", "openai" },
	{ "chatgpt.com", "openai" },
	{ "openai.azure.com", "azure" },
	{ "cognitiveservices.azure.com", "azure" },
	{ "services.ai.azure.com", "azure" },
	{ "models.ai.azure.com", "azure" },
	{ "api.anthropic.com", "anthropic" },
	{ "openrouter.ai", "openrouter" },
	{ "api.groq.com", "groq" },
	{ "api.together.xyz", "together" },
	{ "api.together.ai", "together" },
	{ "api.mistral.ai", "mistral" },
	{ "codestral.mistral.ai", "mistral" },
	{ "api.deepseek.com", "deepseek" },
	{ "api.x.ai", "xai" },
	{ "api.fireworks.ai", "fireworks" },
	{ "api.cerebras.ai", "cerebras" },
	{ "api.perplexity.ai", "perplexity" },
	{ "api.moonshot.ai", "moonshot" },
	{ "api.moonshot.cn", "moonshot" },
	{ "api.cohere.com", "cohere" },
	{ "api.cohere.ai", "cohere" },
	{ "api.voyageai.com", "voyage" },
	{ "api.jina.ai", "jina" },
	{ "api.deepinfra.com", "deepinfra" },
	{ "router.huggingface.co", "huggingface" },
	{ "api-inference.huggingface.co", "huggingface" },
	{ "integrate.api.nvidia.com", "nvidia" },
	{ "models.github.ai", "github" },
	{ "models.inference.ai.azure.com", "github" },
	{ "githubcopilot.com", "github_copilot" },
	{ "dashscope.aliyuncs.com", "alibaba" },
	{ "dashscope-intl.aliyuncs.com", "alibaba" },
	{ "open.bigmodel.cn", "zhipu" },
	{ "api.z.ai", "zhipu" },
	{ "api.minimax.io", "minimax" },
	{ "generativelanguage.googleapis.com", "google" },
	{ "cloudcode-pa.googleapis.com", "google" },
	{ "aiplatform.googleapis.com", "vertex" },
	{ "rep.googleapis.com", "vertex" },
	{ "ollama.com", "ollama" },
};

/* Headers of the answer that only one kind of server sends; value NULL: any. */
static const struct {
	const char *name;
	const char *value; /* its beginning */
	const char *provider;
} headers[] = {
	{ "server", "llama.cpp", "llama.cpp" },
	{ "x-litellm-version", NULL, "litellm" },
	{ "x-litellm-model-id", NULL, "litellm" },
	{ "x-ms-region", NULL, "azure" },
	{ "apim-request-id", NULL, "azure" },
	{ "openai-processing-ms", NULL, "openai" },
	{ "anthropic-organization-id", NULL, "anthropic" },
	{ "x-amzn-bedrock-invocation-latency", NULL, "bedrock" },
};

static struct span host_of(struct span authority)
{
	struct span colon = span_find(authority, SPAN(":"));

	if (authority.len && authority.p[0] == '[')
		return authority;
	return colon.p ? span_at(authority.p, authority.len - colon.len) : authority;
}

static bool host_fits(struct span host, struct span suffix)
{
	if (host.len < suffix.len ||
	    !span_ieq(span_at(host.p + host.len - suffix.len, suffix.len), suffix))
		return false;
	/* "aiplatform.googleapis.com" has regions in front, with a dash */
	char before = host.len > suffix.len ? host.p[host.len - suffix.len - 1] : '.';
	return before == '.' || before == '-';
}

struct span provider_of(const struct exchange *ex)
{
	struct span host = host_of(ex->authority), value;

	if (!host.p)
		host = host_of(http_field(&ex->request, "host"));
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++)
		if (host_fits(host, span_of(hosts[i].host)))
			return span_of(hosts[i].provider);
	if (span_istarts(host, SPAN("bedrock-")) && span_find(host, SPAN(".amazonaws.com")).p)
		return SPAN("bedrock");
	if (span_istarts(host, SPAN("bedrock-mantle.")))
		return SPAN("bedrock");
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		value = http_field(&ex->response, headers[i].name);
		if (value.p &&
		    (!headers[i].value || span_istarts(value, span_of(headers[i].value))))
			return span_of(headers[i].provider);
	}
	return SPAN_NONE;
}
