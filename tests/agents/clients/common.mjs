// What the Node agents share; the same environment as common.py. The CA comes by NODE_EXTRA_CA_CERTS.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const env = process.env;
export const BASE = env.CF_TEST_BASE;
export const MODEL = env.CF_TEST_MODEL;
export const SYSTEM = env.CF_TEST_SYSTEM;
export const PROMPTS = [env.CF_TEST_PROMPT, env.CF_TEST_FOLLOWUP].filter(Boolean);
export const KEY = env.CF_TEST_KEY || 'sk-test-0123456789abcdef0123456789abcdef';
export const MAX_TURNS = 12;

export async function wait() {
  const end = Date.now() + 120e3;
  while (env.CF_TEST_WAIT && !existsSync(env.CF_TEST_WAIT)) {
    if (Date.now() > end) throw new Error('never released');
    await new Promise((done) => setTimeout(done, 20));
  }
}

export const TOOLS = {
  write_note({ name, text }) {
    writeFileSync(path.join(env.CF_TEST_DIR, path.basename(name)), text);
    return `wrote ${[...text].length} characters to ${name}`;
  },
  shell_echo({ word, times }) {
    return execFileSync('/bin/sh', ['-c', 'echo "$0 x $1"', word, String(times)], { timeout: 20000 }).toString().trim();
  },
};

export const SCHEMAS = {
  write_note: {
    type: 'object', properties: { name: { type: 'string' }, text: { type: 'string' } }, required: ['name', 'text'],
  },
  shell_echo: {
    type: 'object', properties: { word: { type: 'string' }, times: { type: 'integer' } }, required: ['word', 'times'],
  },
};

export function finish(text) {
  console.log('FINAL ' + JSON.stringify(text));
}
