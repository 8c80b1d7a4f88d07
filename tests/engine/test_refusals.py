"""What a path that failed costs: nothing the next time, as long as model and inputs are the same."""

import pytest
import torch
from torch import nn

import bayesops as bo

X = torch.randn(4, 6)
CALLS = []

pytestmark = pytest.mark.filterwarnings("ignore:predict. draws are made one after another")


class Checked(nn.Module):
    """Control flow on the data: neither a plan nor vmap takes it."""

    def __init__(self):
        super().__init__()
        self.layer, self.strict = bo.nn.BernoulliLinear(6, 3), True

    def forward(self, x):
        CALLS.append(type(x).__name__)
        output = self.layer(x)
        if self.strict and output.isnan().any():
            raise ValueError("NaN")
        return output


def calls(model, *args, **options):
    CALLS.clear()
    prediction = bo.predict(model, *args, **options)
    return len(CALLS), prediction.plan


def test_failed_paths_are_not_tried_again():
    model = Checked().eval()
    first, why = calls(model, X, 3)
    assert why.startswith("loop over 3 draws; a traced plan cannot take")
    again, same = calls(model, X, 3)
    assert (again, same) == (3, why)
    assert first > again
    batches, _ = calls(model, list(X.split(1)), 3)
    assert batches == 4 * 3


def test_a_change_of_the_model_gives_them_another_chance():
    model = Checked().eval()
    calls(model, X, 3)
    model.strict = False
    assert calls(model, X, 3)[1].startswith("plan")


def test_inputs_at_fault_leave_the_plan_alone():
    model = nn.Sequential(bo.nn.BernoulliLinear(6, 3), nn.ReLU()).eval()
    with pytest.raises(ValueError, match="'input' must be of 6 channels"):
        bo.predict(model, X[:, :5], 3)
    assert bo.predict(model, X, 3).path == "plan"


def test_other_kinds_of_inputs_are_tried_by_themselves():
    class Rows(Checked):
        def forward(self, x):
            output = self.layer(x)
            return output if x.dim() == 2 else output.mean(1) * float(output.amax())

    model = Rows().eval()
    assert bo.predict(model, X[:, None], 3).path == "loop"
    assert bo.predict(model, X, 3).path == "vmap"
    assert bo.predict(model, [X, X[:, None], X], 3).path == "loop"
