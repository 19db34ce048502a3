"""What the same files cost with Pydantic: bench_model.py DIR, with contextforge-eval installed. Processor time, the best of three."""
import pathlib
import sys
import time

from context_forge.core.trace import TraceRun


def best(body):
    took = []
    for _ in range(3):
        began = time.process_time()
        body()
        took.append(1e3 * (time.process_time() - began))
    return min(took)


for path in sorted(pathlib.Path(sys.argv[1]).glob("trace-*0[12].json")):
    text = path.read_text(encoding="utf-8")
    run = TraceRun.model_validate_json(text)
    print(f"load_{len(run.steps)}={best(lambda: TraceRun.model_validate_json(text)):.3f}")
    print(f"serialise_{len(run.steps)}={best(run.to_json):.3f}")
