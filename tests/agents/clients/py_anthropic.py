"""anthropic SDK: sync | async | stream | errors | errors_stream. The SDK is imported only after the wait: its
libraries are mapped after an observer has attached."""
import asyncio
import sys

from common import (ANTHROPIC_TOOLS, BASE, CA, FOLLOWUP, KEY, MAX_TURNS, MODEL, PROMPT, SYSTEM, attempts, finish,
                    run_tool, wait)

MODE = sys.argv[1]
wait()
import anthropic  # noqa: E402


def arguments(messages):
    return {"model": MODEL, "max_tokens": 4096, "system": SYSTEM, "messages": messages, "tools": ANTHROPIC_TOOLS}


def results(message):
    return [{"type": "tool_result", "tool_use_id": b.id, "content": run_tool(b.name, b.input)}
            for b in message.content if b.type == "tool_use"]


def echo(message):
    """The answer as it goes back: what the API takes of each block."""
    keep = {"text": ("type", "text"), "tool_use": ("type", "id", "name", "input"),
            "thinking": ("type", "thinking", "signature")}
    return [{k: getattr(b, k) for k in keep[b.type]} for b in message.content]


def text_of(message):
    return "".join(b.text for b in message.content if b.type == "text")


def streamed(client, messages):
    with client.messages.stream(**arguments(messages)) as stream:
        for _ in stream.text_stream:
            pass
        return stream.get_final_message()


async def converse(ask):
    """One loop for both clients; the sync one never really suspends."""
    messages = []
    for prompt in filter(None, (PROMPT, FOLLOWUP)):
        messages.append({"role": "user", "content": prompt})
        for _ in range(MAX_TURNS):
            message = await ask(messages)
            messages.append({"role": "assistant", "content": echo(message)})
            new = results(message)
            if not new:
                break
            messages.append({"role": "user", "content": new})
        finish(text_of(message))


def errors(client, stream):
    for prompt in attempts():
        args = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": prompt}]}
        try:
            if stream:
                with client.messages.stream(**args) as s:
                    text = "".join(s.text_stream)
            else:
                text = text_of(client.messages.create(**args))
            finish(text)
        except Exception as e:
            if not type(e).__module__.startswith(("anthropic", "http")):
                raise
            print("ERROR", type(e).__name__, flush=True)


def main():
    if MODE == "async":
        async def run():
            async with anthropic.AsyncAnthropic(base_url=BASE, api_key=KEY,
                                                http_client=anthropic.DefaultAsyncHttpxClient(verify=CA)) as client:
                await converse(lambda messages: client.messages.create(**arguments(messages)))
        asyncio.run(run())
        return
    retries = 0 if MODE.startswith("errors") else 2
    with anthropic.Anthropic(base_url=BASE, api_key=KEY, max_retries=retries,
                             http_client=anthropic.DefaultHttpxClient(verify=CA)) as client:
        if MODE.startswith("errors"):
            errors(client, MODE == "errors_stream")
            return

        async def ask(messages):
            return streamed(client, messages) if MODE == "stream" else client.messages.create(**arguments(messages))
        asyncio.run(converse(ask))


main()
