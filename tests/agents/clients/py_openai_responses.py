"""openai SDK, Responses: resend (the whole history each time) | stream | chained (previous_response_id)."""
import sys

import openai
from common import BASE, CA, FOLLOWUP, KEY, MAX_TURNS, MODEL, PROMPT, RESPONSES_TOOLS, SYSTEM, finish, run_tool, wait

MODE = sys.argv[1]


def ask(client, items, previous):
    args = {"model": MODEL, "instructions": SYSTEM, "input": items, "tools": RESPONSES_TOOLS}
    if previous:
        args["previous_response_id"] = previous
    if MODE != "stream":
        return client.responses.create(**args)
    with client.responses.stream(**args) as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


def main():
    wait()
    with openai.OpenAI(base_url=BASE + "/v1", api_key=KEY,
                       http_client=openai.DefaultHttpxClient(verify=CA)) as client:
        history, previous = [], None
        for prompt in filter(None, (PROMPT, FOLLOWUP)):
            new = [{"role": "user", "content": prompt}]
            for _ in range(MAX_TURNS):
                history += new
                response = ask(client, new if MODE == "chained" else history, previous)
                previous = response.id if MODE == "chained" else None
                output = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}, by_alias=True)
                          for item in response.output]
                for item in output:
                    for part in item.get("content") or []:
                        part.pop("parsed", None)
                history += output
                new = [{"type": "function_call_output", "call_id": item.call_id,
                        "output": run_tool(item.name, item.arguments)}
                       for item in response.output if item.type == "function_call"]
                if not new:
                    break
            finish(response.output_text)


main()
