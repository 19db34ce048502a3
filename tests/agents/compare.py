"""Compares traces with the server's log, call by call, and says how much of it is true.

    compare.py TRACE_DIR SERVER_LOG [-v] [--json FILE]

Every expected fact is one cell. A call that is missing loses all its cells, a call that nobody made is a failed cell,
and so is a trace of nothing. Exit 0 only at 100 %.
"""
import argparse
import contextlib
import difflib
import glob
import io
import json
import logging
import os
import re
import sys
import warnings

import exact
from truth import Truth, flat, joined, merged, offered

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
UUID4 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
REQUIRED = {
    "user_input": {"content"}, "llm_call": {"model", "input", "output"},
    "tool_call": {"tool_name", "arguments", "result"}, "retrieval": {"query", "results", "match_count"},
    "memory_read": {"query", "results", "match_count"}, "memory_write": {"entity_type", "operation", "data"},
    "state_change": {"state_key", "new_value"}, "interrupt": {"prompt", "response", "wait_duration_ms"},
    "final_output": {"content"},
}


class Cells:
    def __init__(self):
        self.rows = []

    def add(self, kind, where, good, want=None, got=None):
        self.rows.append((kind, where, bool(good), want, got))
        return good

    def equal(self, kind, where, want, got):
        return self.add(kind, where, exact.same(want, got), want, got)

    @property
    def failed(self):
        return [r for r in self.rows if not r[2]]

    @property
    def percent(self):
        """Rounded down: 100 means all."""
        if not self.rows:
            return 0.0
        return (10000 * (len(self.rows) - len(self.failed)) // len(self.rows)) / 100


ABSENT = "(absent)"


def canonical_part(part):
    kind = part.get("type")
    if kind in ("text", "reasoning"):
        return (kind, part.get("text", ABSENT))
    if kind == "tool_call":
        return (kind, part.get("id"), part.get("name"), part.get("arguments"))
    if kind == "tool_result":
        return (kind, part.get("id"), flat(part.get("content")), bool(part.get("is_error")))
    if kind == "other":
        return (kind, part.get("value"))
    return ("unknown", part)


def canonical_content(content):
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [("text", content)]
    return [canonical_part(p) for p in content if p != {"type": "text", "text": ""}]


class Step:
    def __init__(self, raw, run):
        self.raw, self.run = raw, run
        self.meta = raw.get("metadata") or {}

    def get(self, key, default=None):
        return self.raw.get(key, default)

    def whole_input(self, depth=0):
        """The input with what it builds upon."""
        value = self.raw.get("input")
        own = [{"role": "user", "content": value}] if isinstance(value, str) else list(value or [])
        base = self.meta.get("input_base")
        if not base or depth > 10000:
            return own
        earlier = self.run.by_id[base["step_id"]].whole_input(depth + 1)
        if base["messages"] > len(earlier):
            raise ValueError("input_base asks for %d of %d messages" % (base["messages"], len(earlier)))
        return earlier[:base["messages"]] + own

    def canonical_input(self):
        return [(m.get("role"), canonical_content(m.get("content"))) for m in self.whole_input()]

    def canonical_output(self):
        value = self.raw.get("output")
        return canonical_content(value.get("content")) if isinstance(value, dict) else canonical_content(value)


class Run:
    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as f:
            self.text = f.read()
        self.raw = exact.loads(self.text)
        self.steps = [Step(s, self) for s in self.raw["steps"]]
        self.by_id = {s.get("step_id"): s for s in self.steps}


def check_file(run, cells):
    """The contract, as far as one file can tell."""
    name, raw = os.path.basename(run.path), run.raw
    cells.add("file", name, name == "trace-%s.json" % raw.get("run_id") and UUID4.match(raw.get("run_id", "")))
    # Whether a run in which something failed has failed is a judgement; that it has ended is none.
    ended = ["completed"] + ["failed"] * any("error" in s.meta for s in run.steps)
    cells.add("file: state", name, (raw.get("metadata") or {}).get("state") in ended, ended,
              (raw.get("metadata") or {}).get("state"))
    cells.add("file: times", name, TIME.match(raw.get("ended_at", "")) and raw["ended_at"] >= raw["started_at"],
              "ended after it started", (raw.get("started_at"), raw.get("ended_at")))
    cells.equal("file: schema", name, "contextforge-trace/1", (raw.get("metadata") or {}).get("schema"))
    # Nobody is helped by the run of an agent that did nothing.
    cells.add("file: some step", name, run.steps, "steps", (raw.get("agent_info"), "no steps"))
    cells.add("file: step ids", name, len(run.by_id) == len(run.steps))
    stamps = [s.get("timestamp") or "" for s in run.steps]
    cells.add("file: order", name, stamps == sorted(stamps) and all(TIME.match(t) for t in stamps), None, stamps)
    seen, orphans = set(), []
    for s in run.steps:
        if s.get("parent_step_id") is not None and s.get("parent_step_id") not in run.by_id:
            orphans.append(s.get("step_id"))
        seen.add(s.get("step_id"))
    cells.add("file: parents", name, not orphans, [], orphans)
    odd = []
    for s in run.steps:
        need = REQUIRED.get(s.get("step_type"))
        if need is None or not need <= s.raw.keys():
            odd.append(s.get("step_id"))
        odd += [s.get("step_id") + "." + k for k, v in s.raw.items() if v is None and k not in (need or ())]
    cells.add("file: fields", name, not odd, [], odd)
    check_public_model(run, cells, name)


def check_public_model(run, cells, name):
    """The public package must load it without a word and keep every step."""
    from context_forge.core.trace import TraceRun
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stderr(said):
            warnings.simplefilter("always")
            loaded = TraceRun.model_validate_json(run.text)
        complaint = "; ".join([str(w.message) for w in caught] + [said.getvalue()]).strip("; ")
        cells.add("public model", name, not complaint, "", complaint)
        kinds = [getattr(s.step_type, "value", s.step_type) for s in loaded.steps]
        cells.equal("public model: steps", name, [s.get("step_type") for s in run.steps], kinds)
    except Exception as e:  # whatever it raises, it has not loaded
        cells.add("public model", name, False, "", "%s: %s" % (type(e).__name__, str(e)[:300]))
    finally:
        logging.getLogger().removeHandler(handler)


def align(wanted, got):
    """Pairs of two lists of keys in order: (i, j), (i, None), (None, j)."""
    matcher = difflib.SequenceMatcher(None, wanted, got, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        n = max(i2 - i1, j2 - j1)
        for k in range(n):
            yield (i1 + k if i1 + k < i2 else None), (j1 + k if j1 + k < j2 else None)


def key(value):
    return repr(value)


def want_messages(call):
    messages = [(r, list(p)) for r, p in call.input]
    return joined(merged(messages) if call.dialect == "openai.responses" else messages)


def check_call(call, step, cells, where):
    def cell(name, want, got):
        # Nothing is true of a step that is not there, not even that it lacks something.
        cells.add("llm: " + name, where, step is not None and exact.same(want, got), want, got)
    meta = step.meta if step else {}
    raw = step.raw if step else {}
    http, error = meta.get("http") or {}, meta.get("error") or {}
    cells.add("llm: present", where, step is not None, "a step", None if step is None else "a step")
    cell("model", call.model, raw.get("model", ABSENT))
    cell("provider", call.provider, raw.get("provider", ABSENT))
    cell("dialect", call.dialect, meta.get("dialect", ABSENT))
    try:
        got = step.canonical_input() if step else ABSENT
        if step and call.dialect == "openai.responses":
            got = merged(got)
        got = joined(got) if step else got
    except (KeyError, ValueError, AttributeError, RecursionError) as e:
        got = "unreadable: %r" % e
    cell("input", want_messages(call), got)
    try:
        out = step.canonical_output() if step else ABSENT
    except (AttributeError, TypeError) as e:
        out = "unreadable: %r" % e
    if not call.complete and isinstance(out, list):
        # What the model had not finished to ask for can be shown in any way; what it had said cannot.
        out = [p[:3] + (None,) if p[0] == "tool_call" else p for p in out]
    want, ident = [tuple(p) for p in call.output], call.row["id"]
    if call.meant and isinstance(out, list):
        if len(out) == 1 and out[0][0] == "text" and call.meant["text"].startswith(
                out[0][1].removesuffix("\ufffd")):  # cut in the middle of a character
            want = out
        ident = meta.get("response_id") and call.meant["id"]
    cell("output", want, out)
    for name, want in zip(("tokens_in", "tokens_out", "tokens_total"), call.tokens):
        cell(name, ABSENT if want is None else want, raw.get(name, ABSENT))
    cell("finish_reason", call.finish_reason or ABSENT, meta.get("finish_reason", ABSENT))
    whole = raw.get("output")
    if isinstance(whole, dict):
        cell("output's form", ["assistant", call.finish_reason or ABSENT],
             [whole.get("role"), whole.get("finish_reason", ABSENT)])
    cell("refusal", call.refusal, meta.get("refusal", False) if step else ABSENT)
    cell("response id", ident or ABSENT, meta.get("response_id", ABSENT))
    cell("request id", call.row["request_id"], http.get("request_id", ABSENT))
    cell("stream", call.stream, meta.get("stream", False if step else ABSENT))
    cell("http status", call.status, http.get("status", ABSENT))
    cell("tools offered", sorted(offered(call.body)),
         sorted(meta.get("tools_offered") or []) if step else ABSENT)
    if call.usage and call.complete:
        want = dict(call.usage)
        cell("usage", want, {k: v for k, v in (meta.get("usage") or {}).items()} if step else ABSENT)
    failure = call.error and call.error["kind"] in ("http", "stream")
    cell("error message", call.error["message"] if failure else ABSENT, error.get("message", ABSENT)
         if failure or not call.cut else ABSENT)
    if failure and call.error["kind"] == "http":
        cell("error status", call.error["status"], error.get("status", ABSENT))
    cell("incomplete", call.cut, bool(meta.get("incomplete")) if step else ABSENT)
    cell("output missing", call.status != 200, "output" in (meta.get("missing") or []) if call.status != 200 or not call.cut
         else False)


def check_tool(tool, step, steps_of, cells, where):
    raw, meta = (step.raw, step.meta) if step else ({}, {})

    def cell(name, want, got):
        cells.add("tool: " + name, where, step is not None and exact.same(want, got), want, got)
    cells.add("tool: present", where, step is not None, "a step", None if step is None else "a step")
    cell("name", tool.name, raw.get("tool_name", ABSENT))
    cell("arguments", tool.arguments, raw.get("arguments", ABSENT))
    cell("result", tool.result if tool.done else "", flat(raw.get("result", ABSENT)))
    if tool.id is not None:
        cell("call id", tool.id, meta.get("call_id", ABSENT))
    asker = steps_of.get(id(tool.call))
    cell("parent", asker.get("step_id") if asker else "the call that asked", raw.get("parent_step_id", ABSENT))


def check_texts(kind, wanted, steps, cells):
    got = [s.get("content") for s in steps]
    for i, j in align([key(w) for w in wanted], [key(g) for g in got]):
        where = "%s %d" % (kind, (i if i is not None else j) + 1)
        cells.equal(kind, where, ABSENT if i is None else wanted[i], ABSENT if j is None else got[j])


def by_time(runs):
    return sorted((s for r in runs for s in r.steps), key=lambda s: s.get("timestamp") or "")


def compare(trace_dir, log_path):
    cells, truth = Cells(), Truth(log_path)
    paths = sorted(glob.glob(os.path.join(trace_dir, "*")))
    cells.add("files", trace_dir, paths and all(p.endswith(".json") for p in paths), "only trace files",
              [os.path.basename(p) for p in paths])
    runs = []
    for path in paths:
        if not path.endswith(".json"):
            continue
        try:
            run = Run(path)
        except (ValueError, KeyError, TypeError) as e:
            cells.add("file", os.path.basename(path), False, "readable", str(e))
            continue
        runs.append(run)
        check_file(run, cells)
    steps = by_time(runs)

    def of(kind):
        return [s for s in steps if s.get("step_type") == kind]
    cells.add("some call", "log", truth.calls, "at least one", 0)
    cells.add("scripted", "log", not truth.unscripted, [], truth.unscripted)
    llm = of("llm_call")
    steps_of = {}

    def got_key(step):
        try:
            return key((step.canonical_output(), len(step.whole_input()), (step.meta.get("http") or {}).get("status")))
        except (KeyError, ValueError, AttributeError, TypeError, RecursionError):
            return key("unreadable")
    wanted_keys = [key(([tuple(p) for p in c.output], len(c.input), c.status)) for c in truth.calls]
    cells.equal("count of calls", "log", len(truth.calls), len(llm))
    for i, j in align(wanted_keys, [got_key(s) for s in llm]):
        if i is None:
            cells.add("llm: extra", "step %s" % llm[j].get("step_id"), False, "no such call", llm[j].get("model"))
            continue
        step = llm[j] if j is not None else None
        steps_of[id(truth.calls[i])] = step
        check_call(truth.calls[i], step, cells, "call %d" % (i + 1))
    # Programs that ran without a model asking for them are tool_calls too: theirs is another source.
    tools = [s for s in of("tool_call") if s.meta.get("source") != "process"]
    cells.equal("count of tools", "log", len(truth.tools), len(tools))
    for i, j in align([key((t.id, t.name)) for t in truth.tools],
                      [key((s.meta.get("call_id"), s.get("tool_name"))) for s in tools]):
        if i is None:
            cells.add("tool: extra", "step %s" % tools[j].get("step_id"), False, "no such tool", tools[j].get("tool_name"))
        else:
            check_tool(truth.tools[i], tools[j] if j is not None else None, steps_of, cells, "tool %d" % (i + 1))
    check_texts("user_input", [t for _, t in truth.user_inputs], of("user_input"), cells)
    check_texts("final_output", [t for _, t in truth.finals], of("final_output"), cells)
    return cells


def shorten(value, n=150):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= n else "%s ... (%d)" % (text[:n], len(text))


def differ(want, got, n=150):
    """The two values from a little before where they part."""
    a = want if isinstance(want, str) else repr(want)
    b = got if isinstance(got, str) else repr(got)
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    cut = max(0, at - 40)
    return shorten(a[cut:], n), shorten(b[cut:], n)


def report(cells, verbose=False, out=sys.stdout):
    kinds = {}
    for kind, _, good, _, _ in cells.rows:
        have = kinds.setdefault(kind, [0, 0])
        have[0] += good
        have[1] += 1
    for kind, (good, total) in kinds.items():
        if verbose or good != total:
            print("  %-22s %4d of %4d" % (kind, good, total), file=out)
    for kind, where, _, want, got in cells.failed[:40 if not verbose else None]:
        a, b = differ(want, got)
        print("  FALSE %s, %s\n    want %s\n    got  %s" % (kind, where, a, b), file=out)
    print("  %d of %d: %.2f %%" % (len(cells.rows) - len(cells.failed), len(cells.rows), cells.percent), file=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace_dir")
    parser.add_argument("log")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--json", help="write all cells here")
    args = parser.parse_args()
    cells = compare(args.trace_dir, args.log)
    report(cells, args.verbose)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(cells.rows, f, default=str)
    sys.exit(0 if not cells.failed else 1)


if __name__ == "__main__":
    main()
