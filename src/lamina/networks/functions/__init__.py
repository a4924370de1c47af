"""Networks for functions of coordinates: one file per network, found by the catalogue."""
