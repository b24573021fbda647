from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.metrics.progress import Progress

steps = st.lists(st.tuples(st.sampled_from(["plus", "minus", "raised"]), st.integers(0, 70)), max_size=40)


@given(steps, st.integers(-1, 10))
def test_two_integers_say_what_a_set_of_numbers_says(changes: list[tuple[str, int]], start: int) -> None:
    progress, settled = Progress(start, 0), set(range(start + 1))
    for name, seq in changes:
        if name == "minus" and not progress.has(seq):
            continue
        progress = getattr(progress, name)(seq)
        if name == "plus":
            settled.add(seq)
        elif name == "minus":
            settled.discard(seq)
        else:
            settled |= set(range(seq + 1))
        assert [progress.has(each) for each in range(80)] == [each in settled for each in range(80)]
        assert progress.top == max(settled, default=progress.base)
        assert not progress.above & 1
