"""Every system of the catalogue, by discovery."""

import lamina.testing


@lamina.testing.parametrize()
def test_conformance(check):
    check()
