"""A person without root: `run` keeps the person's user and environment, and asks sudo for the capture half only."""

import os
import pwd
import shutil
import subprocess

from live import OBSERVE, PYTHON, Skip, canary, same, steps, true, user_text

SCRIPT = """
import http.client, json, os, ssl, sys, urllib.parse
u = urllib.parse.urlsplit(os.environ["CF_TEST_URL"])
c = http.client.HTTPSConnection(u.hostname, u.port, context=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]))
c.request("POST", "/v1/chat/completions", json.dumps({"model": "m", "messages": [{"role": "user", "content": sys.argv[1]}]}))
c.getresponse().read()
print(os.getuid(), os.environ["MARK"])
sys.exit(5)
"""


def person(w):
    """`nobody` with a rule of sudo for this test, and a program and directory that it may use."""
    if not shutil.which("sudo"):
        raise Skip("no sudo here")
    rule = f"/etc/sudoers.d/cf-live-{os.getpid()}"
    os.mkdir(w.path("home"))
    shutil.copy(OBSERVE, w.path("home/cf-observe"))
    nobody = pwd.getpwnam("nobody")
    os.chown(w.path("home"), nobody.pw_uid, nobody.pw_gid)
    with open(rule, "w", encoding="utf-8") as file:
        file.write(f"nobody ALL=(ALL) NOPASSWD: {w.path('home/cf-observe')}\n")
    os.chmod(rule, 0o440)
    return rule, nobody


def as_person(w, nobody, *argv):
    env = {**w.env(), "MARK": "kept", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *argv],
                          cwd=w.path("home"), env=env, capture_output=True, text=True, timeout=60, check=False)


def watched(w, *before):
    rule, nobody = person(w.serve())
    text = canary()
    try:
        done = as_person(w, nobody, *before, w.path("home/cf-observe"), "run", "-o", "traces", "--", PYTHON, "-c", SCRIPT, text)
    finally:
        os.unlink(rule)
    true(done.stdout, f"the command said nothing: {done.stderr[-800:]}")
    same(done.returncode, 5, "the command's status is ours")
    trace = w.trace("home/traces")
    same([user_text(s) for s in steps(trace)], [text], "what was asked")
    made = [os.path.join(d, f) for d, _, files in os.walk(w.path("home/traces")) for f in files] + [w.path("home/traces")]
    same({os.stat(f).st_uid for f in made}, {nobody.pw_uid}, "the owner of what was written")
    return done.stdout.split(), nobody


def test_without_root(w):
    """No sudo before it: the environment stays."""
    said, nobody = watched(w)
    same(said, [str(nobody.pw_uid), "kept"], "user and environment of the command")


def test_under_sudo(w):
    """sudo before it: the command is the person's all the same."""
    if not shutil.which("sudo"):
        raise Skip("no sudo here")
    env = ["sudo", "--preserve-env=CF_TEST_URL,SSL_CERT_FILE,MARK"]
    # The rule allows our program alone, so that sudo's own check is part of the test.
    rule, nobody = person(w.serve())
    with open(rule, "w", encoding="utf-8") as file:
        file.write(f"nobody ALL=(ALL) NOPASSWD:SETENV: {w.path('home/cf-observe')}\n")
    text = canary()
    try:
        done = as_person(w, nobody, *env, w.path("home/cf-observe"), "run", "-o", "traces", "--", PYTHON, "-c", SCRIPT, text)
    finally:
        os.unlink(rule)
    same(done.returncode, 5, f"the command's status is ours: {done.stderr[-800:]}")
    same(done.stdout.split(), [str(nobody.pw_uid), "kept"], "user and environment of the command")
    same([user_text(s) for s in steps(w.trace("home/traces"))], [text], "what was asked")
    same({os.stat(w.path("home/traces")).st_uid}, {nobody.pw_uid}, "the owner of the directory")
