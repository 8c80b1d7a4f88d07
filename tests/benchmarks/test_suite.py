"""How a measured case becomes a row: limits and bars."""

from dataclasses import replace

import pytest

from benchmarks.machine import slug
from benchmarks.side_by_side import Comparison, Measured
from benchmarks.suite import Case, Limit, Target, row


def measured(speed_up=2.0, ours=0.5):
    return Measured(ours, [Comparison("rival", ours, ours * speed_up, speed_up, 1.9, 2.1, 15)], {}, 0.01)


def case(limit=None, target=None, threads=2):
    return Case("group", "name", threads, {"size": 3}, lambda: None, [], limit, target)


def test_share_of_a_limit_in_seconds():
    found = row(case(Limit("peak", lambda: 0.4)), measured(ours=0.5), 0.4, "avx512")
    assert found["limit"] == {"what": "peak", "seconds": 0.4, "achieved": pytest.approx(0.8)}


def test_share_of_a_limit_in_times():
    found = row(case(Limit("skipped", speed_up=("rival", 4.0))), measured(3.0), None, "avx512")
    assert found["limit"]["achieved"] == pytest.approx(0.75)


def test_checks():
    target = Target({"rival": 2.0}, achieved=0.9)
    found = row(case(Limit("peak", lambda: 0.4), target), measured(2.0), 0.4, "avx512")
    assert [(check["at_least"], check["passed"]) for check in found["checks"]] == [(2.0, True), (0.9, False)]


@pytest.mark.parametrize(("capability", "threads"), [("avx2", 2), ("avx512", 1)])
def test_bars_are_judged_only_where_they_are_set_for(capability, threads):
    found = row(case(target=Target({"rival": 5.0}), threads=threads), measured(), None, capability)
    assert found["checks"] == []
    assert found["limit"] is None


def test_memory():
    target = Target(memory={"rival": 20.0})
    found = row(case(target=target), measured(), None, "avx512", {"ours": 10, "rival": 150})
    assert found["memory"] == {"ours": 10, "rival": 150}
    assert [(check["value"], check["passed"]) for check in found["checks"]] == [(15.0, False)]
    assert "memory" not in row(case(), measured(), None, "avx512")


def test_a_bar_over_a_missing_rival_is_missed():
    """It would vanish without a word otherwise; a rival that a case does not have on this machine sets no bar."""
    target = case(target=Target({"other": 5.0}))
    assert row(target, measured(), None, "avx512")["checks"] == []
    (check,) = row(target, replace(measured(), missing={"other": "no compiler"}), None, "avx512")["checks"]
    assert check == {"what": "speed-up over other (missing)", "value": 0.0, "at_least": 5.0, "passed": False}


def test_file_names_of_processors():
    assert slug("Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz f6 m143") == "intel-xeon-platinum-8488c-f6-m143"
    assert slug("AMD EPYC 9B14 96-Core Processor") == "amd-epyc-9b14-96-core"
