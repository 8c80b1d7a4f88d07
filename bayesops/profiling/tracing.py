"""A prediction as a trace for Chrome (chrome://tracing, or ui.perfetto.dev), by `torch.profiler`."""

from os import PathLike
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, record_function

from bayesops.profiling.steps import layout_of
from bayesops.profiling.subject import Batch, Subject


def write_trace(subject: Subject, batch: Batch, count: int, file: str | PathLike[str]) -> None:
    """Write the trace of one prediction to `file` (``.json``, or ``.json.gz``), after one that warms up.

    There is a range ``bo.predict`` around everything, within it one for each step of the plan (for each Bayesian layer
    where there is no plan), called by its name and what it runs, and within these torch's and our own operators.

    Raises
    ------
    OSError
        Where there is no file afterwards: torch says nothing when it cannot write.
    """
    path = subject.predict(batch, count).path
    layout = layout_of(subject, batch, path)
    labels = {name: f"{step.name}: {step.kind}" for step in layout.steps for name in step.watched}

    def watch(name: str) -> record_function:
        return record_function(labels[name])

    activities = [ProfilerActivity.CPU]
    if subject.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities, record_shapes=True, acc_events=True) as profiler:  # noqa: SIM117
        with record_function(f"bo.predict, batch {len(batch[0])}, T = {count}"), layout.around_ours(watch):
            subject.predict_watched(batch, count, watch, path)
    profiler.export_chrome_trace(str(file))
    if not Path(file).exists():
        raise OSError(f"profile: the trace could not be written to {file}")
