import gzip

import numpy as np
import pytest

from lamina.data.local import local, mnist, shakespeare
from lamina.errors import LaminaError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    for name in ("mnist", "tiny_shakespeare"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_without_a_folder_or_a_file_it_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    with pytest.raises(LaminaError, match="a/b is needed: set LAMINA_DATA"):
        local("a/b")
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    with pytest.raises(LaminaError, match="a/b is not in the folder"):
        local("a/b")


def test_idx_files_are_read_as_their_format_says(folder):
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    sizes = np.array(images.shape, ">i4").tobytes()
    (folder / "mnist/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x03" + sizes + images.tobytes()))
    labels = b"\0\0\x08\x01" + np.array([2], ">i4").tobytes() + bytes([7, 1])
    (folder / "mnist/train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    x, y = mnist()
    np.testing.assert_allclose(x, images.reshape(2, 12) / 255, rtol=1e-6)
    assert (x.dtype, y.tolist()) == (np.float32, [7, 1])
    (folder / "mnist/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"GIF8"))
    with pytest.raises(LaminaError, match="is no idx file"):
        mnist()


def test_characters_are_codes_into_their_alphabet(folder):
    (folder / "tiny_shakespeare/input.txt.gz").write_bytes(gzip.compress(b"to be\nor not"))
    codes, alphabet = shakespeare()
    assert "".join(alphabet[c] for c in codes) == "to be\nor not"
    assert list(alphabet) == sorted(set("to be\nor not"))
