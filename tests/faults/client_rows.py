"""C1 to C9: clients that leave, stop reading, drip, crowd, or send too much."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.daemon import Daemon, Stage
from tests.faults.catalogue import Promise, Row, Trial
from tests.faults.crowd import Crowd
from tests.faults.rig import (
    PATIENCE_S,
    SIDES,
    TEXT,
    Case,
    cases,
    eventually,
    forget_peak,
    grown_mb,
    median_ms,
    named_files,
    own_files,
    patient_stage,
    pid_of,
    posts,
    quiet,
    resident_kb,
    sim_of,
)
from tests.faults.ways import STREAMS, WAYS, Way, unique
from tests.sim.scripts import Script, answer, cut_after, endless, silence

ENDINGS = ("FIN", "RST")
AT_ONCE_S = 1.0
MIB = 1 << 20


def leave(client: socket.socket, how: str) -> float:
    """Close a connection, and when."""
    if how == "RST":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    when = time.monotonic()
    client.close()
    return when


def left(stage: Stage, case: Case, how: str, script: Script, mark: bytes) -> float:
    """A client asks, reads as far as `mark`, and leaves; gives the seconds until the upstream saw it."""
    way, side = case
    sim = sim_of(stage, side)
    sim.reset()
    sim.script(script)
    text = unique("left")
    client = way.open(stage.daemon, side, text)
    eventually(lambda: posts(sim), what="the upstream was asked")
    got = b""
    while mark not in got:
        data = client.recv(65536)
        assert data, got
        got += data
    when = leave(client, how)
    (entry,) = sim.wait_closed_early(1, PATIENCE_S)
    event = stage.daemon.event(text)
    assert (event["status"], event["fallback"]) == (499, None), f"{way} {side}: {event}"
    return entry["closed_early"] - when


def leaving(trial: Trial, script: Script, mark: bytes, chosen: list[Case]) -> None:
    stage = patient_stage(trial)
    waits: dict[str, list[float]] = {how: [] for how in ENDINGS}
    for _ in trial.runs(20):
        for how in ENDINGS:
            for case in chosen:
                took = left(stage, case, how, script, mark)
                waits[how].append(took)
                trial.hold(Promise.LEAK, took < AT_ONCE_S, f"{case} {how}: {took} s")
                trial.tried()
    quiet(trial, stage.daemon)
    assert stage.daemon.health()["breakers"] == {}
    for how, times in waits.items():
        trial.within(f"upstream closed after a {how}, median", median_ms(times), 50, "ms")
        trial.within(f"worst of {how}", max(times) * 1000, AT_ONCE_S * 1000, "ms")


def left_before_the_first_byte(trial: Trial) -> None:
    leaving(trial, silence(), b"", cases())


def left_midway(trial: Trial) -> None:
    leaving(trial, cut_after(7, "stall", text=TEXT), b"one", cases(STREAMS))


def left_a_whole_answer(trial: Trial) -> None:
    leaving(trial, cut_after(1, "stall", text=TEXT), b"", cases(way for way in WAYS if not way.stream))


def half_closed(trial: Trial) -> None:
    stage = patient_stage(trial)
    for _ in trial.runs(20):
        for way, side in cases():
            sim_of(stage, side).script(answer(TEXT, latency_s=0.03, gap_s=0.005))
            with way.open(stage.daemon, side, "half-closed") as client:
                client.shutdown(socket.SHUT_WR)
                got = b""
                while data := client.recv(65536):
                    got += data
            assert got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").startswith(b"HTTP/1.1 200"), got[:100]
            assert got.endswith((b"0\r\n\r\n", b"}")), got[-100:]
            trial.tried()
    quiet(trial, stage.daemon)


def readers_that_stop(trial: Trial) -> None:
    """None of them reads a byte of what would be endless."""
    stage = patient_stage(trial)
    pid, readers = pid_of(stage.daemon), 50 if trial.whole else 12
    normal = WAYS[1].ask(stage.daemon, "cloud", "before").took_s
    before = resident_kb(pid)
    forget_peak(pid)
    with contextlib.ExitStack() as held:
        for side in SIDES:
            sim_of(stage, side).reset()
            sim_of(stage, side).script(endless(0, 65536))
        for number in range(readers):  # the fake llama-swap takes no more than a few at a time
            way, side = cases(STREAMS)[number] if number < 6 else (STREAMS[number % 3], "cloud")
            held.enter_context(way.open(stage.daemon, side, "never read")).recv(1, socket.MSG_PEEK)
        sent = eventually(lambda: _settled(stage), 20.0, "the upstreams are paused")
        grown = grown_mb(pid, before)
        stage.manifest.script(answer(TEXT))
        with_them = WAYS[1].ask(stage.daemon, "cloud", "meanwhile")
        assert with_them.text == TEXT
        trial.hold(Promise.LEAK, grown < 50, f"{grown} MB for {readers} readers")
        if trial.whole:  # nobody waits for ever for them
            eventually(lambda: stage.daemon.health()["in_flight"] == 0, 90.0, "cut at the write limit")
    eventually(lambda: stage.daemon.health()["in_flight"] == 0, 5.0, "all are gone")
    quiet(trial, stage.daemon)
    trial.tried(readers)
    trial.figure(f"{readers} readers", grown, "MB more")
    trial.figure("taken of each upstream", sent / readers / MIB, "MB")
    trial.figure("a request meanwhile", (with_them.took_s - normal) * 1000, "ms more")


def _settled(stage: Stage) -> int:
    """What both upstreams have sent, once that no longer changes."""
    seen = [sum(request["sent_bytes"] for side in SIDES for request in posts(sim_of(stage, side)))]
    for _ in range(2):
        time.sleep(0.15)  # whether nothing changes cannot be waited for otherwise
        seen.append(sum(request["sent_bytes"] for side in SIDES for request in posts(sim_of(stage, side))))
    return seen[0] if len(set(seen)) == 1 and seen[0] else 0


def one_reader_of_200_mb(trial: Trial) -> None:
    """A client that does not read for a while, then reads all: nothing lost, nothing held."""
    stage = patient_stage(trial)
    pid = pid_of(stage.daemon)
    pieces, size = 200 if trial.whole else 16, MIB - 4096
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * (size - 100))
    whole_size = len(event) * pieces
    for side in trial.some(SIDES, 1):
        before = resident_kb(pid)
        forget_peak(pid)
        stage.clean()
        sim_of(stage, side).script(endless(0, size - 100))
        with STREAMS[0].open(stage.daemon, side, "200 MB") as client:
            eventually(lambda: _settled(stage), 20.0, "the upstream is paused")
            got = 0
            while got < whole_size:
                got += len(client.recv(1 << 20))
        grown = grown_mb(pid, before)
        trial.hold(Promise.LEAK, grown < 24, f"{grown} MB")
        trial.tried()
        trial.figure(f"{whole_size >> 20} MB from {side}, unread at first", grown, "MB more")


def slow_readers(trial: Trial) -> None:
    readers_that_stop(trial)
    one_reader_of_200_mb(trial)


def drippers(trial: Trial) -> None:
    """Heads and bodies that come a byte at a time, while somebody works."""
    stage = patient_stage(trial)
    count = 500 if trial.whole else 50
    request = WAYS[1].raw(stage.daemon, "cloud", "x" * 1000)
    halves = (request[:20], request[:-900])
    alone = sorted(WAYS[1].ask(stage.daemon, "cloud", "alone").took_s for _ in trial.runs(100, 20))
    with contextlib.ExitStack() as held:
        dripping = [
            held.enter_context(socket.create_connection(("127.0.0.1", stage.daemon.port), timeout=60))
            for _ in range(count)
        ]
        for number, client in enumerate(dripping):
            client.sendall(halves[number % 2])
        over: dict[int, list[float]] = {0: [], 1: []}
        left = dict(enumerate(dripping))
        with ThreadPoolExecutor(1) as pool:
            dripped = pool.submit(_drip, left, over, 50.0 if trial.whole else 0.0)
            among = sorted(
                WAYS[1].ask(stage.daemon, "cloud", "among them").took_s for _ in trial.runs(100, 20)
            )
            dripped.result()
        if trial.whole:
            trial.hold(Promise.LEAK, not left, f"{len(left)} drippers are still there")
            trial.within("heads cut after at most", max(over[0]), 12, "s")
            trial.within("bodies cut after at most", max(over[1]), 32, "s")
    trial.tried(count)
    quiet(trial, stage.daemon)
    normal = alone[int(len(alone) * 0.99) - 1] * 1000
    trial.figure("p99 alone", normal, "ms")
    trial.within(f"p99 among {count} drippers", among[int(len(among) * 0.99) - 1] * 1000, 2 * normal, "ms")


def _drip(open_ones: dict[int, socket.socket], over: dict[int, list[float]], for_s: float) -> None:
    """Each says a byte a second; heads are cut 10 s after they began, bodies 30 s after theirs, with 408."""
    started = time.monotonic()
    for client in open_ones.values():
        client.setblocking(False)
    while open_ones:
        for number, client in list(open_ones.items()):
            with contextlib.suppress(BlockingIOError):
                try:
                    got = client.recv(4096)
                except ConnectionError:
                    got = b""
                assert got == b"" or got.startswith(b"HTTP/1.1 408"), got
                over[number % 2].append(time.monotonic() - started)
                del open_ones[number]
        for number, client in open_ones.items():
            with contextlib.suppress(OSError):
                client.send(b"a" if number % 2 == 0 else b" ")
        if time.monotonic() - started >= for_s:
            return
        time.sleep(1.0)  # this is the drip


def crowds(trial: Trial) -> None:
    """Many requests, then many streams at once."""
    stage = patient_stage(trial)
    pid = pid_of(stage.daemon)
    stage.manifest.script(answer(TEXT))
    WAYS[0].ask(stage.daemon, "cloud", "warm")
    total = len(trial.runs(10_000, 120))
    # As many connections and as full a ring of events as there will be.
    asyncio.run(Crowd(stage.daemon.port).requests(1500 if trial.whole else 64, 64, WAYS))
    quiet(trial, stage.daemon)
    files, before = own_files(stage.daemon), resident_kb(pid)
    heard = asyncio.run(Crowd(stage.daemon.port).requests(total, 64, WAYS))
    assert len(heard) == total
    assert all(one.complete and one.text == TEXT for one in heard)
    eventually(lambda: stage.daemon.health()["in_flight"] == 0, what="all are over")
    if trial.whole:
        slope = (resident_kb(pid) - before) / 1024 * 10_000 / total
        trial.figure("memory for 10,000 requests", slope, "MB more")
        trial.hold(Promise.LEAK, slope < 1.0 or total < 10_000, f"{slope} MB for 10,000 requests")
    trial.figure(
        f"{total} requests, slowest (peers in Python on the same cores)",
        max(one.took_s for one in heard),
        "s",
    )
    streams, pause = (500, 1.5) if trial.whole else (60, 0.02)
    stage.manifest.script(answer(" ".join([TEXT] * (6 if trial.whole else 1)), gap_s=pause))
    wanted = " ".join([TEXT] * (6 if trial.whole else 1))
    started = time.monotonic()
    texts = asyncio.run(Crowd(stage.daemon.port).streams(streams, STREAMS))
    broken = [text for text in texts if text != wanted]
    trial.hold(Promise.FALSE_END, not broken, str(broken[:3]))
    trial.figure(f"{streams} streams at once, for", time.monotonic() - started, "s")
    trial.tried(total + streams)
    quiet(trial, stage.daemon)
    for sim in (stage.manifest, stage.llama_swap):
        sim.reset()
    trial.figure("memory after the streams", (resident_kb(pid) - before) / 1024, "MB more")
    now = _fewest_files(stage, files)
    trial.hold(Promise.LEAK, now <= files, f"{now} files, {files} before: {Counter(named_files(pid))}")
    trial.figure("files after it, without pooled connections", now - files, "more")


def _fewest_files(stage: Stage, wanted: int) -> int:
    """How many files are left once they are as few as that; after some patience, how many there are."""
    seen: list[int] = []
    with contextlib.suppress(AssertionError):
        eventually(
            lambda: seen.append(own_files(stage.daemon)) or seen[-1] <= wanted, what="as many as before"
        )
    return seen[-1]


def too_much(trial: Trial) -> None:
    """More than 32 MiB: declared, in chunks, and a length that lies."""
    stage = patient_stage(trial)
    pid = pid_of(stage.daemon)
    worst = 0.0
    for _ in trial.runs(5):
        for way in WAYS:
            before = resident_kb(pid)
            forget_peak(pid)
            head = f"POST {way.path} HTTP/1.1\r\nhost: 127.0.0.1:{stage.daemon.port}\r\ncontent-type: application/json\r\n"
            declared = spoken(stage.daemon, head.encode() + b"content-length: 33554433\r\n\r\n")
            assert declared.startswith(b"HTTP/1.1 413"), declared[:200]
            _in_its_words(way, declared)
            if trial.whole or way is WAYS[0]:
                chunked = _chunks(stage.daemon, head.encode() + b"transfer-encoding: chunked\r\n\r\n")
                assert chunked.startswith(b"HTTP/1.1 413"), chunked[:200]
            lying = spoken(stage.daemon, head.encode() + b"content-length: 2\r\n\r\n{}{}{}{}\r\n\r\n")
            assert lying.startswith(b"HTTP/1.1 400"), lying[:200]
            worst = max(worst, grown_mb(pid, before))
            trial.tried(3)
    trial.hold(Promise.LEAK, worst < 40, f"{worst} MB")
    trial.figure("memory at its worst", worst, "MB more")
    quiet(trial, stage.daemon)


def _in_its_words(way: Way, reply: bytes) -> None:
    document = json.loads(reply.partition(b"\r\n\r\n")[2])
    assert document["error"]["message"]
    assert way.protocol != "messages" or document["type"] == "error"


def spoken(daemon: Daemon, raw: bytes) -> bytes:
    """What comes back for these bytes until the daemon closes."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(ConnectionError):
            while data := client.recv(65536):
                got += data
    return got


def _chunks(daemon: Daemon, head: bytes) -> bytes:
    """Send chunks of 1 MiB until it says something."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as client:
        client.sendall(head)
        piece = b"100000\r\n" + b" " * MIB + b"\r\n"
        sender = threading.Thread(target=_send_all, args=(client, piece, 48))
        sender.start()
        got = client.recv(65536)
        sender.join()
    return got


def _send_all(client: socket.socket, piece: bytes, times: int) -> None:
    with contextlib.suppress(OSError):
        for _ in range(times):
            client.sendall(piece)


ROWS = (
    Row("C1", "the client leaves before the first byte, by FIN and by RST", "the upstream's connection is closed at once; 499", "quick", left_before_the_first_byte, 180),
    Row("C2", "it leaves in the middle of a stream", "as C1", "quick", left_midway, 180),
    Row("C3", "it leaves in the middle of a whole answer", "as C1", "quick", left_a_whole_answer, 180),
    Row("C5", "it half-closes after its request", "it gets its answer", "quick", half_closed, 180),
    Row("C6", "it stops reading: 50 of them; and one that reads 200 MB late", "the upstream is paused; cut after a minute; memory stays flat", "quick", slow_readers, 300),
    Row("C7", "heads and bodies a byte at a time", "408 after 10 s and 30 s; others are served as before", "quick", drippers, 180),
    Row("C8", "10,000 requests, 64 at a time; 500 streams at once for a minute", "all answered, all whole", "quick", crowds, 400),
    Row("C9", "a body of more than 32 MiB: declared, in chunks, under a lying length", "413 before all of it is read; 400 for what follows the lie", "quick", too_much, 180),
)  # fmt: skip
