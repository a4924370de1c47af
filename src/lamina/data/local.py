"""Public data that Lamina does not bring along: files in the folder that the variable ``LAMINA_DATA`` names."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

from lamina.errors import LaminaError

FOLDER = "LAMINA_DATA"


def local(name: str) -> Path:
    """The path of a file in the folder.

    Raises:
        LaminaError: the variable is not set, or there is no such file.
    """
    folder = os.environ.get(FOLDER, "")
    if not folder:
        raise LaminaError(f"{name} is needed: set {FOLDER} to the folder that holds it")
    path = Path(folder) / name
    if not path.is_file():
        raise LaminaError(f"{name} is not in the folder {folder!r} that {FOLDER} names")
    return path


def mnist(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """MNIST's digits, from its four idx files in ``mnist/``: pixels (n, 784) from 0 to 1, classes (n,).

    Args:
        part: ``train`` (60,000 images) or ``t10k`` (10,000).

    Source:
        LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition, doi:10.1109/5.726791.
    """
    pixels = _idx(local(f"mnist/{part}-images-idx3-ubyte.gz"))
    classes = _idx(local(f"mnist/{part}-labels-idx1-ubyte.gz"))
    return pixels.reshape(len(pixels), -1).astype(np.float32) / 255, classes.astype(np.int64)


def _idx(path: Path) -> np.ndarray:
    """The array of an idx file of bytes: two zeros, type 8, the number of dimensions, the sizes, the content."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise LaminaError(f"{path} is no idx file of bytes: it starts with {content[:4]!r}")
    sizes = np.frombuffer(content, ">i4", content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(sizes)


def shakespeare() -> tuple[np.ndarray, str]:
    """The characters of ``tiny_shakespeare/input.txt.gz`` as codes (n,), and the alphabet that they point into.

    Source:
        Karpathy 2015, char-rnn: a concatenation of plays of Shakespeare.
    """
    text = gzip.decompress(local("tiny_shakespeare/input.txt.gz").read_bytes()).decode("utf-8")
    alphabet, codes = np.unique(np.array(list(text)), return_inverse=True)
    return codes.astype(np.int64), "".join(alphabet)
