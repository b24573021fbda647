from __future__ import annotations

import io
import re

from loadtest.report.plain import PlainLog

from .synthetic import make_intervals, make_marks


def written(seconds: int) -> list[str]:
    """Return the lines of a log that was fed the first `seconds` of the run."""
    stream = io.StringIO()
    with PlainLog(stream) as log:
        marks = make_marks()
        for line in make_intervals()[:seconds]:
            while marks and marks[0]["t_s"] <= line["t_s"]:
                log.mark(marks.pop(0))
            log.feed(line)
    return stream.getvalue().splitlines()


def test_every_line_is_key_value_pairs() -> None:
    pair = r'[a-z0-9_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"=]+)'
    for line in written(114):
        assert re.fullmatch(rf"{pair}(?: {pair})*", line), line


def test_interval_line_has_the_figures() -> None:
    line = next(line for line in written(40) if line.startswith("t=35.0 "))
    for words in ("phase=hold", "subscribed=4409/5000", "waiting=295", "attempts=354", "failed=106", "event=deploy"):
        assert f" {words}" in line
    assert " fanout_p99_ms=31.86 " in line
    assert line.endswith(" back=4409/5000")


def test_failed_attempts_come_with_the_most_frequent_reasons() -> None:
    stream = io.StringIO()
    log = PlainLog(stream)
    log.feed({"t_s": 1.0, "failures": {"refused": 2, "http_503": 40, "eof": 3, "reset": 1}})
    log.feed({"t_s": 2.0, "failures": {}})
    first, second = stream.getvalue().splitlines()
    assert " failed=46 reasons=http_503:40,eof:3,refused:2 " in first
    assert "reasons=" not in second


def test_lines_come_each_second_first_then_every_five() -> None:
    times = [float(line.split()[0][2:]) for line in written(114) if " phase=" in line]
    assert [time for time in times if time <= 19] == [float(second) for second in range(1, 20)]
    assert [time for time in times if 19 < time < 33] == [24.0, 29.0]
    assert [time for time in times if 33 <= time < 44] == [float(second) for second in range(33, 44)]
    assert [time for time in times if 44 <= time < 60] == [48.0, 53.0, 58.0]


def test_marks_and_log_texts_come_at_once() -> None:
    lines = written(40)
    assert 't=32.1 mark=deploy kind=deploy text="all-at-once, 2 nodes"' in lines
    assert 't=34.0 log="deploy complete: 2 nodes replaced in 1.2 s"' in lines


def test_hostile_text_cannot_forge_a_line() -> None:
    stream = io.StringIO()
    log = PlainLog(stream)
    log.mark({"t_s": 1.0, "mark": "a b\nt=9 mark=x", "kind": "k", "text": 'say "hi"\x1b[2J\nt=2 verdict=pass'})
    log.feed({"t_s": 2.0, "phase": "hold x=1", "log": ["one\ntwo"]})
    log.log("three\nfour")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == 't=1.0 mark="a b t=9 mark=x" kind=k text="say \\"hi\\"\ufffd[2J t=2 verdict=pass"'
    assert lines[1].startswith('t=2.0 phase="hold x=1" ')
    assert lines[3] == 'log="three four"'
