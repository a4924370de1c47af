"""The shapes in the annotations hold: everything runs with them checked, in an interpreter of its own."""

import os
import subprocess
import sys
from pathlib import Path

import lamina

CODE = """
import inspect

import jaxtyping

hook = jaxtyping.install_import_hook(["lamina.layers", "lamina.networks"], "beartype.beartype")
import torch
from lamina.catalog import systems, table_networks
from lamina.networks import create

for name in table_networks():
    network = create(name, in_features=5, out_features=2, width=4, categories=(3, 4), dropout=0.1)
    for mode in (True, False):
        network.train(mode)(torch.rand(6, 5)).sum().backward()
for system in systems().values():
    if system.kind == "layer":
        cls = system.load()
        tokens = {"tokens": 6} if "tokens" in inspect.signature(cls).parameters else {}
        cls(4, 3, **tokens)(torch.rand(2, 6, 4))
from lamina.layers import KANLinear
try:
    KANLinear(4, 3)([[1.0, 2.0, 3.0, 4.0]])
except jaxtyping.TypeCheckError:
    print("checked", len(table_networks()))
"""


def test_shapes_in_annotations_hold():
    env = {**os.environ, "PYTHONPATH": str(Path(lamina.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.removeprefix("checked")) >= 8
