"""Fixtures for all tests."""

import os

# On a busy machine, threads that spin while they wait for each other make the suite five times slower. Read by OpenMP
# when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch


@pytest.fixture(autouse=True)
def _fixed_torch_generator():
    """Inputs are the same in every run; the operators themselves read no global generator."""
    torch.manual_seed(20240607)
