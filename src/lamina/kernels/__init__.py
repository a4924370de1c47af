"""Operators that are faster than what their formulas are as PyTorch operations, each with that form as its reference."""
