"""Operators faster than the plain operations of their formulas, which stand beside them as reference."""
