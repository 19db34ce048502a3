/* The text protocol of agents without native tool calls, on texts as CrewAI and LangChain write them. */
#include "assemble_world.h"
#include "trace/react.h"

static struct world w;

static void setup(void)
{
	w = (struct world){ 0 };
	world_init(&w);
}

static void teardown(void)
{
	world_fini(&w);
}

#define STEP(i, path) world_at(&w, world_step(&w, 0, i), path)

static const struct {
	const char *text, *name, *input; /* name NULL: asks for nothing */
} answers[] = {
	{ "Thought: I need the weather\nAction: get_weather\nAction Input: {\"city\": \"Oslo\"}", "get_weather", "{\"city\": \"Oslo\"}" },
	{ "Thought: hm\n\nAction: Search the web\nAction Input: llamas\n", "Search the web", "llamas" },
	{ "**Action:** `search`\n**Action Input:** x", "search", "x" },
	{ "Action: [search]\nAction Input: ```json\n{\"q\": 1}\n```", "search", "{\"q\": 1}" },
	{ "Action: a\nAction Input: {}\nObservation: dreamt up\nThought: done\nFinal Answer: 3", "a", "{}" },
	{ "Thought: I now can give a great answer\nFinal Answer: 42", NULL, NULL },
	{ "Action: a\nAction Input: {}\nFinal Answer: both at once", NULL, NULL },
	{ "The word Action: stands in the middle of this sentence.", NULL, NULL },
	{ "Action: only half", NULL, NULL },
	{ "", NULL, NULL },
};

START_TEST(answers_that_ask)
{
	struct react_action a;
	bool asks = react_parse(span_of(answers[_i].text), &a);

	ck_assert_int_eq(asks, answers[_i].name != NULL);
	if (!asks)
		return;
	ck_assert_msg(span_is(a.name, answers[_i].name), "%.*s", SPAN_FMT(a.name));
	ck_assert_msg(span_is(a.input, answers[_i].input), "%.*s", SPAN_FMT(a.input));
}
END_TEST

#define CREW SYS("You are Researcher. You ONLY have access to the following tools...\nAction: the action to take, only one name " \
		 "of [get_weather]\nAction Input: the input to the action\nObservation: the result of the action"),         \
	     USER("\nCurrent Task: What is the weather in Oslo?\n\nBegin!")
#define THOUGHT "Thought: I need it\nAction: get_weather\nAction Input: {\"city\": \"Oslo\"}"

/* CrewAI puts the observation behind its own answer. */
START_TEST(crewai)
{
	TALK(&w, .at = 1000, .in = { CREW }, .out = ASST(THOUGHT));
	TALK(&w, .at = 1300, .in = { CREW, ASST(THOUGHT "\nObservation: 3 C,\nrain") },
	     .out = ASST("Thought: I now know\nFinal Answer: rain"));
	world_finish(&w, 2000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) llm_call final_output(s4)");
	ck_assert_str_eq(STEP(2, "tool_name"), "\"get_weather\"");
	ck_assert_str_eq(STEP(2, "arguments"), "{\"city\": \"Oslo\"}");
	ck_assert_str_eq(STEP(2, "result"), "\"3 C,\\nrain\"");
	ck_assert_str_eq(STEP(2, "success"), "true");
	ck_assert_str_eq(STEP(2, "latency_ms"), "200");
	ck_assert_str_eq(STEP(2, "metadata.protocol"), "\"text\"");
}
END_TEST

/* Others send it as the user's next message. */
START_TEST(observation_as_a_message)
{
	TALK(&w, .at = 1000, .in = { CREW }, .out = ASST(THOUGHT));
	TALK(&w, .at = 1300, .in = { CREW, ASST(THOUGHT), USER("Observation: 3 C") }, .out = ASST("Final Answer: rain"));
	world_finish(&w, 2000, "agent exited");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call tool_call(s2) llm_call final_output(s4)");
	ck_assert_str_eq(STEP(2, "result"), "\"3 C\"");
}
END_TEST

#define PROMPT "Answer the following questions as best you can.\nAction: the action to take, should be one of [search]\n" \
	       "Action Input: the input\nObservation: the result\n\nBegin!\n\nQuestion: how old is it?\nThought:"

/* LangChain's prompt is one message that grows. */
START_TEST(a_prompt_that_grows)
{
	const char *first = " I search\nAction: search\nAction Input: age";
	const char *again = " once more\nAction: search\nAction Input: age today";

	TALK(&w, .at = 1000, .in = { USER(PROMPT) }, .out = ASST(first));
	TALK(&w, .at = 1300, .in = { USER(PROMPT " I search\nAction: search\nAction Input: age\nObservation: unknown\nThought:") },
	     .out = ASST(again));
	TALK(&w, .at = 1600, .in = { USER(PROMPT " I search\nAction: search\nAction Input: age\nObservation: unknown\nThought:"
					  " once more\nAction: search\nAction Input: age today\nObservation: 7 years\nThought: ") },
	     .out = ASST(" I know\nFinal Answer: 7"));
	world_finish(&w, 2000, "agent exited");
	ck_assert_uint_eq(w.n_runs, 1);
	ck_assert_str_eq(world_shape(&w, 0),
			 "user_input llm_call tool_call(s2) llm_call tool_call(s4) llm_call final_output(s6)");
	ck_assert_str_eq(STEP(2, "arguments"), "{\"value\":\"age\"}");
	ck_assert_str_eq(STEP(2, "result"), "\"unknown\"");
	ck_assert_str_eq(STEP(4, "result"), "\"7 years\"");
}
END_TEST

/* Where native tools are offered, text is only text. */
START_TEST(native_tools_come_first)
{
	TALK(&w, .at = 1000, .in = { CREW }, .out = ASST(THOUGHT), .tool = "get_weather");
	world_finish(&w, 2000, "agent exited");
	ck_assert_str_eq(world_shape(&w, 0), "user_input llm_call final_output(s2)");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("react");
	TCase *t = tcase_create("react");
	SRunner *r = srunner_create(s);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, answers_that_ask, 0, (int)(sizeof(answers) / sizeof(*answers)));
	tcase_add_test(t, crewai);
	tcase_add_test(t, observation_as_a_message);
	tcase_add_test(t, a_prompt_that_grows);
	tcase_add_test(t, native_tools_come_first);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
