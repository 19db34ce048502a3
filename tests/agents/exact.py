"""JSON with exact numbers, and equality that a careless == would not give (True is not 1, 1.0 is 1)."""
import json
from decimal import Decimal


def _constant(name):
    raise ValueError("not JSON: " + name)


def loads(text):
    return json.loads(text, parse_float=Decimal, parse_constant=_constant)


def loads_or_text(text):
    """A tool's arguments: what the JSON says, or the text itself when it is none."""
    try:
        return loads(text)
    except ValueError:
        return text


def same(a, b):
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, Decimal)) and isinstance(b, (int, Decimal)):
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return a == b


def dumps(value):
    """Decimals keep their value; json.dumps alone cannot write them as numbers."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{%s}" % ",".join(json.dumps(k, ensure_ascii=False) + ":" + dumps(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join(dumps(v) for v in value)
    return json.dumps(value, ensure_ascii=False)
