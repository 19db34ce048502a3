// A LangChain.js agent (LangGraph's prebuilt loop) with tools over ChatOpenAI.
import { HumanMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { createReactAgent } from '@langchain/langgraph/prebuilt';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
import { BASE, KEY, MODEL, PROMPTS, SYSTEM, TOOLS, finish, wait } from './common.mjs';

const shapes = {
  write_note: z.object({ name: z.string(), text: z.string() }),
  shell_echo: z.object({ word: z.string(), times: z.number() }),
};
const tools = Object.entries(TOOLS).map(([name, run]) => tool(async (args) => run(args), {
  name, description: `does ${name}`, schema: shapes[name],
}));
const llm = new ChatOpenAI({ model: MODEL, apiKey: KEY, configuration: { baseURL: BASE + '/v1' } });
const agent = createReactAgent({ llm, tools, prompt: SYSTEM });

await wait();
let messages = [];
for (const prompt of PROMPTS) {
  messages = (await agent.invoke({ messages: [...messages, new HumanMessage(prompt)] })).messages;
  finish(messages.at(-1).content);
}
