import pytest
import torch

from lamina.errors import LaminaError
from lamina.networks import Dropout


def test_share_of_zeros_and_mean():
    torch.manual_seed(0)
    y = Dropout(0.3)(torch.ones(200_000))
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert y.mean().item() == pytest.approx(1.0, abs=0.01)
    torch.testing.assert_close(y[y > 0], torch.full_like(y[y > 0], 1 / 0.7))


def test_identity_in_evaluation_mode_and_without_a_rate():
    x = torch.randn(10)
    assert Dropout(0.9).eval()(x) is x
    assert torch.equal(Dropout()(x), x)


def test_members_of_a_fleet_have_their_own_rate():
    torch.manual_seed(0)
    members = [Dropout(r) for r in (0.0, 0.5, 0.9)]
    _, buffers = torch.func.stack_module_state(members)
    x = torch.ones(50_000)
    y = torch.vmap(lambda b: torch.func.functional_call(members[0], b, (x,)), randomness="different")(buffers)
    assert (y == 0).float().mean(1).tolist() == pytest.approx([0.0, 0.5, 0.9], abs=0.02)


def test_rate_is_not_in_the_state_dict_and_is_checked():
    assert not Dropout(0.5).state_dict()
    assert repr(Dropout(0.25)) == "Dropout(rate=0.25)"
    with pytest.raises(LaminaError, match=r"dropout=1: dropout has to be a number from 0.0 to 0.99"):
        Dropout(1)
