"""How a CUDA device is timed and described, on a made-up device with a clock of its own."""

from contextlib import nullcontext

import pytest
import torch

from bayesops.profiling import cuda, machine
from bayesops.profiling.report.tables import machine_line


class FakeDevice:
    """Calls take as long as they say; events are at the times that the device has come to."""

    def __init__(self):
        self.now = 0.0  # milliseconds
        self.calls = 0

    def call(self):
        self.calls += 1
        self.now += 100.0 if self.calls == 1 else 3.0  # the first one waits for its kernel to arrive

    def event(self, enable_timing):
        assert enable_timing
        return FakeEvent(self)


class FakeEvent:
    def __init__(self, device):
        self.device, self.at = device, None

    def record(self):
        self.at = self.device.now

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return end.at - self.at


@pytest.fixture
def fake_device(monkeypatch):
    device = FakeDevice()
    monkeypatch.setattr(torch.cuda, "Event", device.event)
    return device


def test_calls_in_a_row_are_timed_after_one_that_does_not_count(fake_device):
    assert cuda.event_seconds(fake_device.call, 10) == pytest.approx(3e-3)
    assert fake_device.calls == 11


def test_one_call_is_timed_alone(fake_device):
    assert cuda.event_seconds(fake_device.call) == pytest.approx(0.1)
    assert fake_device.calls == 1


def test_products_of_float32_are_in_tf32_where_convolutions_are():
    before = torch.get_float32_matmul_precision()
    with cuda._tf32_as_in_convolutions():
        assert torch.get_float32_matmul_precision() == ("high" if torch.backends.cudnn.allow_tf32 else "highest")
    assert torch.get_float32_matmul_precision() == before


def test_limits_of_a_device_are_its_own(monkeypatch):
    rates = {torch.float32: 4e14, torch.bfloat16: 8e14}
    monkeypatch.setattr(cuda, "product_rate", rates.get)
    monkeypatch.setattr(cuda, "copy_bandwidth", lambda: 4e12)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    found = machine.describe(0.1, torch.device("cuda"), torch.bfloat16)
    assert (found.peak_flops, found.copy_bytes, found.device) == (8e14, 4e12, "Some GPU")
    line = machine_line(found)
    assert line.startswith("Some GPU, beside ")
    assert "800000 GFLOP/s of matrix products, 4000.0 GB/s of copying" in line
    assert machine.describe(0.0, torch.device("cuda")).peak_flops is None


def test_limits_of_the_cpu_are_measured_there():
    with torch.device("meta"):  # whatever the default device
        found = machine.describe(0.01)
    assert found.device is None
    assert found.peak_flops > 0
    assert "multiply-adds" in machine_line(found)
