import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.training.optimiser import AdamW


@given(rate=st.floats(1e-4, 1e-1), decay=st.floats(0, 0.5), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_one_member_is_torchs_adamw_over_100_steps(rate, decay, seed):
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(1, 7, generator=generator, dtype=torch.float64)
    gradients = torch.randn(100, 1, 7, generator=generator, dtype=torch.float64)
    theirs = start.clone().requires_grad_()
    reference = torch.optim.AdamW([theirs], lr=rate, weight_decay=decay)
    ours = start.clone()
    optimiser = AdamW(ours, torch.tensor(decay, dtype=torch.float64))
    for gradient in gradients:
        theirs.grad = gradient
        reference.step()
        optimiser.step(gradient, torch.tensor([rate], dtype=torch.float64))
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-6, atol=1e-9)


def test_each_member_has_its_own_rate_and_decay():
    start, gradients = torch.randn(2, 5), torch.randn(20, 2, 5)
    rates, decays = torch.tensor([1e-3, 1e-1]), torch.tensor([[0.0], [0.3]])
    together = start.clone()
    optimiser = AdamW(together, decays)
    for gradient in gradients:
        optimiser.step(gradient, rates)
    for member in range(2):
        alone = start[member : member + 1].clone()
        optimiser = AdamW(alone, decays[member])
        for gradient in gradients:
            optimiser.step(gradient[member : member + 1], rates[member : member + 1])
        torch.testing.assert_close(together[member], alone[0])
