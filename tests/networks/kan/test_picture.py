import numpy as np
import torch

from lamina.networks import KAN
from lamina.networks.kan.picture import draw


def test_a_curve_is_the_function_of_its_edge():
    torch.manual_seed(0)
    network = KAN([1, 1], grid=8)
    x = torch.linspace(-2, 1, 50)[:, None]
    (curve,) = (t for t in draw(network, x).data if t.text and "of the outputs" in str(t.text))
    found = np.interp(np.linspace(0, 1, 50), np.linspace(0, 1, len(curve.y)), curve.y)
    truth = network(x).detach().numpy()[:, 0]
    assert np.corrcoef(found, truth)[0, 1] > 0.999
