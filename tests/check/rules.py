"""The rules of the house as programs: each takes (path, text) and yields (line, complaint).

Every rule has an example that it must catch; run.py proves that before it trusts the rule.
"""

import re

ORDER = ["base", "feed", "stream", "proto", "dialect", "trace", "otlp", "sink", "serve"]
# Rooms aside from the pipeline's line, and what they may see.
ASIDE = {"capture": {"base", "feed"}, "tracer": {"base", "trace"}}
MAX_COMPLEXITY = 20
MAX_COLUMNS = 140
# Made by the build or shared with the BPF programs: capture and feed alone meet the kernel.
KERNEL_HEADERS = {"event.h": None, "probe.h": {"capture"}, "observe.skel.h": {"capture"}}
# Time, files, chance: everything right of the feed learns them from the stream, or a replay would not be the same.
PURE_ROOMS = {"stream", "proto", "dialect", "otlp"}

BANNED = {
    "strcpy": "snprintf or a span", "strcat": "a buf", "sprintf": "snprintf", "vsprintf": "vsnprintf",
    "gets": "fgets", "system": "fork and exec", "popen": "fork and exec", "strtok": "span_split",
    "atoi": "span_u64", "atol": "span_u64", "atof": "json_double", "alloca": "a buf", "tmpnam": "mkstemp",
    "mktemp": "mkstemp", "rand": "base/id.h", "srand": "base/id.h", "localtime": "localtime_r",
    "gmtime": "gmtime_r", "ctime": "base/timefmt.h", "asctime": "base/timefmt.h", "strerror_l": "strerror",
}
IMPURE = ["clock_gettime", "gettimeofday", "time", "open", "openat", "fopen", "read", "write", "getenv", "printf",
          "fprintf", "getrandom", "log_at", "log_error", "log_warn", "log_info", "log_debug"]


def code_only(text):
    """The text with comments, strings and characters blanked; positions and lines stay."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def room_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def layers(path, text):
    """A room includes itself and rooms to its left; capture only base and feed; nobody includes capture."""
    room = room_of(path)
    if room is None:
        return
    for found in re.finditer(r'^#\s*include\s+"([^"]+)"', text, re.M):
        target = found.group(1).split("/")[0] if "/" in found.group(1) else None
        if target == room:
            continue
        if target is None:
            if room in (KERNEL_HEADERS.get(found.group(1), set()) or {room}):
                continue
            yield line_of(text, found.start()), f'"{found.group(1)}" is not a room\'s header: write "room/file.h"'
        elif target not in ORDER and target not in ASIDE:
            continue
        elif room in ASIDE:
            if target not in ASIDE[room]:
                yield line_of(text, found.start()), f"{room} may not include {target}"
        elif target in ASIDE or ORDER.index(target) > ORDER.index(room):
            yield line_of(text, found.start()), f"{room} may not include {target}"


def banned(path, text):
    code = code_only(text)
    for found in re.finditer(r"(?<![\w.>])(\w+)\s*\(", code):
        if found.group(1) in BANNED:
            yield line_of(code, found.start()), f"{found.group(1)}(): use {BANNED[found.group(1)]}"


def pure(path, text):
    if room_of(path) not in PURE_ROOMS:
        return
    code = code_only(text)
    for found in re.finditer(r"(?<![\w.>])(\w+)\s*\(", code):
        # `read` and `open` are also members and callbacks of ours; those are reached through . or ->.
        if found.group(1) in IMPURE and not re.search(r"[\w*]\s+\*?$|\(\*$", code[:found.start()][-40:].replace("return ", "=")):
            yield line_of(code, found.start()), f"{found.group(1)}() in a room that does no input or output"


def functions(code):
    """(name, start, end) of every function: its brace opens and closes in column 0."""
    for found in re.finditer(r"^(?!\s|#|typedef|struct \w+ \{|enum|union)[^;{}=]*?\b(\w+)\([^;{}]*\)[^;{}()]*\n\{$", code, re.M):
        end = code.find("\n}", found.end())
        yield found.group(1), found.end(), end if end >= 0 else len(code)


def complexity(path, text):
    """1 + branches (if, for, while, case, &&, ||, ?): McCabe's number as curl and lizard count it."""
    code = code_only(text)
    for name, start, end in functions(code):
        n = 1 + len(re.findall(r"\b(?:if|for|while|case)\b|&&|\|\||\?", code[start:end]))
        if n > MAX_COMPLEXITY:
            yield line_of(code, start), f"{name}: complexity {n}, more than {MAX_COMPLEXITY}"


def words(path, text):
    """Nothing unfinished, and no path of the machine it was written on."""
    for found in re.finditer(r"\b(?:TODO|FIXME|XXX|HACK)\b|/(?:root|home)/[a-z]\w*", text):
        # Test data are texts of made-up users.
        if path.startswith("tests/") and found.group().startswith("/"):
            continue
        yield line_of(text, found.start()), f'"{found.group()}"'


def layout(path, text):
    """The kernel's style as far as a line shows it: tabs, width, spaces around words and operators, blank lines."""
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield line_of(text, len(text) - 1), "the file ends with one end of line"
    for found in re.finditer(r"\n\n\n", text):
        yield line_of(text, found.start() + 2), "two blank lines"
    for number, (line, code) in enumerate(zip(text.split("\n"), code_only(text).split("\n")), 1):
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
        # Tests quote whole messages.
        if len(line.expandtabs(8)) > MAX_COLUMNS and not path.startswith("tests/"):
            yield number, f"{len(line.expandtabs(8))} columns, more than {MAX_COLUMNS}"
        # Two or three blanks can only be hand-made alignment of a comment; code is indented with tabs.
        if re.match(r"\t* {8}", line) or re.match(r" +[^ *]", code):
            yield number, "indented with blanks"
        if re.search(r"\b(?:if|for|while|switch)\(", code):
            yield number, "a blank belongs between the word and its parenthesis"
        if re.search(r"\b(?:if|for|while|switch)\b.*\)\{$|\belse\{|\}else\b", code):
            yield number, "a blank belongs beside the brace"
        if re.search(r",[^\s\\]", code):
            yield number, "a blank belongs behind the comma"
        if re.search(r"//", code if "//" in code else re.sub(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"", "", line)) and "http" not in line:
            yield number, "comments are /* like this */"


# name, rule, which files, examples and the line that is caught in each
RULES = [
    ("layers", layers, ("src/",),
     [("src/proto/x.c", '#include "base/buf.h"\n#include "sink/dir.h"\n', 2),
      ("src/capture/x.c", '#include "proto/exchange.h"\n', 1),
      ("src/serve/x.c", '#include "capture/locate.h"\n', 1),
      ("src/proto/x.c", '#include "event.h"\n#include "observe.skel.h"\n', 2),
      ("src/tracer/x.c", '#include "trace/model.h"\n#include "feed/feed.h"\n', 2)]),
    ("banned calls", banned, ("src/", "bpf/", "include/"),
     [("src/a/x.c", '/* strcpy(a, b) */\nint x = sprintf(b, "%d", 1);\n', 2)]),
    ("no input or output", pure, ("src/",),
     [("src/proto/x.c", "void f(void)\n{\n\tclock_gettime(0, &t);\n}\n", 3)]),
    ("complexity", complexity, ("src/", "bpf/", "include/"),
     [("src/a/x.c", "static int f(int a,\n\t     int b)\n{\n" + "\tif (a && b)\n\t\treturn 1;\n" * 10 + "}\n", 3)]),
    ("layout", layout, ("src/", "bpf/", "include/", "tests/"),
     [("src/a/x.c", "int a;   \n", 1), ("src/a/x.c", "int a;\n\n\nint b;\n", 3), ("src/a/x.c", "\tif(a)\n", 1),
      ("src/a/x.c", "    int a;\n", 1), ("src/a/x.c", "\tf(a,b);\n", 1), ("src/a/x.c", "int a; // b\n", 1),
      ("src/a/x.c", "int a;" + " " * 140 + "int b;\n", 1), ("src/a/x.c", "int a;", 1)]),
    ("words", words, ("src/", "bpf/", "include/", "tests/", "tools/", "README.md", "Makefile"),
     [("src/x.c", "/* TO" "DO: later */\n", 1)]),
]
