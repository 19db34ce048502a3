/* The quick start of the tracer, as a new user writes it: four steps, in order. */
#include <contextforge/tracer.h>

#include <stdio.h>

int main(void)
{
	cf_run_options options = { .size = sizeof(options) };
	cf_id call;

	options.agent_name = "quickstart";
	options.output_path = "traces";
	cf_run *run = cf_run_open(&options);
	if (!run) {
		fprintf(stderr, "%s\n", cf_error());
		return 1;
	}
	cf_user_input(run, "What is the weather in Oslo?", NULL, NULL);
	cf_llm_call(run, "gpt-4o", cf_text("What is the weather in Oslo?"),
		    cf_text("I will look it up."),
		    CF_WITH(cf_llm_call_options, .tokens_in = cf_int(12), .tokens_out = cf_int(7)),
		    &call);
	cf_tool_call(run, "weather", cf_json("{\"city\": \"Oslo\"}"),
		     cf_json("{\"celsius\": -3.5}"),
		     CF_WITH(cf_tool_call_options, .step.parent_step_id = call.text,
			     .success = cf_bool(true)),
		     NULL);
	cf_final_output(run, cf_text("It is -3.5 degrees in Oslo."), NULL, NULL);
	printf("%s\n", cf_run_path(run));
	if (cf_run_close(run)) {
		fprintf(stderr, "%s\n", cf_error());
		return 1;
	}
	return 0;
}
