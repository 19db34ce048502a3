#include "dialect/openai.h"

const char *const openai_params[] = {
	"temperature",
	"top_p",
	"max_tokens",
	"max_completion_tokens",
	"max_output_tokens",
	"max_tool_calls",
	"n",
	"stop",
	"seed",
	"frequency_penalty",
	"presence_penalty",
	"reasoning_effort",
	"reasoning",
	"verbosity",
	"tool_choice",
	"parallel_tool_calls",
	"response_format",
	"text",
	"modalities",
	"service_tier",
	"store",
	"background",
	"truncation",
	"prompt_cache_key",
	"safety_identifier",
	"user",
	"metadata",
	"include",
	"stream_options",
	"dimensions",
	"encoding_format",
	"context_management",
	"top_k",
	"thinking",
	"options",
	"keep_alive",
	NULL,
};

void openai_usage(struct call *c, struct span usage)
{
	struct span prompt, completion, input, output, total, in_more, out_more, in_more2,
		out_more2, hit, cached, cost, ticks;
	double d;

	if (json_type_of(usage) != JSON_OBJECT)
		return;
	PICK(usage, { "prompt_tokens", &prompt }, { "completion_tokens", &completion },
	     { "input_tokens", &input }, { "output_tokens", &output }, { "total_tokens", &total },
	     { "prompt_tokens_details", &in_more }, { "completion_tokens_details", &out_more },
	     { "input_tokens_details", &in_more2 }, { "output_tokens_details", &out_more2 },
	     { "prompt_cache_hit_tokens", &hit }, { "cached_tokens", &cached }, { "cost", &cost },
	     { "cost_in_usd_ticks", &ticks });
	c->usage = usage;
	in_more = in_more.p ? in_more : in_more2;
	out_more = out_more.p ? out_more : out_more2;
	read_count_into(prompt.p ? prompt : input, &c->tokens_in);
	read_count_into(completion.p ? completion : output, &c->tokens_out);
	read_count_into(total, &c->tokens_total);
	read_count_into(hit, &c->tokens_cached);    /* DeepSeek */
	read_count_into(cached, &c->tokens_cached); /* Moonshot */
	read_count_into(json_get(in_more, "cached_tokens"), &c->tokens_cached);
	read_count_into(json_get(in_more, "cache_write_tokens"), &c->tokens_cache_write);
	read_count_into(json_get(out_more, "reasoning_tokens"), &c->tokens_reasoning);
	if (json_double(cost, &d) && d >= 0) /* OpenRouter: credits are USD */
		c->cost = d;
	else if (json_double(ticks, &d) && d >= 0) /* xAI: 1e10 to the USD */
		c->cost = d / 1e10;
}

void openai_tools(struct call *c, struct span tools)
{
	struct json_iter it = json_iter(tools);
	struct span tool, function, custom, name, type;

	if (it.object)
		return;
	while (json_next(&it, NULL, &tool)) {
		PICK(tool, { "function", &function }, { "custom", &custom }, { "name", &name },
		     { "type", &type });
		if (function.p)
			name = json_get(function, "name");
		else if (custom.p)
			name = json_get(custom, "name");
		call_add_tool(c, read_text(c, name.p ? name : type));
	}
}

/* Which contract part each kind of content becomes. */
static const struct {
	const char *type;
	const char *member; /* its text */
	const char *media;
} kinds[] = {
	{ "text", "text", NULL },	   { "input_text", "text", NULL },
	{ "output_text", "text", NULL },   { "summary_text", "text", NULL },
	{ "refusal", "refusal", NULL },	   { "image_url", NULL, "image" },
	{ "input_image", NULL, "image" },  { "computer_screenshot", NULL, "image" },
	{ "input_audio", NULL, "audio" },  { "audio_url", NULL, "audio" },
	{ "output_audio", NULL, "audio" }, { "file", NULL, "file" },
	{ "input_file", NULL, "file" },
};

/* Mistral: {"type":"thinking","thinking":[{"type":"text","text":...}]} */
static void thinking_part(struct draft *d, struct span thinking)
{
	struct json_iter it = json_iter(thinking);
	struct span one;

	draft_reasoning(d, thinking);
	while (!it.object && json_next(&it, NULL, &one))
		draft_reasoning(d, json_get(one, "text"));
}

void openai_part(struct draft *d, struct span part)
{
	struct span type;

	if (json_type_of(part) == JSON_STRING) {
		draft_text(d, part);
		return;
	}
	type = json_get(part, "type");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!json_is(type, kinds[i].type))
			continue;
		if (kinds[i].media)
			draft_media(d, kinds[i].media, part);
		else
			draft_text(d, json_get(part, kinds[i].member));
		return;
	}
	if (json_is(type, "thinking"))
		thinking_part(d, json_get(part, "thinking"));
	else if (json_is(type, "reasoning_text"))
		draft_reasoning(d, json_get(part, "text"));
	else
		draft_other(d, part);
}

void openai_content(struct draft *d, struct span content)
{
	struct json_iter it = json_iter(content);
	struct span part;

	draft_text(d, content);
	if (it.object)
		draft_other(d, content);
	while (!it.object && json_next(&it, NULL, &part))
		openai_part(d, part);
}

struct span openai_result(struct call *c, struct span content)
{
	struct draft d;

	if (json_type_of(content) != JSON_ARRAY)
		return content;
	draft_init(&d, c, ROLE_TOOL);
	openai_content(&d, content);
	return draft_content(&d);
}
