// anthropic SDK for Node: sync | stream.
import Anthropic from '@anthropic-ai/sdk';
import { BASE, KEY, MAX_TURNS, MODEL, PROMPTS, SCHEMAS, SYSTEM, TOOLS, finish, wait } from './common.mjs';

const tools = Object.entries(SCHEMAS).map(([name, input_schema]) => ({ name, input_schema }));
const client = new Anthropic({ baseURL: BASE, apiKey: KEY });

async function ask(messages) {
  const body = { model: MODEL, max_tokens: 2000, system: SYSTEM, messages, tools };
  return process.argv[2] === 'stream' ? client.messages.stream(body).finalMessage() : client.messages.create(body);
}

await wait();
const messages = [];
for (const prompt of PROMPTS) {
  messages.push({ role: 'user', content: prompt });
  for (let i = 0; i < MAX_TURNS; i++) {
    const message = await ask(messages);
    messages.push({ role: 'assistant', content: message.content });
    const uses = message.content.filter((b) => b.type === 'tool_use');
    if (!uses.length) { finish(message.content.map((b) => b.text || '').join('')); break; }
    messages.push({
      role: 'user',
      content: uses.map((b) => ({ type: 'tool_result', tool_use_id: b.id, content: TOOLS[b.name](b.input) })),
    });
  }
}
