from __future__ import annotations

from loadtest.compare.caveats import caveats, clock_error_ms
from loadtest.compare.group import Group

from .runs import PROFILE, make_group, make_record, make_run


def group(name: str, **more: str) -> Group:
    records = (make_record(make_run(at, name), **more) for at in range(2))
    return Group(name, tuple(records))


def test_two_versions_of_one_profile_on_one_machine_have_none() -> None:
    assert caveats(group("a"), group("b", profile_text=PROFILE.replace('"a"', '"b"'))) == []


def test_profiles_that_differ_beyond_the_target_are_named_by_key() -> None:
    other = group("b", profile_text=PROFILE.replace("40/s", "80/s") + "payload = '64B'\n")
    assert caveats(group("a"), other) == [
        "The profiles differ in publish.payload (not set and 64B), publish.rate (40/s and 80/s)."
    ]


def test_unknown_profile_is_said() -> None:
    assert "The profile of 2 runs is unknown." in caveats(group("a"), group("b", profile_text=""))


def test_other_machine_harness_and_workers_are_named() -> None:
    other = group("b")
    for record in other.runs:
        record.run["harness"] |= {"kernel": "5.10", "version": "0.2.0", "workers": 3}
    assert caveats(group("a"), other) == [
        "Different machines: kernel is 6.18 and 5.10.",
        "Different harness: version is 0.1.0 and 0.2.0.",
        "Different number of workers: workers is 2 and 3.",
    ]


def test_versions_run_one_after_the_other_are_said() -> None:
    late = Group("b", tuple(make_record(make_run(at, "b")) for at in (30, 31)))
    (told,) = caveats(group("a"), late)
    assert "not interleaved" in told


def test_left_out_runs_and_empty_groups_are_carried() -> None:
    assert caveats(Group("a", (), ("x is left out: why.",)), group("b")) == [
        "a: x is left out: why.",
        "a has no run to compare.",
    ]


def test_same_runs_on_both_sides_are_said() -> None:
    both = make_group("a", [1.0, 2.0])
    assert "2 of the runs are in both groups." in caveats(both, both)


def test_clock_error_is_the_largest() -> None:
    one = group("a")
    one.runs[1].run["generator"]["clock_error_ms"] = 0.7
    assert clock_error_ms(one) == 0.7
    assert clock_error_ms(Group("none", ())) == 0.0
