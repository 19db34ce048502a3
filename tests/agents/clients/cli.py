"""Agents that are finished programs: their arguments and configuration, in a private HOME, offline.

    cli.py NAME PROGRAM     starts PROGRAM in this process; it gets its prompt from its standard input once CF_TEST_WAIT
                            exists, so that an observer can attach to the very program before it begins.
"""
import json
import os
import sys
import time


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def claude(env, prompt):
    return ["-p"] + prompt + ["--model", env["CF_TEST_MODEL"], "--allowedTools", "Bash"], {
        "ANTHROPIC_BASE_URL": env["CF_TEST_BASE"], "ANTHROPIC_API_KEY": env["CF_TEST_KEY"], "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def codex(env, prompt):
    write(os.path.join(env["HOME"], ".codex/config.toml"), """model = "%s"
model_provider = "local"
[model_providers.local]
name = "local"
base_url = "%s/v1"
env_key = "CF_TEST_KEY"
wire_api = "responses"
""" % (env["CF_TEST_MODEL"], env["CF_TEST_BASE"]))
    return ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"] + (prompt or ["-"]), {
        "CODEX_CA_CERTIFICATE": env["CF_TEST_CA"]}


def opencode(env, prompt):
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "local", "models": {env["CF_TEST_MODEL"]: {"name": "test"}},
                "options": {"baseURL": env["CF_TEST_BASE"] + "/v1", "apiKey": env["CF_TEST_KEY"]}}
    path = write(os.path.join(env["HOME"], "opencode.json"), json.dumps({
        "autoupdate": False, "share": "disabled", "model": "local/" + env["CF_TEST_MODEL"], "provider": {"local": provider}}))
    return ["run", "--pure", "--title", "test"] + prompt, {
        "OPENCODE_CONFIG": path, "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"}


AGENTS = {"claude": claude, "codex": codex, "opencode": opencode}


def prepare(name, program, env, held):
    """(arguments, what to add to the environment)."""
    if held:
        return [sys.executable, os.path.abspath(__file__), name, program], {}
    arguments, more = AGENTS[name](env, [env["CF_TEST_PROMPT"]])
    return [program] + arguments, more


def feed(to):
    end = time.monotonic() + 120
    while not os.path.exists(os.environ["CF_TEST_WAIT"]):
        if time.monotonic() > end:
            raise SystemExit("never released")
        time.sleep(0.02)
    os.write(to, os.environ["CF_TEST_PROMPT"].encode())


def main():
    name, program = sys.argv[1:]
    arguments, more = AGENTS[name](os.environ, [])
    taken, given = os.pipe()
    child = os.fork()
    if child == 0:  # its own child is nobody's: what feeds the agent is no part of it
        if os.fork() == 0:
            os.close(taken)
            feed(given)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(given)
    os.dup2(taken, 0)
    os.close(taken)
    os.execve(program, [program] + arguments, dict(os.environ, **more))


if __name__ == "__main__":
    main()
