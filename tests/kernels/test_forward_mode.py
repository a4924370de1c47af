import pytest
import torch

from lamina.catalog import find
from lamina.kernels import matrix_exponential, tied_step

# without af_kan: the layer normalisation of PyTorch is wrong in forward mode over forward mode
LAYERS = ["kan", "skan", "mlp_kan", "gr_kan", "icgn", "matrix_exp", "fan", "snnk"]


@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_of_every_order_and_mode_agree(name, monkeypatch):
    """Operators give way to plain operations in forward mode, where second derivatives through them would be wrong."""
    monkeypatch.setattr(tied_step, "_LEAST", 0)
    torch.manual_seed(0)
    layer = find(name).load()(3, 4).double().eval()

    def loss(x: torch.Tensor) -> torch.Tensor:
        return layer(x.expand(2, 3)).pow(3).sum()

    x = torch.randn(3, dtype=torch.float64)
    expected = torch.func.jacrev(torch.func.jacrev(loss))(x)
    assert expected.abs().max() > 1e-6
    for outer, inner in ((torch.func.jacfwd, torch.func.jacfwd), (torch.func.jacfwd, torch.func.jacrev)):
        torch.testing.assert_close(outer(inner(loss))(x), expected)
    torch.testing.assert_close(torch.func.jacfwd(loss)(x), torch.func.grad(loss)(x))


def test_forward_mode_of_many_matrices_is_that_of_torch():
    a = torch.randn(50, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.func.jvp(f, (a,), (a.mT,)) for f in (matrix_exponential.matrix_exp, torch.linalg.matrix_exp))
    torch.testing.assert_close(ours, theirs)
