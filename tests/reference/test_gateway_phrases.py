"""Requests to subscribe, looked up: what is looked up is what reading anew says."""

from __future__ import annotations

import pytest

from reference_gateway.gateway.phrases import Phrases, Wish


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        (b'420["subscribe",{"collection":"c-1"}]', Wish("c-1", "0")),
        (b'42/,17["subscribe",{"collection":"c-1"}]', Wish("c-1", "17")),
        ('42["subscribe",{"collection":"\u00fc", "x": 1}]'.encode(), Wish("\u00fc", None)),
        (b'420["unsubscribe",{"collection":"c-1"}]', None),
        (b'420["edit","[\\"subscribe\\",",{"collection":"c-1"}]', None),
        (b'420["edit",["subscribe",{"collection":"c-1"}]]', None),
        (b'42/a,0["subscribe",{"collection":"c-1"}]', None),
        (b'430["subscribe",{"collection":"c-1"}]', None),
        (b'420["subscribe",{"collection":""}]', None),
        (b'420["subscribe",{"collection":"c-1"}', None),
        (b'420["subscribe",{"collection":"\xff"}]', None),
        (b'420["subscribe",{"collection":"\\ud800"}]', None),
        (b'420["subscribe","c-1"]', None),
        (b"40", None),
        (b"3", None),
        (b"", None),
    ],
)
def test_text_is_a_wish_or_left_to_others_however_often_it_comes(text: bytes, wish: Wish | None) -> None:
    phrases = Phrases()
    assert [phrases[text] for _ in range(3)] == [wish] * 3
    assert len(phrases) == (wish is not None)


def test_known_phrases_are_bounded() -> None:
    phrases = Phrases()
    for number in range(10_000):
        assert phrases[b'420["subscribe",{"collection":"c-%d"}]' % number] == (f"c-{number}", "0")
        assert len(phrases) <= 4096
