"""Installs the package as a user would, and runs test_*.py, each in a process of its own.

    tests/python/run [NAME...]      NAME: tracer, langchain, ...
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

ONE = """
import json, sys, unittest
sys.path.insert(0, {here!r})
class Result(unittest.TextTestResult):
    def addSuccess(self, test):
        super().addSuccess(test)
        print("ok - " + str(test).split()[0], flush=True)
try:
    suite = unittest.defaultTestLoader.loadTestsFromName({module!r})
except unittest.SkipTest as why:
    print("skip - {module}: %s" % why)
    print("[0, 0, 1]")
    sys.exit()
r = unittest.TextTestRunner(stream=sys.stderr, resultclass=Result, verbosity=0, buffer=False).run(suite)
failed = len(r.failures) + len(r.errors) + len(r.unexpectedSuccesses)
for test, why in r.skipped:
    print("skip - %s: %s" % (str(test).split()[0], why))
for test, _ in r.failures + r.errors:
    print("not ok - " + str(test))
print(json.dumps([r.testsRun - failed - len(r.skipped), failed, len(r.skipped)]))
"""


def install(target):
    """pip, as `pip install ./tools/python`, without an index: nothing else may be needed."""
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index",
                           "--no-deps", "--target", target, os.path.join(TOP, "tools/python")],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr)
    return done.returncode == 0


def run_module(module, env):
    done = subprocess.run([sys.executable, "-B", "-c", ONE.format(here=HERE, module=module)], capture_output=True,
                          text=True, env=env, check=False, timeout=240)
    *lines, last = done.stdout.rstrip().splitlines() or [""]
    try:
        counts = json.loads(last)
        lines += done.stderr.splitlines() if counts[1] else []
    except ValueError:
        counts, lines = [0, 1, 0], lines + [last] + done.stderr.splitlines() + ["not ok - %s ended by itself" % module]
    print("\n".join(lines), flush=True)
    return counts


def main():
    work = tempfile.mkdtemp(prefix="test_python_")
    totals = [0, 0, 0]
    try:
        site = os.path.join(work, "site")
        totals[0 if install(site) else 1] += 1
        env = dict(os.environ, PYTHONPATH=site, CF_OBSERVE_TOP=TOP, CF_OBSERVE_WORK=work, HOME=work,
                   LANGSMITH_TRACING="false", LANGCHAIN_TRACING_V2="false")
        env.pop("CONTEXTFORGE_LIBRARY", None)
        env.pop("CONTEXTFORGE_LOG_LEVEL", None)
        modules = sorted(n[:-3] for n in os.listdir(HERE) if n.startswith("test_") and n.endswith(".py"))
        for module in modules:
            if len(sys.argv) > 1 and module[5:] not in sys.argv[1:]:
                continue
            totals = [a + b for a, b in zip(totals, run_module(module, env))]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("%d passed, %d failed%s" % (totals[0], totals[1], ", %d skipped" % totals[2] if totals[2] else ""))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
