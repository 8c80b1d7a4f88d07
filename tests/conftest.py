"""Fixtures for all tests."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _fixed_torch_generator():
    """Inputs are the same in every run; the operators themselves read no global generator."""
    torch.manual_seed(20240607)
