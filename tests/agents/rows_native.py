"""The table of agents that are native programs: fetched by tests/locate/fetch.sh, or built from clients/ (agents.mk)."""
from rows import CLAUDE, Row, conversation, reasoned, with_retry


def native(name, command, turns, model="gpt-4o", **env):
    return Row(name, command, turns, model, native=True, **env)


def shell(c, tool, argument, **every):
    """Two commands one after the other, then the answer; `tool` runs a shell command."""
    def call():
        arguments = {argument: "echo %s" % c.token("word-")}
        return [{"name": tool, "arguments": dict(arguments, description=c.token("why ")) if argument == "command" else arguments}]
    return [dict(every, text=c.text("first"), tool_calls=call()), dict(every, tool_calls=call()),
            dict(every, text=c.text("answer", 12))]


def program(name, cli, part, turns, model="gpt-4o", **env):
    return native(name, [part], turns, model, cli=cli, **env)


NODE_SYNC, NODE_STREAM = ["node_openai.mjs", "sync"], ["node_openai.mjs", "stream"]
DENO = ["run", "--no-lock", "--node-modules-dir=manual", "-A"]

NATIVE_ROWS = [
    native("go-plain", ["go-plain", "whole"], lambda c: conversation(c, encoding="gzip")),
    native("go-stripped", ["go-stripped", "stream"], lambda c: conversation(c, pieces=9)),
    native("go-pie", ["go-pie", "stream"], lambda c: conversation(c, encoding="gzip", pieces=9)),
    native("rust-ureq", ["rust-ureq"], lambda c: conversation(c)),
    native("rust-symbols", ["rust-symbols"], lambda c: conversation(c)),
    native("bun-1.0.36", ["bun-1.0.36"] + NODE_SYNC, lambda c: conversation(c, encoding="gzip")),
    native("bun-1.2.23", ["bun-1.2.23"] + NODE_STREAM, lambda c: conversation(c, pieces=9)),
    native("bun-1.4.5", ["bun-1.4.5"] + NODE_SYNC, lambda c: with_retry(conversation(c, encoding="br"), c)),
    native("bun-stream", ["bun-1.4.5"] + NODE_STREAM, lambda c: conversation(c, encoding="gzip", pieces=9)),
    native("bun-anthropic", ["bun-1.4.5", "node_anthropic.mjs", "stream"],
           lambda c: reasoned(conversation(c, pieces=9), c), CLAUDE),
    native("deno-2.5.6", ["deno-2.5.6"] + DENO + NODE_SYNC, lambda c: conversation(c, encoding="gzip")),
    native("deno-stream", ["deno-2.9.6"] + DENO + NODE_STREAM, lambda c: conversation(c, pieces=9)),
    native("node22-static", ["node-22.23.3"] + NODE_SYNC, lambda c: with_retry(conversation(c, encoding="gzip"), c)),
    native("node24-static", ["node-24.21.0"] + NODE_STREAM, lambda c: conversation(c, pieces=9)),
    program("claude-2.1.159", "claude", "claude-2.1.159", lambda c: shell(c, "Bash", "command"), CLAUDE),
    program("claude-2.1.330", "claude", "claude-2.1.330", lambda c: shell(c, "Bash", "command", encoding="gzip"), CLAUDE),
    program("codex-0.99.0", "codex", "codex-0.99.0", lambda c: shell(c, "exec_command", "cmd"), "gpt-5-codex"),
    program("codex-0.142.0", "codex", "codex-0.142.0", lambda c: shell(c, "exec_command", "cmd"), "gpt-5-codex"),
    program("codex-0.169.0", "codex", "codex-0.169.0", lambda c: shell(c, "exec_command", "cmd"), "gpt-5-codex"),
    program("opencode-1.18.34", "opencode", "opencode-1.18.34", lambda c: shell(c, "bash", "command")),
]
