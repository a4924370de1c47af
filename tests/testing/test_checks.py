"""The whole kit passes what is sound, and leaves out no check."""

import pkgutil
from importlib import import_module

import pytest
from sound import Sound, SoundOnSets, names

import lamina.testing
from lamina.testing import CHECKS, CLAIM_CHECKS, checks


@pytest.mark.parametrize("check", [pytest.param(c, id=n) for n, c in checks(Sound)])
def test_passes_sound_layer(check):
    check()


@pytest.mark.parametrize("check", [pytest.param(c, id=n) for n, c in checks(SoundOnSets)])
def test_passes_sound_layer_on_tokens(check):
    check()


def test_the_kit_has_every_check_of_every_module():
    modules = [import_module(f"lamina.testing.{m.name}") for m in pkgutil.iter_modules(lamina.testing.__path__)]
    assert sorted([*CHECKS, *CLAIM_CHECKS]) == sorted(name for module in modules for name in names(module))
