"""TLS that nobody reads: what it moved is counted and named, and the run does not call itself complete."""

import socket
import threading

from live import OBSERVE, canary, checked, incomplete, program, read, same, steps, true


def unread_program():
    return program("unread", ["-l:libmbedtls.a", "-l:libmbedx509.a", "-l:libmbedcrypto.a"])


def relay(target):
    """A port that passes bytes on to `target` and counts them: (port, counts by direction, stop)."""
    listener, counts = socket.create_server(("127.0.0.1", 0)), [0, 0]

    def pump(a, b, i):
        while True:
            raw = a.recv(65536)
            if not raw:
                break
            counts[i] += len(raw)
            b.sendall(raw)
        try:
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", target))
        both = [threading.Thread(target=pump, args=x, daemon=True) for x in ((client, server, 0), (server, client, 1))]
        for t in both:
            t.start()
        for t in both:
            t.join()
        client.close()
        server.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listener.getsockname()[1], counts, lambda: (thread.join(10), listener.close())


def test_unknown_library(w):
    """A library in the executable that we know nothing of: its bytes to the last one, its peer, the reason."""
    w.serve()
    port, counts, stop = relay(w.ports["https"])
    text = canary()
    p = w.start([OBSERVE, "run", "-o", w.path("traces"), "--", unread_program(), str(port), text])
    same(p.wait(20), 0, f"status: {read(p.messages)}")
    stop()
    trace = w.trace()
    c = incomplete(trace)
    listed = c["connections"]["not_decoded"]
    same([x["bytes"] for x in listed], [sum(counts)], f"bytes of connections that are not decoded: {listed}")
    same(listed[0]["peer"], f"127.0.0.1:{port}", "its peer")
    true("TLS" in listed[0]["reason"], f"the reason: {listed[0]['reason']}")
    same((c["connections"]["seen"], c["connections"]["decoded"]), (1, 0), "connections")
    same(steps(trace), [], "model calls")
    said = read(p.messages)
    true("INCOMPLETE" in said and "complete: nothing" not in said, f"the summary: {said}")
    true("NOT hooked  Mbed TLS" in said, f"the coverage does not name it: {said}")
    same([x["library"] for x in c["processes"]["not_hooked"]], ["Mbed TLS"], "libraries that are not hooked")
    true(text not in str(trace["steps"]), "the text cannot be there")
    checked(w)


def test_beside_a_read_one(w):
    """An agent that is read, with a child that is not: the calls are there, the child's connection is listed."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    mine, other = canary(), canary()
    a.ask(mine)
    child = a.order("spawn", argv=[unread_program(), str(w.ports["https"]), other])
    same(child["status"], 0, "the child's status")
    a.end()
    same(o.end(), 0, "status of the observer")
    listed = [x for t in w.traces() for x in incomplete(t)["connections"]["not_decoded"]]
    same({x["pid"] for x in listed}, {child["pid"]}, "pids of what was not decoded")
    true(all(x["bytes"] > 500 for x in listed), f"bytes: {listed}")


def test_fail_incomplete(w):
    """--fail-incomplete makes it an exit code."""
    w.serve()
    p = w.start([OBSERVE, "run", "--fail-incomplete", "-o", w.path("traces"), "--", unread_program(), str(w.ports["https"]), "x"])
    same(p.wait(20), 7, f"status: {read(p.messages)}")
