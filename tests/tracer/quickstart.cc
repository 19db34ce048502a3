// The same in C++, with a step that measures itself and holds another.
#include <contextforge/tracer.h>

#include <cstdio>

int main()
{
	cf_run_options options = {};
	options.size = sizeof(options);
	options.agent_name = "quickstart";
	options.output_path = "traces";
	cf_run *run = cf_run_open(&options);
	if (!run) {
		std::fprintf(stderr, "%s\n", cf_error());
		return 1;
	}
	cf_user_input(run, "What is the weather in Oslo?", nullptr, nullptr);
	cf_span *span = cf_begin(run, CF_LLM_CALL, "gpt-4o", nullptr);
	cf_tool_call_options tool = {};
	tool.size = sizeof(tool);
	tool.success = cf_bool(true);
	cf_tool_call(run, "weather", cf_json("{\"city\": \"Oslo\"}"), cf_json("{\"celsius\": -3.5}"), &tool, nullptr);
	cf_llm_call_options call = {};
	call.size = sizeof(call);
	call.step.span = span;
	call.tokens_in = cf_int(12);
	call.tokens_out = cf_int(7);
	cf_llm_call(run, nullptr, cf_text("What is the weather in Oslo?"), cf_text("I looked it up."), &call, nullptr);
	cf_final_output(run, cf_text("It is -3.5 degrees in Oslo."), nullptr, nullptr);
	std::printf("%s\n", cf_run_path(run));
	if (cf_run_close(run)) {
		std::fprintf(stderr, "%s\n", cf_error());
		return 1;
	}
	return 0;
}
