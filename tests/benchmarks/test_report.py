"""From pytest-benchmark's JSON to the committed results and the pages, on made-up numbers."""

import copy
import json

import pytest

from benchmarks import report, results, tables
from benchmarks.groups import DROPOUT, GROUPS, PLAIN
from benchmarks.suite import DISTURBED, QUIET

MACHINE = {
    "cpu": "Some CPU",
    "kind": "some-cpu-f1-m2-avx512",
    "capability": "avx512",
    "cores": 2,
    "torch": "2.13.0",
    "python": "3.11.7",
    "system": "Linux x86_64",
    "bernoulli": "serial",
    "multiply_add_gflops": {"1": 250.0, "2": 500.0},
    "copy_gbytes": {"1": 20.0, "2": 30.0},
    "philox_gwords": 3.5,
}

DEVICE = {
    "device": "Some GPU",
    "kind": "some-gpu",
    "capability": "sm_90",
    "memory_gbytes": 150.2,
    "driver": "580.1",
    "cuda": "13.0",
    "cudnn": 91300,
    "cpu": "Some CPU",
    "cores": 16,
    "torch": "2.13.0+cu130",
    "python": "3.12.3",
    "system": "Linux x86_64",
    "copy_gbytes": 4300.0,
    "product_tflops": {"TF32": 400.0, "BF16": 790.0, "FP16": 780.0},
    "word_gs": 600.0,
    "normal_gs": 300.0,
}


def make_row(group=PLAIN, name="one", threads=2, speed_up=2.0, achieved=0.95, checks=(), **changes):
    rival = {
        "rival": group.rival,
        "ours_seconds": 0.00123456,
        "rival_seconds": 0.00123456 * speed_up,
        "speed_up": speed_up,
        "lower": speed_up * 0.98,
        "upper": speed_up * 1.02,
        "pairs": 15,
    }
    row = {
        "group": group.title,
        "name": name,
        "threads": threads,
        "parameters": {"channels": 3},
        "ours_seconds": 0.00123456,
        "rivals": [rival],
        "missing": {},
        "limit": {"what": "peak", "seconds": 0.001, "achieved": achieved},
        "checks": list(checks),
        "others_load": 0.0,
    }
    return row | changes


def make_output(rows, quick=False, unmeasured=(), machine=MACHINE):
    return {
        "machine": machine,
        "suite": {"quick": quick, "all_files": True, "unmeasured": list(unmeasured)},
        "commit_info": {"id": "0123456789abcdef", "dirty": True},
        "datetime": "2031-02-03T04:05:06+00:00",
        "benchmarks": [{"name": "x", "extra_info": {"row": row}} for row in rows],
    }


def make_run(*rows, **options):
    return results.from_benchmark_json(make_output(rows or [make_row()], **options))


def make_device_run(*rows):
    return make_run(*(rows or [make_row(threads=None)]), machine=DEVICE)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results"


def test_run_of_a_benchmark_file():
    run = make_run(make_row(others_load=0.02), make_row(name="two", others_load=0.04))
    assert run["date"] == "2031-02-03"
    assert run["commit"] == "0123456789ab with changes"
    assert run["others_load"] == pytest.approx(0.03)
    assert run["rows"][0]["ours_seconds"] == 0.001235


def test_only_a_whole_and_quiet_run_counts():
    assert results.why_invalid(make_run()) is None
    assert "quick" in results.why_invalid(make_run(quick=True))
    assert "part" in results.why_invalid(make_run(unmeasured=["bench_x.py::two"]))
    assert "busy" in results.why_invalid(make_run(make_row(others_load=QUIET * 1.5)))


def test_parts_of_a_run_are_put_together():
    one, two, three = make_row(name="one"), make_row(name="two"), make_row(name="two", speed_up=7.0)
    parts = [make_output([one, two], unmeasured=["c"]), make_output([three], unmeasured=["a", "b"])]
    run = results.from_benchmark_json(*parts)
    assert [(row["name"], row["rivals"][0]["speed_up"]) for row in run["rows"]] == [("one", 2.0), ("two", 7.0)]
    assert results.why_invalid(run) is None
    parts[1]["suite"]["unmeasured"] = ["a", "c"]  # nobody has measured c
    assert "part" in results.why_invalid(results.from_benchmark_json(*parts))
    parts[1]["suite"] |= {"unmeasured": ["a"], "all_files": False}  # who knows what else there is
    assert "part" in results.why_invalid(results.from_benchmark_json(*parts))


def test_a_case_that_was_interrupted_has_no_row():
    output = make_output([make_row()], unmeasured=["bench_x.py::two"])
    output["benchmarks"].append({"name": "two", "extra_info": {}})
    run = results.from_benchmark_json(output)
    assert (len(run["rows"]), run["partial"]) == (1, True)


def test_parts_of_a_run_are_of_one_machine():
    with pytest.raises(ValueError, match="one kind of machine"):
        results.from_benchmark_json(make_output([make_row()]), make_output([make_row()], machine=DEVICE))


def test_results_are_named_by_the_kind_of_machine(folder):
    run = make_run()
    path = results.store(run, folder)
    assert path.name == "some-cpu-f1-m2-avx512.json"
    assert results.load_all(folder) == [run]


def test_a_run_does_not_differ_from_itself():
    found = results.difference(make_run(), make_run())
    assert found == results.Difference(2, [], [], [])


def test_differences_are_of_ratios_and_beyond_their_spread():
    old = make_run(make_row(name="slower"), make_row(name="noisy"), make_row(name="gone"))
    new = copy.deepcopy(old)
    for row in new["rows"]:
        row["ours_seconds"] *= 10  # absolute times do not count
    slower, noisy, gone = new["rows"]
    slower["rivals"][0] |= {"speed_up": 1.5, "lower": 1.4, "upper": 1.6}
    noisy["rivals"][0] |= {"speed_up": 1.5, "lower": 1.0, "upper": 2.0}
    gone["name"] = "added"
    found = results.difference(new, old)
    assert [(change.before, change.now) for change in found.changes] == [(2.0, 1.5)]
    assert "slower" in str(found.changes[0])
    assert "-25%" in str(found.changes[0])
    assert (len(found.added), len(found.gone)) == (1, 1)
    assert "added" in found.added[0]
    assert "gone" in found.gone[0]


def test_a_changed_share_of_the_limit_is_a_difference():
    found = results.difference(make_run(make_row(achieved=0.8)), make_run(make_row(achieved=0.95)))
    assert [change.what for change in found.changes] == ["share of the limit"]


def test_numbers():
    assert [tables.duration(s) for s in (1.5, 0.0123, 4.5678e-5, 3e-9)] == ["1.5 s", "12.3 ms", "45.7 µs", "3 ns"]
    assert tables.speed_up(2.0, 1.9, 12.34) == "2.00 × (1.90 – 12.3)"
    assert tables.speed_up(0.5, 0.4, 0.6) == "**0.50 × (0.40 – 0.60)**"


def test_table():
    missed = {"what": "share of the limit", "value": 0.84, "at_least": 0.9, "passed": False}
    rows = [
        make_row(name="we win"),
        make_row(name="we lose", speed_up=0.5, checks=[missed]),
        make_row(name="disturbed", missing={"compiled": "no compiler"}, others_load=DISTURBED * 2),
    ]
    header, _, win, lose, disturbed, *notes = tables.table(rows)
    assert header == "| case | threads | ours | limit | over F.conv2d | over compiled | bar |"
    assert win == "| we win | 2 | 1.23 ms | 95% | 2.00 × (1.96 – 2.04) |  | – |"
    assert "| **0.50 × (0.49 – 0.51)** |" in lose
    assert "missed: share of the limit 0.84 < 0.90" in lose
    assert disturbed.startswith("| disturbed † |")
    assert "| missing |" in disturbed
    assert any("compiled is missing from disturbed: no compiler" in note for note in notes)


def test_memory_has_columns_where_it_was_measured():
    rows = [make_row(name="weighed", memory={"ours": 7_340_000, "F.conv2d": 381_000_000}), make_row(name="not weighed")]
    header, _, weighed, other = tables.table(rows)
    assert header.endswith("| memory | memory of F.conv2d | bar |")
    assert "| 7.34 MB | 381 MB |" in weighed
    assert other.endswith("|  |  | – |")


def test_page_shows_every_row_and_every_missed_bar():
    check = {"what": "share of the limit", "value": 0.84, "at_least": 0.9, "passed": False}
    rows = [make_row(group, name=f"case of {i}") for i, group in enumerate(GROUPS)]
    rows[0]["checks"] = [check, check | {"value": 0.95, "passed": True}]
    text = report.page([make_run(*rows)])
    for i, group in enumerate(GROUPS):
        assert f"### {group.title}\n" in text
        assert f"| case of {i} |" in text
    assert "1 of 2 checks are met" in text
    assert f"- {PLAIN.title}: case of 0, 2 threads: share of the limit 0.84, wanted 0.90" in text


def test_page_says_that_no_gpu_was_reached_until_there_is_a_run_on_one():
    assert "No GPU could be reached" in report.page([make_run()])
    assert "No GPU could be reached" not in report.page([make_run(), make_device_run()])


def test_section_of_a_device():
    check = {"what": "share of the limit", "value": 0.6, "at_least": 0.7, "passed": False}
    rows = [make_row(group, name=f"case of {i}", threads=None) for i, group in enumerate(GROUPS)]
    rows[0]["checks"] = [check]
    text = report.page([make_run(), make_device_run(*rows)]).split("## Some GPU\n")[1]
    assert "- `some-gpu`, sm_90, 150 GB, driver 580.1, CUDA 13.0, cuDNN 91300" in text
    assert "torch 2.13.0+cu130, Python 3.12.3, Linux x86_64, 16 cores of Some CPU" in text
    assert "copy 4300 GB/s (read and written); matrix products TF32 400 TFLOP/s, BF16 790 TFLOP/s" in text
    assert "Philox words 600 G/s and normals 300 G/s" in text
    assert "0 of 1 checks are met. Other rows" in text
    assert f"- {PLAIN.title}: case of 0: share of the limit 0.60, wanted 0.70" in text
    for i, group in enumerate(GROUPS):
        assert f"### {group.title}\n\n{group.device_about or group.about}\n\n" in text
        assert f"Bar: {group.device_bar or group.bar}.\n" in text
        assert f"| case of {i} | 1.23 ms | 95% |" in text  # no column of threads
    assert "AVX-512" not in text.split("### Plain")[0]


def test_devices_come_last_and_have_files_of_their_own(folder):
    assert results.store(make_device_run(), folder).name == "some-gpu.json"
    results.store(make_run(), folder)
    assert [run["machine"]["kind"] for run in results.load_all(folder)] == ["some-cpu-f1-m2-avx512", "some-gpu"]
    assert "1 of 1 ratios" in report.compare(make_device_run(make_row(threads=None, limit=None)), folder)[0]


def test_summary_takes_the_cases_of_two_threads():
    passed = {"what": "speed-up", "value": 2.0, "at_least": 1.0, "passed": True}
    run = make_run(
        make_row(threads=1, speed_up=9.0, achieved=0.1),
        make_row(speed_up=1.5, achieved=0.8, checks=[passed]),
        make_row(name="two", speed_up=3.0, achieved=0.9),
        make_row(DROPOUT, threads=1, limit=None),
    )
    lines = report.summary(run).splitlines()
    assert lines[-2] == "| Plain convolution | `F.conv2d` | 1.50 – 3.00 | 80% – 90% | 1 of 1 |"
    assert lines[-1] == f"| {DROPOUT.title} | `F.dropout` | 2.00 – 2.00 |  |  |"


def test_block_between_the_markers():
    text = f"before\n{report.START}\nold\n{report.END}\nafter\n"
    changed = report.with_block(text, "new")
    assert changed == f"before\n{report.START}\nnew\n{report.END}\nafter\n"
    assert report.with_block(changed, "new") == changed


@pytest.mark.parametrize("text", ["nothing", report.START, f"{report.END}\n{report.START}"])
def test_block_without_both_markers(text):
    with pytest.raises(ValueError, match="expected one"):
        report.with_block(text, "new")


def test_pages_are_written_from_the_committed_runs(folder, tmp_path):
    page, readme = tmp_path / "docs" / "benchmarks.md", tmp_path / "README.md"
    assert report.write_pages(folder, page, readme) == ["no results are committed: no page written"]
    results.store(make_run(), folder)
    assert "left alone" in report.write_pages(folder, page, readme)[-1]
    readme.write_text(f"# Read me\n{report.START}\n{report.END}\n", encoding="utf-8")
    report.write_pages(folder, page, readme)
    assert PLAIN.title in page.read_text(encoding="utf-8")
    text = readme.read_text(encoding="utf-8")
    assert "| Plain convolution |" in text
    assert "speeds on a GPU have not been measured" in text


def test_the_readme_shows_the_cpu_unless_told_otherwise(folder, tmp_path):
    page, readme = tmp_path / "benchmarks.md", tmp_path / "README.md"
    readme.write_text(f"{report.START}\n{report.END}\n", encoding="utf-8")
    results.store(make_device_run(make_row(threads=None, speed_up=7.0), make_row(name="two", threads=None)), folder)
    assert "no results of a CPU" in report.write_pages(folder, page, readme)[-1]
    assert "Some GPU" not in readme.read_text(encoding="utf-8")
    results.store(make_run(), folder)
    report.write_pages(folder, page, readme)
    assert "Some CPU (avx512), 2 threads" in readme.read_text(encoding="utf-8")
    report.write_pages(folder, page, readme, kind="some-gpu")
    text = readme.read_text(encoding="utf-8")
    assert "Some GPU, torch 2.13.0+cu130" in text
    assert "not been measured" not in text
    assert "| Plain convolution | `F.conv2d` | 2.00 – 7.00 | 95% – 95% |  |" in text
    assert "no results of other-gpu" in report.write_pages(folder, page, readme, kind="other-gpu")[-1]


def test_comparison_with_the_committed_run(folder):
    run = make_run(make_row(), make_row(name="two"))
    assert "nothing to compare" in report.compare(run, folder)[0]
    results.store(run, folder)
    assert report.compare(run, folder) == ["against some-cpu-f1-m2-avx512.json: 4 of 4 ratios unchanged"]
    part = make_run(unmeasured=["bench_x.py::two"])
    assert report.compare(part, folder) == ["against some-cpu-f1-m2-avx512.json: 2 of 2 ratios unchanged"]


@pytest.fixture
def command(folder, tmp_path, monkeypatch):
    """The command on made-up files; returns the runs that it has stored."""
    stored = []
    monkeypatch.setattr(results, "RESULTS", folder)
    monkeypatch.setattr(results, "store", lambda run: stored.append(run) or "somewhere")
    monkeypatch.setattr(report, "write_pages", lambda kind: [f"pages written, {kind}"])

    def run(*outputs, options=()):
        paths = [tmp_path / f"{i}.json" for i in range(len(outputs))]
        for path, output in zip(paths, outputs, strict=True):
            path.write_text(json.dumps(output), encoding="utf-8")
        report.main([*map(str, paths), *options])
        return stored

    return run


def test_the_command_stores_a_run_that_counts_and_no_other(command, capsys):
    assert not command(make_output([make_row()], quick=True))
    assert "not stored: it was a quick run" in capsys.readouterr().out
    assert len(command(make_output([make_row()]))) == 1
    assert "pages written, None" in capsys.readouterr().out


def test_the_command_takes_parts_and_what_git_could_not_say(command, capsys):
    parts = make_output([make_row()], unmeasured=["two"]), make_output([make_row(name="two")], unmeasured=["one"])
    (run,) = command(*parts, options=["--commit", "abc", "--readme", "some-gpu"])
    assert (run["commit"], len(run["rows"])) == ("abc", 2)
    assert "pages written, some-gpu" in capsys.readouterr().out


def test_the_committed_page_is_the_one_of_the_committed_results():
    runs = results.load_all()
    if not runs:
        pytest.skip("no results are committed yet")
    assert report.PAGE.read_text(encoding="utf-8") == report.page(runs)
