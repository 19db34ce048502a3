"""From the server's log to what a true trace must say. Nothing here has seen a trace.

A message in canonical form is (role, [part...]); a part is one of ("text", s), ("reasoning", s),
("tool_call", id, name, arguments), ("tool_result", id, content, is_error), ("other", value).
"""
import json
import re

import exact

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool",
         "function": "tool"}


class Call:
    """One request to the model and its answer."""

    def __init__(self, row):
        self.row = row
        self.body = exact.loads(row["request_raw"])
        self.dialect = row["dialect"]
        self.input = READERS[self.dialect](self.body)
        self.model = row["model"] or self.body.get("model")
        self.provider = provider(row)
        self.stream = row["stream"]
        self.meant = row.get("meant")
        self.status = row["status"]
        self.error = row["error"]
        self.failed = bool(self.error)
        self.complete = row["complete"]
        self.finish_reason = row["finish_reason"]
        self.refusal = bool(row["refusal"]) or row["finish_reason"] == "refusal"
        self.usage = row["usage"]
        self.tool_calls = [(c["id"], c["name"], exact.loads_or_text(c["arguments_raw"])) for c in row["tool_calls"]]
        self.output = answer_parts(row, self.tool_calls)
        self.tokens = tokens(self.dialect, self.usage)
        self.cut = bool(self.error) and self.error["kind"] in ("cut", "client_left")


def provider(row):
    if "/openai/deployments/" in row["path"]:
        return "azure"
    return "anthropic" if row["dialect"] == "anthropic.messages" else "openai"


def answer_parts(row, tool_calls):
    # A refusal is what the model said instead: text, marked in the step's metadata.
    parts = [("text" if k == "refusal" else k, row[k]) for k in ("reasoning", "text", "refusal") if row[k]]
    done = row["complete"]
    return parts + [("tool_call",) + (c if done else c[:2] + (None,)) for c in tool_calls]


def tokens(dialect, usage):
    """(in, out, total): cached input counts as input, whatever the provider calls it."""
    if not usage:
        return None, None, None
    if dialect == "openai.chat":
        return usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]
    if dialect == "openai.responses":
        return usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]
    total_in = usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
    return total_in, usage["output_tokens"], total_in + usage["output_tokens"]


def content_parts(content, text_types=("text", "input_text", "output_text")):
    if content is None:
        return []
    if isinstance(content, str):
        return [("text", content)] if content else []
    parts = []
    for p in content:
        if p.get("type") in text_types:
            parts.append(("text", p["text"]))
        elif p.get("type") == "refusal":
            parts.append(("text", p["refusal"]))
        else:
            parts.append(("other", p))
    return parts


def flat(content):
    """A tool's result: text where it is only text."""
    if isinstance(content, list) and all(p.get("type") in ("text", "input_text", "output_text") for p in content):
        return "\n".join(p["text"] for p in content)
    return content


def read_chat(body):
    messages = []
    for m in body["messages"]:
        role = ROLES[m["role"]]
        if role == "tool":
            messages.append((role, [("tool_result", m.get("tool_call_id"), flat(m["content"]), False)]))
            continue
        parts = []
        if m.get("reasoning_content"):
            parts.append(("reasoning", m["reasoning_content"]))
        parts += content_parts(m.get("content"))
        if m.get("refusal"):
            parts.append(("text", m["refusal"]))
        for c in m.get("tool_calls") or []:
            parts.append(("tool_call", c["id"], c["function"]["name"],
                          exact.loads_or_text(c["function"]["arguments"])))
        messages.append((role, parts))
    return messages


def read_responses(body):
    messages = []
    if body.get("instructions"):
        messages.append(("system", [("text", body["instructions"])]))
    items = body["input"]
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    for i in items:
        kind = i.get("type", "message")
        if kind == "message":
            messages.append((ROLES[i["role"]], content_parts(i["content"])))
        elif kind == "reasoning":
            texts = [s["text"] for s in i.get("summary") or []] + [s["text"] for s in i.get("content") or []]
            messages.append(("assistant", [("reasoning", t) for t in texts]))
        elif kind == "function_call":
            messages.append(("assistant", [("tool_call", i["call_id"], i["name"],
                                            exact.loads_or_text(i["arguments"]))]))
        elif kind == "function_call_output":
            messages.append(("tool", [("tool_result", i["call_id"], flat(i["output"]), False)]))
        else:
            messages.append(("assistant", [("other", i)]))
    return messages


def read_messages(body):
    messages = []
    if body.get("system"):
        messages.append(("system", content_parts(body["system"])))
    for m in body["messages"]:
        if isinstance(m["content"], str):
            messages.append((ROLES[m["role"]], content_parts(m["content"])))
            continue
        parts = []
        for b in m["content"]:
            if b["type"] == "tool_use":
                parts.append(("tool_call", b["id"], b["name"], b["input"]))
            elif b["type"] == "tool_result":
                parts.append(("tool_result", b["tool_use_id"], flat(b.get("content")), bool(b.get("is_error"))))
            elif b["type"] == "thinking":
                parts.append(("reasoning", b["thinking"]))
            else:
                parts += content_parts([b])
        messages.append((ROLES[m["role"]], parts))
    return messages


READERS = {"openai.chat": read_chat, "openai.responses": read_responses, "anthropic.messages": read_messages}


def merged(messages):
    """Neighbours of one role as one message: Responses sends items, where another API sends messages."""
    out = []
    for role, parts in messages:
        if out and out[-1][0] == role:
            out[-1] = (role, out[-1][1] + list(parts))
        else:
            out.append((role, list(parts)))
    return out


def joined(messages):
    """Neighbouring texts of a message as one: where one part ends says nothing."""
    out = []
    for role, parts in messages:
        kept = []
        for p in parts:
            if kept and p[0] == "text" and kept[-1][0] == "text":
                kept[-1] = ("text", "%s\n%s" % (kept[-1][1], p[1]))
            else:
                kept.append(p)
        out.append((role, kept))
    return out


def offered(body):
    """Names of tools; one that the provider runs itself has only a type."""
    return [t.get("name") or (t.get("function") or {}).get("name") or t.get("type") for t in body.get("tools") or []]


class Tool:
    def __init__(self, call, ident, name, arguments):
        self.call, self.id, self.name = call, ident, name
        self.arguments = arguments if isinstance(arguments, dict) else {"value": arguments}
        self.result = None
        self.done = False


class Truth:
    """The whole log: calls in order, the tools they asked for, what users said and what was answered in the end."""

    def __init__(self, log_path):
        with open(log_path, encoding="utf-8") as f:
            rows = [json.loads(line) for line in f if line.endswith("\n")]
        self.foreign = [r for r in rows if not r["dialect"]]
        self.rows = sorted((r for r in rows if r["dialect"]), key=lambda r: r["seq"])
        self.calls = [Call(r) for r in self.rows]
        self.unscripted = [r["seq"] for r in self.rows if r["unscripted"] or "bug" in r]
        self.tools = self._tools()
        self.user_inputs, self.finals = [], []
        self._conversations()

    def _tools(self):
        tools = []
        for n, call in enumerate(self.calls):
            asked = [Tool(call, *c) for c in call.tool_calls] if call.complete else []
            text_tool = call.row["text_tool"]
            if text_tool and call.complete:
                asked.append(Tool(call, None, text_tool["name"], text_tool["arguments"]))
            for tool in asked:
                self._result(tool, self.calls[n + 1:])
            tools += asked
        return tools

    @staticmethod
    def _result(tool, later):
        """Its first appearance in a later request."""
        for call in later:
            if tool.id is None:
                said = [p[1] for _, parts in call.input for p in parts if p[0] == "text"]
                asked = tool.call.row["text"]
                # The text protocol puts what the tool said after the answer that asked for it.
                for text in said:
                    match = re.search(re.escape(asked.strip()) + r"\s*\nObservation: ?(.*)", text, re.S)
                    if match:
                        tool.result, tool.done = match.group(1).rstrip("\n"), True
                        return
                continue
            for _, parts in call.input:
                for p in parts:
                    if p[0] == "tool_result" and p[1] == tool.id:
                        tool.result, tool.done = p[2], True
                        return

    def _conversations(self):
        """A call goes on where the longest earlier input is its beginning; what users said beyond that is new."""
        known = []
        for call in self.calls:
            # A system prompt may differ from call to call (Claude Code signs it): it opens no conversation.
            messages = [m for m in call.input if m[0] != "system"]
            base = 0
            previous = call.body.get("previous_response_id")
            if not previous:
                for earlier in known:
                    n = len(earlier)
                    if base < n <= len(messages) and exact.same(messages[:n], earlier) \
                            and any(r == "user" for r, _ in earlier):
                        base = n
            for role, parts in messages[base:]:
                texts = [p[1] for p in parts if p[0] == "text"]
                if role == "user" and texts:
                    self.user_inputs.append((call, "\n".join(texts)))
            known.append(messages)
            if call.complete and not call.failed and not call.tool_calls and not call.row["text_tool"]:
                said = [p[1] for p in call.output if p[0] == "text"]
                if said:
                    self.finals.append((call, "\n".join(said)))
