import re
from xml.etree import ElementTree

import lamina
from lamina.evidence.drawing import _scale


def test_each_seed_of_each_side_is_a_dot_and_pairs_are_joined(known, tmp_path):
    drawing = lamina.reproduce("toy", jobs=1).plot()
    root = ElementTree.fromstring(str(drawing))
    count = {tag: len(root.findall(f".//{{http://www.w3.org/2000/svg}}{tag}")) for tag in ("circle", "polyline")}
    assert count == {"circle": 10, "polyline": 5}
    drawing.save(tmp_path / "a" / "toy.svg")
    assert (tmp_path / "a" / "toy.svg").read_text() == drawing._repr_svg_()


def test_a_seed_without_a_number_has_no_dot(known):
    found = lamina.reproduce("toy", jobs=1)
    found.system["values"]["error"][0] = None
    assert len(re.findall("<circle", str(found.plot()))) == 9


def test_an_axis_is_even_or_logarithmic():
    even, log = _scale(0, 10, False), _scale(1, 100, True)
    assert even(5) == (even(0) + even(10)) / 2
    assert abs(log(10) - (log(1) + log(100)) / 2) < 1e-9
    assert _scale(1, 1, False)(1) > 0
