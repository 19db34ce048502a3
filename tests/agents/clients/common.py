"""What every Python agent shares: where to talk to, when to begin, and two tools that really do something.

Environment: CF_TEST_BASE (https://localhost:PORT), CF_TEST_CA, CF_TEST_MODEL, CF_TEST_SYSTEM, CF_TEST_PROMPT,
CF_TEST_FOLLOWUP, CF_TEST_DIR (where tools write), CF_TEST_WAIT (path: begin when it exists).
"""
import json
import os
import subprocess
import time

BASE = os.environ["CF_TEST_BASE"]
CA = os.environ["CF_TEST_CA"]
MODEL = os.environ["CF_TEST_MODEL"]
SYSTEM = os.environ["CF_TEST_SYSTEM"]
PROMPT = os.environ["CF_TEST_PROMPT"]
FOLLOWUP = os.environ.get("CF_TEST_FOLLOWUP", "")
WORK = os.environ["CF_TEST_DIR"]
KEY = os.environ.get("CF_TEST_KEY", "sk-test-0123456789abcdef0123456789abcdef")


def wait():
    """Holds the program until CF_TEST_WAIT exists, so that an observer can attach first."""
    path = os.environ.get("CF_TEST_WAIT")
    end = time.monotonic() + 120
    while path and not os.path.exists(path):
        if time.monotonic() > end:
            raise SystemExit("never released")
        time.sleep(0.02)


def write_note(name, text):
    """Write a note into a file."""
    with open(os.path.join(WORK, os.path.basename(name)), "w", encoding="utf-8") as f:
        f.write(text)
    return "wrote %d characters to %s" % (len(text), name)


def shell_echo(word, times):
    """Echo a word through the shell."""
    out = subprocess.run(["/bin/sh", "-c", 'echo "$0 x $1"', word, str(times)], stdout=subprocess.PIPE,
                         check=True, timeout=20)
    return out.stdout.decode().strip()


FUNCTIONS = {"write_note": write_note, "shell_echo": shell_echo}


def run_tool(name, arguments):
    """Extra arguments (numbers to carry exactly) are accepted and ignored."""
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    wanted = {"write_note": ("name", "text"), "shell_echo": ("word", "times")}[name]
    return FUNCTIONS[name](**{k: arguments[k] for k in wanted})


SCHEMAS = {
    "write_note": {"type": "object", "properties": {"name": {"type": "string"}, "text": {"type": "string"}},
                   "required": ["name", "text"]},
    "shell_echo": {"type": "object", "properties": {"word": {"type": "string"}, "times": {"type": "integer"}},
                   "required": ["word", "times"]},
}
CHAT_TOOLS = [{"type": "function", "function": {"name": n, "description": FUNCTIONS[n].__doc__, "parameters": s}}
              for n, s in SCHEMAS.items()]
RESPONSES_TOOLS = [{"type": "function", "name": n, "description": FUNCTIONS[n].__doc__, "parameters": s,
                    "strict": False} for n, s in SCHEMAS.items()]
ANTHROPIC_TOOLS = [{"name": n, "description": FUNCTIONS[n].__doc__, "input_schema": s} for n, s in SCHEMAS.items()]

# No scenario is longer than this: an agent that loops must not run for ever.
MAX_TURNS = 12


def attempts():
    """Prompts that are asked one after the other by the agents that provoke errors."""
    return json.loads(os.environ.get("CF_TEST_PROMPTS", "[]"))


def finish(text):
    print("FINAL " + json.dumps(text, ensure_ascii=True), flush=True)
