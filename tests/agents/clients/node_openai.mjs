// openai SDK for Node, chat completions: sync | stream.
import OpenAI from 'openai';
import { BASE, KEY, MAX_TURNS, MODEL, PROMPTS, SCHEMAS, SYSTEM, TOOLS, finish, wait } from './common.mjs';

const tools = Object.entries(SCHEMAS).map(([name, parameters]) => ({ type: 'function', function: { name, parameters } }));
const client = new OpenAI({ baseURL: BASE + '/v1', apiKey: KEY });

async function ask(messages) {
  if (process.argv[2] === 'stream') {
    return (await client.chat.completions.stream({
      model: MODEL, messages, tools, stream_options: { include_usage: true },
    }).finalChatCompletion()).choices[0].message;
  }
  return (await client.chat.completions.create({ model: MODEL, messages, tools })).choices[0].message;
}

await wait();
const messages = [{ role: 'system', content: SYSTEM }];
for (const prompt of PROMPTS) {
  messages.push({ role: 'user', content: prompt });
  for (let i = 0; i < MAX_TURNS; i++) {
    const { parsed, ...message } = await ask(messages);
    messages.push(message);
    if (!message.tool_calls?.length) { finish(message.content); break; }
    for (const call of message.tool_calls) {
      const content = TOOLS[call.function.name](JSON.parse(call.function.arguments));
      messages.push({ role: 'tool', tool_call_id: call.id, content });
    }
  }
}
