"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("lamina", deadline=None)  # no test asserts a time; first calls compile
settings.load_profile("lamina")
