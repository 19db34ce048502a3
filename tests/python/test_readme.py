"""The programs of README.md's "From Python", as they stand there."""
import os
import textwrap
import unittest

from support import TOP, Case, has, model_server, run_program, steps, types


def programs():
    """The indented blocks of the section."""
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as f:
        section = f.read().split("\n## From Python\n", 1)[1].split("\n## ", 1)[0]
    blocks, block = [], []
    for line in section.splitlines() + ["end"]:
        if line.startswith("    ") or (block and not line):
            block.append(line)
        elif block:
            blocks.append(textwrap.dedent("\n".join(block)))
            block = []
    return blocks


class Readme(Case):
    def run_block(self, word):
        (text,) = [b for b in programs() if word in b]
        with model_server([{"text": "hello"}]) as (base, _):
            run_program(text, self.dir, OPENAI_API_KEY="none", OPENAI_BASE_URL=base)
        (trace,) = self.judge("traces")
        return trace

    def test_tracer(self):
        trace = self.run_block("Tracer.run(")
        self.assertEqual(types(trace), ["user_input", "llm_call", "tool_call", "final_output"])
        self.assertEqual(steps(trace, "tool_call")[0]["result"], {"celsius": -3.5})

    @unittest.skipUnless(has("langchain_openai"), "langchain is not installed")
    def test_one_line(self):
        self.assertEqual(steps(self.run_block("LangChainInstrumentor"), "llm_call")[0]["output"], "hello")

    @unittest.skipUnless(has("langchain_openai"), "langchain is not installed")
    def test_handler(self):
        self.assertEqual(steps(self.run_block("ContextForgeHandler"), "llm_call")[0]["output"], "hello")

    def test_nothing_else_is_there(self):
        self.assertEqual(len(programs()), 3)
