"""judge.py DIR...: every trace loads with contextforge-eval, with nothing dropped that it knows; and keeps the schema."""
import json
import pathlib
import sys
import warnings

from context_forge.core.trace import TraceRun

warnings.simplefilter("error")
schema = json.loads((pathlib.Path(__file__).parents[1] / "schema/contextforge-trace-1.schema.json").read_text())
try:
    import jsonschema
    validator = jsonschema.Draft202012Validator(schema)
except ImportError:
    validator = None
n = 0
for directory in sys.argv[1:]:
    for path in sorted(pathlib.Path(directory).glob("*.json")):
        raw = json.loads(path.read_text())
        run = TraceRun.model_validate(raw)
        assert TraceRun.model_validate_json(path.read_text()) == run
        assert len(run.steps) == len(raw["steps"]), path
        for ours, theirs in zip(raw["steps"], run.steps):
            back = theirs.model_dump(mode="json")
            for name, value in ours.items():
                if name == "timestamp" or name not in back:
                    continue
                assert back[name] == value or name in ("results", "changes", "resource_impact"), (path, name, value, back[name])
        if validator:
            problem = next(validator.iter_errors(raw), None)
            assert problem is None, (path, problem.json_path, problem.message)
        n += 1
assert n, "no traces"
print(f"    {n} traces judged" + ("" if validator else ", no validator of JSON Schema here"))
