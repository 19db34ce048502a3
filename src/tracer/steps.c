/* The function of each step type: its arguments into their slots. */
#include "tracer/tracer.h"

/* Options of any age: what the caller's header did not know stays absent. */
static int take_options(void *to, size_t size, const void *from)
{
	size_t given = from ? *(const size_t *)from : size;

	memset(to, 0, size);
	if (!from)
		return 0;
	if (given < sizeof(size_t) + sizeof(cf_step_options))
		return fail(CF_INVALID, "options", "size is not set");
	memcpy(to, from, given < size ? given : size);
	return 0;
}

static cf_value count_of(cf_value results, int64_t given)
{
	if (given >= 0)
		return cf_int(given);
	if (results.kind != CF_JSON || !json_valid(span_at(results.text, results.len)))
		return cf_make_value(CF_ABSENT);
	return cf_int((int64_t)json_count(span_trim(span_at(results.text, results.len))));
}

int cf_user_input(cf_run *run, const char *content, const cf_user_input_options *options, cf_id *id)
{
	cf_user_input_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[UI_CONTENT] = cf_text(content);
	v[UI_INPUT_TYPE] = o.input_type;
	return err ? err : record_values(run, STEP_USER_INPUT, v, &o.step, id);
}

int cf_llm_call(cf_run *run, const char *model, cf_value input, cf_value output, const cf_llm_call_options *options, cf_id *id)
{
	cf_llm_call_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[LLM_MODEL] = cf_text(model);
	v[LLM_INPUT] = input;
	v[LLM_OUTPUT] = output;
	v[LLM_TOKENS_IN] = o.tokens_in;
	v[LLM_TOKENS_OUT] = o.tokens_out;
	v[LLM_TOKENS_TOTAL] = o.tokens_total;
	v[LLM_LATENCY_MS] = o.latency_ms;
	v[LLM_COST] = o.cost_estimate;
	v[LLM_PROVIDER] = o.provider;
	return err ? err : record_values(run, STEP_LLM_CALL, v, &o.step, id);
}

int cf_tool_call(cf_run *run, const char *tool_name, cf_value arguments, cf_value result,
		 const cf_tool_call_options *options, cf_id *id)
{
	cf_tool_call_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[TOOL_NAME] = cf_text(tool_name);
	v[TOOL_ARGUMENTS] = arguments;
	v[TOOL_RESULT] = result;
	v[TOOL_LATENCY_MS] = o.latency_ms;
	v[TOOL_SUCCESS] = o.success;
	v[TOOL_ERROR] = o.error;
	v[TOOL_RESOURCE_IMPACT] = o.resource_impact;
	return err ? err : record_values(run, STEP_TOOL_CALL, v, &o.step, id);
}

int cf_retrieval(cf_run *run, const char *query, cf_value results, int64_t match_count,
		 const cf_retrieval_options *options, cf_id *id)
{
	cf_retrieval_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[RET_QUERY] = cf_text(query);
	v[RET_RESULTS] = results;
	v[RET_MATCH_COUNT] = count_of(results, match_count);
	v[RET_LATENCY_MS] = o.latency_ms;
	return err ? err : record_values(run, STEP_RETRIEVAL, v, &o.step, id);
}

int cf_memory_read(cf_run *run, cf_value query, cf_value results, int64_t match_count,
		   const cf_memory_read_options *options, cf_id *id)
{
	cf_memory_read_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[MR_QUERY] = query;
	v[MR_RESULTS] = results;
	v[MR_MATCH_COUNT] = count_of(results, match_count);
	v[MR_RELEVANCE_SCORES] = o.relevance_scores;
	v[MR_TOTAL_AVAILABLE] = o.total_available;
	return err ? err : record_values(run, STEP_MEMORY_READ, v, &o.step, id);
}

int cf_memory_write(cf_run *run, const char *entity_type, const char *operation, cf_value data,
		    const cf_memory_write_options *options, cf_id *id)
{
	cf_memory_write_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[MW_ENTITY_TYPE] = cf_text(entity_type);
	v[MW_OPERATION] = cf_text(operation);
	v[MW_DATA] = data;
	v[MW_ENTITY_ID] = o.entity_id;
	v[MW_NAMESPACE] = o.name_space;
	v[MW_KEY] = o.key;
	v[MW_CHANGES] = o.changes;
	v[MW_TRIGGERED_BY] = o.triggered_by_step_id;
	return err ? err : record_values(run, STEP_MEMORY_WRITE, v, &o.step, id);
}

int cf_state_change(cf_run *run, const char *state_key, cf_value new_value, const cf_state_change_options *options, cf_id *id)
{
	cf_state_change_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[SC_STATE_KEY] = cf_text(state_key);
	v[SC_NEW_VALUE] = new_value;
	v[SC_OLD_VALUE] = o.old_value;
	v[SC_REASON] = o.reason;
	return err ? err : record_values(run, STEP_STATE_CHANGE, v, &o.step, id);
}

int cf_interrupt(cf_run *run, const char *prompt, cf_value response, int64_t wait_duration_ms,
		 const cf_interrupt_options *options, cf_id *id)
{
	cf_interrupt_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[INT_PROMPT] = cf_text(prompt);
	v[INT_RESPONSE] = response;
	if (wait_duration_ms >= 0)
		v[INT_WAIT_MS] = cf_int(wait_duration_ms);
	return err ? err : record_values(run, STEP_INTERRUPT, v, &o.step, id);
}

int cf_final_output(cf_run *run, cf_value content, const cf_final_output_options *options, cf_id *id)
{
	cf_final_output_options o;
	cf_value v[STEP_MAX_FIELDS];
	int err = take_options(&o, sizeof(o), options);

	memset(v, 0, sizeof(v));
	v[FO_CONTENT] = content;
	v[FO_FORMAT] = o.format;
	return err ? err : record_values(run, STEP_FINAL_OUTPUT, v, &o.step, id);
}
