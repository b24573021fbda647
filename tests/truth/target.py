"""A calibrated target: delivers by an exact, seeded script and writes down what it did; no code of the harness.

    publish (event, message or POST /publish) --script--> due times --heap--> send, log
                                                    drop, duplicate, hold back (reorder), delay, stall, burst

Socket.IO v5 at /socket.io/: `subscribe` [{"channel": c}] and `publish` [{"channel": c, "text": t}], both acknowledged
with {"ok": true}; subscribers get `message` [{"channel": c, "text": t}]. Plain JSON at any other path: {"type":
"subscribe" | "publish", ...}, answered {"type": "subscribed"}. POST /publish {"channel", "text"}.
GET /bootstrap?... is answered {"gateway": {"url": ...}}, with its own Socket.IO.

Laws: one thread, one clock (CLOCK_MONOTONIC); a delivery is stamped right before its send. The text is opaque: read as
a string, repeated and logged. SIGTERM ends it and writes the account: account.json, publishes.jsonl, deliveries.bin
(RECORD, in the order of sending).

Usage: target.py '<script as JSON>' <folder of the account>; the first line of stdout is {"port": n}.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
import math
import random
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path

RECORD = struct.Struct("<IIqqB")
"""publish, client, due_ns, sent_ns (0: never), kind."""
PLAIN, DROPPED, COPY, HELD, LATE = range(5)
OVERDUE = -1
"""In the heap only: whoever is still held goes out now."""
HOLD_AT_MOST_NS = 1_000_000_000
BATCH = 256
DEFAULTS = {
    "seed": 1,
    "delay": ["constant", 0.0],  # constant ms | uniform low high | loguniform low high | steps ms ms ms ...
    "drop_every": 0,
    "duplicate_every": 0,
    "reorder_every": 0,
    "late_every": 0,
    "late_ms": 0.0,
    "stall_at_s": None,  # after the first publish
    "stall_s": 2.0,
    "burst_s": 0.0,  # > 0: everything waits for the next multiple of it
}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Chooser:
    """One in n, exactly: in every block of n a seeded place."""

    def __init__(self, every: int, seed: str) -> None:
        self.every = every
        self.rng = random.Random(seed)
        self.number = 0
        self.chosen = self.rng.randrange(every) if every else -1

    def __call__(self) -> bool:
        if not self.every:
            return False
        hit = self.number == self.chosen
        self.number += 1
        if self.number == self.every:
            self.number = 0
            self.chosen = self.rng.randrange(self.every)
        return hit


class Peer:
    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.buffer = b""
        self.upgraded = self.plain = False
        self.held: list[tuple] = []


def frame(text: str) -> bytes:
    data = text.encode()
    size = len(data)
    head = bytes([0x81, size]) if size < 126 else b"\x81\x7e" + struct.pack(">H", size)
    return head + data


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class Target:
    def __init__(self, script: dict, folder: Path) -> None:
        self.script = DEFAULTS | script
        unknown = set(script) - set(DEFAULTS)
        if unknown:
            raise SystemExit(f"the script has unknown keys: {sorted(unknown)}")
        seed = self.script["seed"]
        self.rng = random.Random(f"{seed}/delay")
        self.drop, self.duplicate, self.reorder, self.late = (
            Chooser(self.script[f"{name}_every"], f"{seed}/{name}") for name in ("drop", "duplicate", "reorder", "late")
        )
        self.folder = folder
        self.log = (folder / "deliveries.bin").open("wb", buffering=1 << 20)
        self.publishes = (folder / "publishes.jsonl").open("w", buffering=1 << 20)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.peers: dict[int, Peer] = {}
        self.members: dict[str, list[Peer]] = {}
        self.heap: list[tuple] = []
        self.order = self.published = self.accepted = self.blocked = self.gone = self.bootstraps = 0
        self.texts: list[tuple[bytes, bytes]] = []
        self.first_ns = 0
        self.stalls: list[list[int]] = []
        self.wakes: list[int] = []
        self.names: dict[int, object] = {}
        self.sources: set[str] = set()
        self.running = True

    # --- time ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        sys.stdout.write(compact({"port": self.listener.getsockname()[1]}) + "\n")
        sys.stdout.flush()
        while self.running:
            self.deliver()
            self.stall()
            wait_s = 0.05 if not self.heap else min(0.05, (self.heap[0][0] - time.monotonic_ns()) / 1e9)
            if wait_s > 0:
                select.select([self.epoll], [], [], wait_s)  # finer than epoll's own timeout of whole milliseconds
                if self.heap and (late_ns := time.monotonic_ns() - self.heap[0][0]) >= 0:
                    self.wakes.append(late_ns)
            for fd, _ in self.epoll.poll(0, BATCH):
                if fd == self.listener.fileno():
                    self.accept()
                else:
                    self.read(self.peers[fd])
        self.write_account()

    def stop(self, *_: object) -> None:
        self.running = False

    def stall(self) -> None:
        at_s = self.script["stall_at_s"]
        if at_s is None or self.stalls or not self.first_ns:
            return
        begin = time.monotonic_ns()
        if begin >= self.first_ns + at_s * 1e9:
            time.sleep(self.script["stall_s"])
            self.stalls.append([begin, time.monotonic_ns()])

    # --- delivering ---------------------------------------------------------------------------------------------------

    def delay_ns(self) -> int:
        kind, *values = self.script["delay"]
        if kind == "constant":
            return round(values[0] * 1e6)
        if kind == "uniform":
            return round(self.rng.uniform(*values) * 1e6)
        if kind == "loguniform":
            return round(math.exp(self.rng.uniform(*map(math.log, values))) * 1e6)
        return round(self.rng.choice(values) * 1e6)  # steps

    def publish(self, channel: str, text: str) -> None:
        now = time.monotonic_ns()
        self.first_ns = self.first_ns or now
        number, self.published = self.published, self.published + 1
        members = self.members.get(channel, ())
        self.publishes.write(compact([number, now, channel, text, len(members)]) + "\n")
        body = {"channel": channel, "text": text}
        self.texts.append((frame("42" + compact(["message", body])), frame(compact(body))))
        burst_ns = round(self.script["burst_s"] * 1e9)
        for peer in members:
            kind, due = PLAIN, now + self.delay_ns()
            if burst_ns:
                due = -(-due // burst_ns) * burst_ns
            if self.drop():
                kind = DROPPED
            elif self.late():
                kind, due = LATE, now + round(self.script["late_ms"] * 1e6)
            elif self.reorder():
                kind = HELD
            elif self.duplicate():
                kind = COPY
            self.order += 1
            heapq.heappush(self.heap, (due, self.order, number, peer, kind))

    def deliver(self) -> None:
        heap, now = self.heap, time.monotonic_ns()
        for _ in range(BATCH):
            if not heap or heap[0][0] > now:
                return
            due, _, number, peer, kind = heapq.heappop(heap)
            if kind == HELD and peer.sock.fileno() >= 0:  # back with the next message to this peer, or in a second
                self.order += 1
                entry = (now + HOLD_AT_MOST_NS, self.order, number, peer, OVERDUE)
                heapq.heappush(heap, entry)
                peer.held.append(entry)
                continue
            if kind == OVERDUE:
                held = [entry for entry in peer.held if entry[2] == number]
                if held:
                    peer.held.remove(held[0])
                    self.send(number, peer, due, HELD)
                continue
            self.send(number, peer, due, PLAIN if kind == COPY else kind)
            if kind == COPY:
                self.send(number, peer, due, COPY)
            if kind != DROPPED:
                for entry in peer.held:
                    self.send(entry[2], peer, due, HELD)
                peer.held.clear()

    def send(self, number: int, peer: Peer, due: int, kind: int) -> None:
        """Send and log; DROPPED is only logged, COPY is the second of two."""
        data = self.texts[number][peer.plain]
        sent = 0
        if kind != DROPPED:
            sent = time.monotonic_ns()
            try:
                if peer.sock.send(data) != len(data):
                    self.blocked += 1
            except BlockingIOError:
                self.blocked += 1
            except OSError:
                sent, self.gone = 0, self.gone + 1
        self.log.write(RECORD.pack(number, peer.number, due, sent, kind))

    # --- the wire -----------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        while True:
            try:
                sock, (address, _) = self.listener.accept()
            except BlockingIOError:
                return
            self.sources.add(address)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[sock.fileno()] = Peer(sock, self.accepted)
            self.accepted += 1
            self.epoll.register(sock, select.EPOLLIN)

    def close(self, peer: Peer) -> None:
        fd = peer.sock.fileno()
        if fd >= 0:
            self.epoll.unregister(fd)
            del self.peers[fd]
            peer.sock.close()
        for members in self.members.values():
            if peer in members:
                members.remove(peer)

    def read(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close(peer)
            return
        peer.buffer += data
        if not peer.upgraded:
            self.http(peer)
        while peer.upgraded and (message := self.unframe(peer)) is not None:
            opcode, payload = message
            if opcode == 8:
                peer.sock.send(b"\x88\x02\x03\xe8")
                self.close(peer)
                return
            if opcode == 9:
                peer.sock.send(bytes([0x8A, len(payload)]) + payload)
            elif opcode == 1:
                (self.plain if peer.plain else self.socketio)(peer, payload.decode())

    @staticmethod
    def unframe(peer: Peer) -> tuple[int, bytes] | None:
        data = peer.buffer
        if len(data) < 6:
            return None
        size, at = data[1] & 127, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        if len(data) < at + 4 + size:
            return None
        mask, payload = data[at : at + 4], data[at + 4 : at + 4 + size]
        peer.buffer = data[at + 4 + size :]
        key = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        return data[0] & 15, plain.to_bytes(size, "big")

    def http(self, peer: Peer) -> None:
        head, mark, rest = peer.buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        method, path, _ = lines[0].split(" ", 2)
        if "sec-websocket-key" in headers:
            key = hashlib.sha1(headers["sec-websocket-key"].encode() + GUID).digest()
            answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            peer.upgraded, peer.plain, peer.buffer = True, not path.startswith("/socket.io/"), rest
            data = f"{answer}Sec-WebSocket-Accept: {base64.b64encode(key).decode()}\r\n\r\n".encode()
            if not peer.plain:
                hello = {"sid": f"e{peer.number}", "upgrades": [], "maxPayload": 1_000_000}
                data += frame("0" + compact(hello | {"pingInterval": 300_000, "pingTimeout": 300_000}))
            peer.sock.send(data)
            return
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            return
        peer.buffer = rest[size:]
        if method == "POST" and path == "/publish":
            body = json.loads(rest[:size])
            self.publish(body["channel"], body["text"])
            peer.sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        elif path.startswith("/bootstrap?"):
            self.bootstraps += 1
            body = compact({"gateway": {"url": f"ws://127.0.0.1:{self.listener.getsockname()[1]}/socket.io/"}}).encode()
            peer.sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        else:
            peer.sock.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def subscribe(self, peer: Peer, channel: str) -> None:
        members = self.members.setdefault(channel, [])
        if peer not in members:
            members.append(peer)

    def socketio(self, peer: Peer, text: str) -> None:
        if text.startswith("40"):
            peer.sock.send(frame("40" + compact({"sid": f"s{peer.number}"})))
        elif text.startswith("42"):
            bracket = text.index("[")
            number, (event, body, *_) = text[2:bracket], json.loads(text[bracket:])
            if event == "subscribe":
                self.subscribe(peer, body["channel"])
                if "client" in body:
                    self.names[peer.number] = body["client"]
            elif event == "publish":
                self.publish(body["channel"], body["text"])
            if number:
                peer.sock.send(frame(f"43{number}" + compact([{"ok": True}])))
        elif text.startswith(("41", "1")):
            self.close(peer)

    def plain(self, peer: Peer, text: str) -> None:
        body = json.loads(text)
        if body["type"] == "subscribe":
            self.subscribe(peer, body["channel"])
            peer.sock.send(frame(compact({"type": "subscribed"})))
        elif body["type"] == "publish":
            self.publish(body["channel"], body["text"])

    def woken_late_ns(self, percent: float) -> int:
        """Return how late a wait for a due time ended: what the machine does to a process that only has to wake up."""
        wakes = sorted(self.wakes)
        return wakes[min(len(wakes) - 1, int(len(wakes) * percent / 100))] if wakes else 0

    # --- the account --------------------------------------------------------------------------------------------------

    def write_account(self) -> None:
        self.log.close()
        self.publishes.close()
        account = {
            "script": self.script,
            "published": self.published,
            "accepted": self.accepted,
            "bootstraps": self.bootstraps,
            "sources": sorted(self.sources),
            "undelivered": sum(kind != OVERDUE for *_, kind in self.heap),
            "blocked": self.blocked,
            "gone": self.gone,
            "stalls": self.stalls,
            "names": self.names,
            "wakes_ns": {str(percent): self.woken_late_ns(percent) for percent in (50, 99, 99.9)},
        }
        (self.folder / "account.json").write_text(json.dumps(account))


if __name__ == "__main__":
    Target(json.loads(sys.argv[1]), Path(sys.argv[2])).run()
