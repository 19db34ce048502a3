"""What the same files cost with Pydantic: bench_model.py DIR, with contextforge-eval installed."""
import pathlib
import sys
import time

from context_forge.core.trace import TraceRun

for path in sorted(pathlib.Path(sys.argv[1]).glob("trace-*0[12].json")):
    text = path.read_text()
    began = time.perf_counter()
    run = TraceRun.model_validate_json(text)
    loaded = time.perf_counter()
    out = run.to_json()
    done = time.perf_counter()
    print(f"Pydantic: load {len(run.steps):6d} steps {1e3 * (loaded - began):9.1f} ms, "
          f"serialise ({len(out) // 1000} kB) {1e3 * (done - loaded):9.1f} ms")
