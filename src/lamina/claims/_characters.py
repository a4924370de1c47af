"""A small transformer on the characters of Tiny Shakespeare, whose feed-forward parts are an arm's."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.data.local import shakespeare
from lamina.evidence import Arm
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

CONTEXT, WIDTH, HEADS, BLOCKS = 32, 48, 4, 2


class Block(nn.Module):
    """Causal attention and a feed-forward part, each on a normalised copy that is added."""

    def __init__(self, feed_forward: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed_forward = feed_forward

    def forward(self, h: Float[Tensor, "rows context width"]) -> Float[Tensor, "rows context width"]:
        q, k, v = self.qkv(self.norms[0](h)).unflatten(-1, (3 * HEADS, -1)).transpose(-3, -2).chunk(3, dim=-3)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.out(mixed.transpose(-3, -2).flatten(-2))
        return h + self.feed_forward(self.norms[1](h))


class Transformer(nn.Module):
    """Blocks between an embedding of characters and places, and logits of the next character."""

    def __init__(self, feed_forwards: list[nn.Module], characters: int) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(characters, WIDTH), nn.Parameter(torch.zeros(CONTEXT, WIDTH))
        self.blocks = nn.Sequential(*map(Block, feed_forwards))
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, characters))

    def forward(self, x: Float[Tensor, "rows context"]) -> Float[Tensor, "rows context characters"]:
        return self.head(self.blocks(self.embedding(x.long()) + self.places))


def next_character_loss(arm: Arm, seed: int, steps: int) -> float:
    """Cross-entropy in nats of the next character, on 1,000 passages of the last tenth of the text.

    Trained are two blocks of width 48 with a context of 32 on the first nine tenths, by AdamW on 32 passages a
    step; a feed-forward part has about 8 x 48^2 parameters.
    """
    codes, alphabet = shakespeare()
    text = torch.from_numpy(codes)
    rows = (len(text) - 1) // CONTEXT
    x, y = (text[shift : shift + rows * CONTEXT].view(rows, CONTEXT) for shift in (0, 1))
    order = np.arange(int(0.9 * rows))
    test = np.random.default_rng(seed).choice(np.arange(len(order), rows), 1_000, replace=False)
    members, recipe = [Member(Setting(2e-2, 0.1, 0.0), seed, order)], Recipe(steps=steps, batch_size=32)
    fleet = arm.fit(transformer(arm, seed, len(alphabet)), x.float(), y, members=members, recipe=recipe).fleet
    return F.cross_entropy(fleet.predict(x[test].float())[0].mT, y[test]).item()


def transformer(arm: Arm, seed: int, characters: int) -> nn.Module:
    """A network with weights drawn from `seed`; torch's own generator is left as it was."""
    feed_forwards = [arm(WIDTH, WIDTH, seed=seed + i, params=8 * WIDTH**2, depth=1) for i in range(BLOCKS)]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Transformer(feed_forwards, characters)
