import pytest

import lamina


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A comparison that takes a few seconds: two networks, two rivals, three splits of iris."""
    return small(tmp_path_factory.mktemp("study") / "iris")


def small(out, **options):
    asked = {"networks": "mlp,kan", "rivals": "constant,linear", "splits": 3, "seeds": 2, "settings": 2}
    return lamina.compare("iris", out=out, **{"params": 1000, "steps": 60, "jobs": 1, **asked, **options})
