"""Hourglass MLP: residual blocks that are narrow in the middle."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import network
from lamina.layers.arguments import described, features, whole
from lamina.networks.tables.resnet import Block


@network(
    domain="tables",
    summary="residual blocks that are narrow in the middle, with skips at the wide end",
    paper="Chen et al. 2025, Rethinking the shape convention of an MLP, arXiv:2510.01796",
)
class Hourglass(nn.Module):
    r"""Hourglass MLP: lifts the input to many features; residual blocks go through a waist and back.

    .. math:: h_0 = W_0 x + b_0, \qquad
              h_{l+1} = h_l + W_2\,\mathrm{dropout}(\mathrm{gelu}(W_1\,\mathrm{norm}(h_l))), \qquad
              y = V\,\mathrm{norm}(h_L) + c

    :math:`W_1` maps `width` features to the waist, :math:`W_2` back. The usual residual block is narrow
    outside and wide within; here the skips carry the wide features.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        width: features outside the waists.
        waist: features within a waist. Default None: a quarter of `width`, rounded up.
        depth: blocks. Default 3.
        last: waist of the last block, to meet a budget more closely. Default None: `waist`.
        train_lift: whether the lift is trained. Default True; False keeps it as drawn, in a buffer that does
            not count as parameters.
        dropout: rate within every waist. Default 0.0.

    Shape:
        ``(batch, in_features)`` to ``(batch, out_features)``.

    Raises:
        LaminaError: a size is below 1, `dropout` is not from 0 to 0.99, or an input has another last
            dimension.

    Source:
        Chen et al. 2025, Rethinking the shape convention of an MLP, arXiv:2510.01796.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int,
        waist: int | None = None,
        depth: int = 3,
        last: int | None = None,
        train_lift: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, width=width, depth=depth)
        waist = -(-width // 4) if waist is None else waist
        last = waist if last is None else last
        whole(waist=waist, last=last)
        self.in_features, self.out_features, self.waist, self.train_lift = (
            in_features,
            out_features,
            waist,
            train_lift,
        )
        self.width, self.depth, self.last, self.dropout = width, depth, last, dropout
        self.lift = nn.Linear(in_features, width)
        self.blocks = nn.Sequential(*(Block(width, w, dropout) for w in [*[waist] * (depth - 1), last]))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, out_features)
        if not train_lift:
            freeze(self.lift)

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        return self.head(self.norm(self.blocks(self.lift(features(x, self.in_features)))))

    extra_repr = described


def freeze(module: nn.Module) -> None:
    """Turn the parameters of `module` into buffers: saved, moved and stacked, but never trained."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        delattr(module, name)
        module.register_buffer(name, parameter.detach())
