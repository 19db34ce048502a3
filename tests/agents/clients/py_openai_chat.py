"""openai SDK, chat completions: sync | async | stream | azure | errors | errors_stream."""
import asyncio
import sys

import httpx
import openai
from common import (BASE, CA, CHAT_TOOLS, FOLLOWUP, KEY, MAX_TURNS, MODEL, PROMPT, SYSTEM, attempts, finish,
                    run_tool, wait)

MODE = sys.argv[1]


def tool_messages(message):
    return [{"role": "tool", "tool_call_id": c.id, "content": run_tool(c.function.name, c.function.arguments)}
            for c in message.tool_calls]


def streamed(client, messages):
    """The SDK's own accumulation of a stream."""
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=CHAT_TOOLS,
                                        stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion()


def sync(client, ask):
    messages = [{"role": "system", "content": SYSTEM}]
    for prompt in filter(None, (PROMPT, FOLLOWUP)):
        messages.append({"role": "user", "content": prompt})
        for _ in range(MAX_TURNS):
            message = ask(messages).choices[0].message
            messages.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
            if not message.tool_calls:
                break
            messages += tool_messages(message)
        finish(message.content)


async def asynchronous():
    async with openai.AsyncOpenAI(base_url=BASE + "/v1", api_key=KEY,
                                  http_client=openai.DefaultAsyncHttpxClient(verify=CA)) as client:
        messages = [{"role": "developer", "content": SYSTEM}]
        for prompt in filter(None, (PROMPT, FOLLOWUP)):
            messages.append({"role": "user", "content": [{"type": "text", "text": prompt}]})
            for _ in range(MAX_TURNS):
                answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=CHAT_TOOLS)
                message = answer.choices[0].message
                messages.append(message.model_dump(exclude_none=True))
                if not message.tool_calls:
                    break
                messages += tool_messages(message)
            finish(message.content)


def errors(client, stream):
    """Each prompt is a conversation of its own; what fails is reported and the next is asked."""
    for prompt in attempts():
        messages = [{"role": "user", "content": prompt}]
        try:
            if stream:
                text = ""
                for chunk in client.chat.completions.create(model=MODEL, messages=messages, stream=True):
                    text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            else:
                message = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message
                text = message.content or message.refusal
            finish(text)
        except (openai.OpenAIError, httpx.HTTPError) as e:
            print("ERROR", type(e).__name__, flush=True)
        except Exception as e:  # the SDK lets its transport's own errors through in mid-stream
            if not type(e).__module__.startswith("http"):
                raise
            print("ERROR", type(e).__name__, flush=True)


def main():
    wait()
    if MODE == "async":
        asyncio.run(asynchronous())
        return
    http = openai.DefaultHttpxClient(verify=CA)
    if MODE == "azure":
        client = openai.AzureOpenAI(azure_endpoint=BASE, api_key=KEY, api_version="2024-10-21", http_client=http)
    else:
        client = openai.OpenAI(base_url=BASE + "/v1", api_key=KEY, http_client=http,
                               max_retries=0 if MODE.startswith("errors") else 2)
    with client:
        if MODE.startswith("errors"):
            errors(client, MODE == "errors_stream")
        elif MODE == "stream":
            sync(client, lambda messages: streamed(client, messages))
        else:
            sync(client, lambda messages: client.chat.completions.create(model=MODEL, messages=messages,
                                                                         tools=CHAT_TOOLS))


main()
