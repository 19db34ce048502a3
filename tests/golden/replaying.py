"""Replays a capture as it is, cut, joined and with holes, and says what does not hold."""

import glob
import json
import os
import subprocess
import tempfile

import capfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OBSERVE = os.path.join(TOP, "build/cf-observe")


def replay(path):
    """(exit status, {file name: text}, messages)"""
    with tempfile.TemporaryDirectory(prefix="cf-replay-") as folder:
        done = subprocess.run([OBSERVE, "replay", "-q", "-o", folder, path], capture_output=True, text=True, timeout=120,
                              check=False)
        files = {}
        for name in sorted(glob.glob(folder + "/*")):
            with open(name, encoding="utf-8") as file:
                files[os.path.basename(name)] = file.read()
    return done.returncode, files, done.stderr


def replay_events(header, events):
    with tempfile.NamedTemporaryFile(suffix=".cap") as file:
        capfile.save(file.name, header, events)
        return replay(file.name)


def claims(files):
    """Does any trace call itself complete?"""
    found = []
    for text in files.values():
        trace = json.loads(text)
        found.append(trace["metadata"]["capture"]["completeness"]["complete"])
    return any(found)


def variants(path, splits=(1, 2, 7, 100)):
    """Yields (what, None or what is wrong): the same bytes in other pieces give the same files, and holes are never hidden."""
    header, events = capfile.load(path)
    status, whole, said = replay(path)
    yield "whole", None if status == 0 and whole else f"status {status}: {said[-300:]}"
    if not whole:
        return
    for size in splits:
        got = replay_events(header, capfile.split(events, size))
        yield f"split {size}", None if got[:2] == (0, whole) else f"status {got[0]}, files {list(got[1])} differ from {list(whole)}"
    one = list(capfile.split(events, 1))
    for name, merged in (("merged", capfile.merge(events)), ("split and merged", capfile.merge(one))):
        got = replay_events(header, merged)
        yield name, None if got[:2] == (0, whole) else f"status {got[0]}, files {list(got[1])} differ from {list(whole)}"
    bad = []
    for k in range(2, 51):
        for source in (events, one) if k < 8 else (events,):
            if k > len(source):
                continue
            status, files, said = replay_events(header, capfile.drop(source, k))
            if status != 0:
                bad.append(f"every {k}-th dropped: status {status} {said[-200:]}")
            elif claims(files):
                bad.append(f"every {k}-th dropped: claims completeness")
    yield "holes", "; ".join(bad[:5]) if bad else None
