"""The dialect contract: one suite for every implementation, then what each says in its own bytes."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from loadtest.protocol.dialect import Dialect, Resumption
from loadtest.protocol.events import (
    IGNORED,
    KINDS,
    Acked,
    Closed,
    Delivered,
    Joined,
    Left,
    Opened,
    Partial,
    Pinged,
    Refused,
)
from loadtest.protocol.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, encode, split
from loadtest.protocol.marker import Marker, format_marker
from loadtest.protocol.socketio_dialect import SocketIODialect
from loadtest.protocol.template import TemplateError
from loadtest.protocol.websocket_dialect import WebSocketDialect

MARKER = Marker("0badcafe", 3, 0, 41, 1_000_000, 250)
TOKEN = format_marker(MARKER)
VARIABLES: dict[str, object] = {"channel": "c-1", "token": "tok-7", "marker": TOKEN, "padding": "xxxx"}


def socketio_dialect(**options: Any) -> SocketIODialect:
    profile: dict[str, Any] = {
        "auth": {"token": "{token}"},
        "subscribe_event": "subscribe",
        "subscribe_args": [{"collection": "{channel}"}],
        "ack_path": "0.ok",
        "ack_equals": True,
        "publish_event": "edit",
        "publish_args": [{"collection": "{channel}", "text": "{marker}{padding}"}],
        "marker_path": "1.text",
    }
    return SocketIODialect(**(profile | options))


def websocket_dialect(**options: Any) -> WebSocketDialect:
    profile: dict[str, Any] = {
        "hello": {"type": "hello", "token": "{token}"},
        "subscribe_message": {"type": "subscribe", "channel": "{channel}"},
        "subscribe_ack": True,
        "ack_path": "type",
        "ack_equals": "subscribed",
        "publish_message": {"type": "say", "text": "{marker}{padding}"},
        "marker_path": "text",
    }
    return WebSocketDialect(**(profile | options))


DIALECTS: dict[str, Dialect] = {
    "socketio": socketio_dialect(),
    "socketio-namespace": socketio_dialect(namespace="/admin", subscribe_ack=False, publish_ack=False),
    "socketio-bare": SocketIODialect(),
    "websocket": websocket_dialect(),
    "websocket-bare": WebSocketDialect(),
}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())


def text(data: str) -> Frame:
    return Frame(TEXT, data.encode())


def sent(data: bytes) -> list[tuple[int, bytes]]:
    """Read what a client wrote as a server would: masked, whole frames only."""
    frames, used = split(data, masked=True)
    assert used == len(data)
    return [(frame.opcode, frame.payload) for frame in frames]


# --- the contract ---------------------------------------------------------------------------------------------------


@every_dialect
def test_everything_written_is_whole_client_frames(dialect: Dialect) -> None:
    written = [
        dialect.greeting(VARIABLES),
        dialect.join(VARIABLES),
        dialect.subscribe(VARIABLES, 0),
        dialect.send({"a": 1}),
    ]
    for data in written:
        assert all(opcode in (TEXT, BINARY) for opcode, _ in sent(data))
    assert sent(dialect.ping()) == [(PING, b"")]
    assert sent(dialect.close()) == [(CLOSE, b"\x03\xe8")]
    assert sent(dialect.close(3000, "bye")) == [(CLOSE, b"\x0b\xb8bye")]


@every_dialect
def test_control_frames_mean_the_same_everywhere(dialect: Dialect) -> None:
    (pinged,) = dialect.decode(Frame(PING, b"p"))
    assert isinstance(pinged, Pinged)
    assert sent(pinged.reply) == [(PONG, b"p")]
    assert dialect.decode(Frame(PONG, b"p")) == IGNORED
    (closed,) = dialect.decode(Frame(CLOSE, b"\x03\xe9deploy"))
    assert isinstance(closed, Closed)
    assert (closed.code, closed.reason, sent(closed.reply)) == (1001, "deploy", [(CLOSE, b"\x03\xe9")])
    (silent,) = dialect.decode(Frame(CLOSE, b""))
    assert isinstance(silent, Closed)
    assert (silent.code, sent(silent.reply)) == (1005, [(CLOSE, b"")])


@every_dialect
@pytest.mark.parametrize("frame", [Frame(TEXT, b"x", fin=False), Frame(CONTINUATION, b"")])
def test_fragments_are_the_callers_fault(dialect: Dialect, frame: Frame) -> None:
    with pytest.raises(LocalProtocolError):
        dialect.decode(frame)


@every_dialect
@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Frame(TEXT, b"\xff"), "bad_utf8"),
        (Frame(CLOSE, b"\x03"), "bad_close"),
        (Frame(CLOSE, b"\x03\xe8\xff"), "bad_utf8"),
    ],
)
def test_faults_of_the_transport_are_named(dialect: Dialect, frame: Frame, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        dialect.decode(frame)
    assert caught.value.reason == reason


@every_dialect
def test_decoding_is_stateless(dialect: Dialect) -> None:
    frames = [
        text(f'42["revision",{{"text":"{TOKEN}"}}]'),
        text('{"type":"subscribed"}'),
        Frame(PING, b""),
        Frame(BINARY, b"x"),
    ]

    def outcomes() -> list[object]:
        results: list[object] = []
        for frame in frames:
            try:
                results.append(dialect.decode(frame))
            except ProtocolError as error:
                results.append(str(error))
        return results

    assert outcomes() == outcomes() == outcomes()


@every_dialect
def test_an_answer_is_promised_only_when_something_is_asked(dialect: Dialect) -> None:
    assert not (dialect.acked_subscribe and dialect.subscribe(VARIABLES, 0) == b"")


@every_dialect
def test_bare_publish_is_a_local_fault(dialect: Dialect) -> None:
    try:
        assert TOKEN.encode() in sent(dialect.publish(VARIABLES, 0))[0][1]
    except LocalProtocolError as error:
        assert "publish" in str(error)  # noqa: PT017


def test_kinds_are_dense() -> None:
    assert [kind.KIND for kind in KINDS] == list(range(len(KINDS)))


# --- Socket.IO ------------------------------------------------------------------------------------------------------


def test_socketio_says_what_the_profile_says() -> None:
    dialect = socketio_dialect()
    assert (dialect.name, dialect.opens_with_upgrade, dialect.acked_subscribe, dialect.acked_publish) == (
        "socketio",
        False,
        True,
        True,
    )
    assert dialect.greeting(VARIABLES) == b""
    assert sent(dialect.join(VARIABLES)) == [(TEXT, b'40{"token":"tok-7"}')]
    offered = sent(dialect.join(VARIABLES, Resumption("p", "17")))
    assert offered == [(TEXT, b'40{"pid":"p","offset":"17","token":"tok-7"}')]
    assert sent(dialect.subscribe(VARIABLES, 0)) == [(TEXT, b'420["subscribe",{"collection":"c-1"}]')]
    assert sent(dialect.publish(VARIABLES, 12)) == [
        (TEXT, f'4212["edit",{{"collection":"c-1","text":"{TOKEN}xxxx"}}]'.encode())
    ]
    assert sent(dialect.emit("move", [1, "é"])) == [(TEXT, '42["move",1,"é"]'.encode())]
    assert sent(dialect.emit("save", [b"\1", b"\2"], 3)) == [
        (TEXT, b'452-3["save",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'),
        (BINARY, b"\1"),
        (BINARY, b"\2"),
    ]
    assert sent(dialect.acknowledge(5, ["ok"])) == [(TEXT, b'435["ok"]')]
    assert sent(dialect.send("hi")) == [(TEXT, b'42["message","hi"]')]


def test_socketio_in_a_namespace_without_acks() -> None:
    dialect = socketio_dialect(namespace="/admin", auth=None, subscribe_ack=False, publish_ack=False)
    assert sent(dialect.join(VARIABLES)) == [(TEXT, b"40/admin,")]
    assert sent(dialect.join(VARIABLES, Resumption("p", None))) == [(TEXT, b'40/admin,{"pid":"p"}')]
    assert sent(dialect.subscribe(VARIABLES, 9)) == [(TEXT, b'42/admin,["subscribe",{"collection":"c-1"}]')]
    assert sent(dialect.emit("x", [], 1)) == [(TEXT, b'42/admin,1["x"]')]
    assert not dialect.acked_subscribe
    assert not dialect.acked_publish


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("", {}, "/socket.io/?EIO=4&transport=websocket"),
        ("/", {"user": "a b&c"}, "/socket.io/?EIO=4&transport=websocket&user=a+b%26c"),
        ("/rt/", {}, "/rt/?EIO=4&transport=websocket"),
        ("/rt/?k=1", {}, "/rt/?k=1&EIO=4&transport=websocket"),
        ("/é\r\n/", {}, "/%C3%A9%0D%0A/?EIO=4&transport=websocket"),
    ],
)
def test_socketio_target(path: str, query: dict[str, str], target: str) -> None:
    assert socketio_dialect().target(path, query) == target


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}', Opened("s", 25.0, 20.0)),
        ('40{"sid":"w"}', Joined("w")),
        ('40{"sid":"w","pid":"p"}', Joined("w", "p")),
        ("40", Joined("")),
        ('44{"message":"no"}', Refused("no")),
        ('44{"message":"busy","data":{"retry_after":30}}', Refused("busy", 30.0)),
        ('44{"message":"busy","data":{"retry_after_s":0.25}}', Refused("busy", 0.25)),
        ('44{"message":"busy","data":{"retry_after":-1}}', Refused("busy")),
        ('44{"message":"busy","data":{"retry_after":true}}', Refused("busy")),
        ('44"no"', Refused("no")),
        ('4312[{"ok":true}]', Acked(12, ({"ok": True},), True)),
        ('4312[{"ok":false}]', Acked(12, ({"ok": False},), False)),
        ("430[]", Acked(0, (), False)),
        ("41", Left("server_disconnect")),
        ("1", Left("engine_close")),
        (f'42["revision",{{"text":"{TOKEN}xx"}}]', Delivered(MARKER, "revision", ({"text": f"{TOKEN}xx"},))),
        ('42["revision",{"text":5}]', Delivered(None, "revision", ({"text": 5},))),
        (f'42["other","{TOKEN}"]', Delivered(None, "other", (TOKEN,))),
        ('427["ask"]', Delivered(None, "ask", (), 7)),
        ('450-["revision"]', Delivered(None, "revision")),
        ("3", IGNORED[0]),
        ("6", IGNORED[0]),
        ('42/admin,["revision"]', IGNORED[0]),
        ("41/admin,", IGNORED[0]),
    ],
)
def test_socketio_reads(message: str, event: object) -> None:
    assert socketio_dialect().decode(text(message)) == (event,)


def test_socketio_answers_the_heartbeat() -> None:
    for ping, pong in (("2", b"3"), ("2probe", b"3probe")):
        (event,) = socketio_dialect().decode(text(ping))
        assert isinstance(event, Pinged)
        assert sent(event.reply) == [(TEXT, pong)]


def test_socketio_acks_are_all_ok_without_a_rule() -> None:
    assert SocketIODialect().decode(text('431[{"ok":false}]')) == (Acked(1, ({"ok": False},), True),)


@pytest.mark.parametrize("path", ["1.pic", ""])
def test_socketio_finishes_a_packet_with_attachments(path: str) -> None:
    dialect = socketio_dialect(marker_path=path)
    (partial,) = dialect.decode(text('451-["shot",{"pic":{"_placeholder":true,"num":0}}]'))
    assert isinstance(partial, Partial)
    assert partial.attachments == 1
    data = TOKEN.encode() + b"\xff"
    assert dialect.decode_binary(partial, [data]) == (Delivered(MARKER, "shot", ({"pic": data},)),)
    with pytest.raises(RemoteProtocolError):
        dialect.decode_binary(partial, [])


def test_socketio_searches_the_text_beside_attachments() -> None:
    dialect = socketio_dialect(marker_path="")
    (partial,) = dialect.decode(text(f'451-["shot","{TOKEN}",{{"_placeholder":true,"num":0}}]'))
    assert isinstance(partial, Partial)
    assert dialect.decode_binary(partial, [b"x"]) == (Delivered(MARKER, "shot", (TOKEN, b"x")),)


def test_socketio_collects_attachments_of_other_namespaces_to_ignore_them() -> None:
    dialect = socketio_dialect()
    (partial,) = dialect.decode(text('451-/other,["shot",{"_placeholder":true,"num":0}]'))
    assert isinstance(partial, Partial)
    assert dialect.decode_binary(partial, [b"x"]) == IGNORED


@pytest.mark.parametrize("message", ["", "x", "4", "48", "42{}", "43[]", "0", "0[]", '42["a"'])
def test_socketio_refuses_malformed_packets(message: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        socketio_dialect().decode(text(message))
    assert caught.value.reason == "malformed_packet"


def test_socketio_refuses_an_attachment_out_of_turn() -> None:
    with pytest.raises(RemoteProtocolError):
        socketio_dialect().decode(Frame(BINARY, b"x"))


@pytest.mark.parametrize("options", [{"namespace": "admin"}, {"auth": ["a"]}, {"subscribe_args": ["{"]}])
def test_socketio_refuses_a_bad_profile(options: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        socketio_dialect(**options)


def test_socketio_names_a_missing_variable() -> None:
    with pytest.raises(TemplateError, match="channel"):
        socketio_dialect().subscribe({}, 0)


# --- plain WebSocket ------------------------------------------------------------------------------------------------


def test_websocket_says_what_the_profile_says() -> None:
    dialect = websocket_dialect()
    assert (dialect.name, dialect.opens_with_upgrade, dialect.acked_subscribe, dialect.acked_publish) == (
        "websocket",
        True,
        True,
        False,
    )
    assert sent(dialect.greeting(VARIABLES)) == [(TEXT, b'{"type":"hello","token":"tok-7"}')]
    assert dialect.join(VARIABLES) == b""
    assert sent(dialect.subscribe(VARIABLES, 0)) == [(TEXT, b'{"type":"subscribe","channel":"c-1"}')]
    assert sent(dialect.publish(VARIABLES, 0)) == [(TEXT, f'{{"type":"say","text":"{TOKEN}xxxx"}}'.encode())]
    assert sent(dialect.send("as is")) == [(TEXT, b"as is")]
    assert sent(dialect.send(b"\1")) == [(BINARY, b"\1")]
    assert sent(dialect.send([1])) == [(TEXT, b"[1]")]
    with pytest.raises(LocalProtocolError):
        dialect.emit("x", [])


def test_websocket_sends_a_string_as_it_is() -> None:
    assert sent(websocket_dialect(hello="AUTH {token}").greeting(VARIABLES)) == [(TEXT, b"AUTH tok-7")]


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [("", {}, "/"), ("/ws", {}, "/ws"), ("/ws?a=1", {"b": "ü"}, "/ws?a=1&b=%C3%BC"), ("/a b", {}, "/a%20b")],
)
def test_websocket_target(path: str, query: dict[str, str], target: str) -> None:
    assert websocket_dialect().target(path, query) == target


SAID = {"type": "said", "text": TOKEN}


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (text('{"type":"subscribed","n":1}'), Acked(None, ({"type": "subscribed", "n": 1},))),
        (text(f'{{"type":"said","text":"{TOKEN}"}}'), Delivered(MARKER, None, (SAID,))),
        (
            text(f'{{"type":"said","elsewhere":"{TOKEN}"}}'),
            Delivered(None, None, ({"type": "said", "elsewhere": TOKEN},)),
        ),
        (text(f"said {TOKEN}"), Delivered(MARKER, None, (f"said {TOKEN}",))),
        (text("NaN"), Delivered(None, None, ("NaN",))),
        (text("[" * 100_000), Delivered(None, None, ("[" * 100_000,))),
        (text(""), Delivered(None, None, ("",))),
        (Frame(BINARY, b"\xff" + TOKEN.encode()), Delivered(MARKER, None, (b"\xff" + TOKEN.encode(),))),
    ],
)
def test_websocket_reads(frame: Frame, event: object) -> None:
    assert websocket_dialect().decode(frame) == (event,)


def test_websocket_without_a_path_searches_everywhere() -> None:
    (event,) = websocket_dialect(marker_path="").decode(text(f'{{"type":"said","deep":[["{TOKEN}"]]}}'))
    assert isinstance(event, Delivered)
    assert event.marker == MARKER


def test_websocket_without_acks_takes_an_answer_for_a_message() -> None:
    dialect = websocket_dialect(subscribe_ack=False)
    assert not dialect.acked_subscribe
    assert dialect.decode(text('{"type":"subscribed"}')) == (Delivered(None, None, ({"type": "subscribed"},)),)


def test_websocket_refuses_an_ack_without_a_rule() -> None:
    with pytest.raises(LocalProtocolError, match="ack_path"):
        WebSocketDialect(subscribe_message="x", subscribe_ack=True)


def test_websocket_has_no_attachments() -> None:
    with pytest.raises(LocalProtocolError):
        websocket_dialect().decode_binary(Partial(1, None), [b""])


def test_frames_written_are_the_literal_bytes() -> None:
    assert WebSocketDialect().send("hi") == b"\x81\x82\0\0\0\0hi" == encode(TEXT, b"hi")
