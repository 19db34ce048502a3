"""What the model says in one turn, as a list of small operations; what was said is the fold of those that were sent."""
import json
import secrets
import string

ALNUM = string.ascii_letters + string.digits


def rand_id(prefix, n=24):
    return prefix + "".join(secrets.choice(ALNUM) for _ in range(n))


def number(low, high):
    return low + secrets.randbelow(high - low + 1)


def split(text, pieces):
    """Text in `pieces` parts of about the same length, never an empty one."""
    step = max(1, -(-len(text) // max(1, pieces)))
    return [text[i:i + step] for i in range(0, len(text), step)]


def tool_arguments(call):
    """The arguments as the text that goes over the wire."""
    if "arguments_raw" in call:
        return call["arguments_raw"]
    return json.dumps(call.get("arguments", {}), ensure_ascii=call.get("ascii", False))


def usage_of(turn):
    """Token counts in a form that all dialects are made from; random where the scenario doesn't say."""
    usage = {"fresh": number(100, 9000), "cached": number(1, 4000), "cache_write": number(1, 900),
             "out": number(300, 3000), "reasoning": number(1, 299)}
    usage.update(turn.get("usage") or {})
    return usage


def fold(ops):
    """The answer that a list of operations amounts to."""
    said = {"text": "", "reasoning": "", "refusal": "", "tool_calls": [], "finish_reason": None, "usage": None,
            "error": None, "id": None, "model": None, "complete": False}
    for op, *args in ops:
        if op in ("text", "reasoning", "refusal"):
            said[op] += args[0]
        elif op == "tool":
            said["tool_calls"].append({"id": args[0], "name": args[1], "arguments_raw": ""})
        elif op == "args":
            said["tool_calls"][args[0]]["arguments_raw"] += args[1]
        elif op == "complete":
            said["complete"] = True
        elif op == "start":
            said["id"], said["model"] = args
        else:
            said[op] = args[0]
    return said


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
