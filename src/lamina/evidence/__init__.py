"""Claims that run: what a paper says, measured and judged.

A claim (`Claim`, one file each in `lamina.claims`) states what is said, where, against what, on which data and which
numbers are to be reached, all fixed beforehand, and has a function from an arm and a seed to numbers. `reproduce` calls
it for the system and each baseline alike, `judge` says what the numbers decide, `Evidence` is the file that is kept.
"""

from lamina.evidence.arm import Arm
from lamina.evidence.bound import Target
from lamina.evidence.claim import Claim, Scale, find, names
from lamina.evidence.evidence import Evidence, collected, counted
from lamina.evidence.judge import Finding
from lamina.evidence.reproduce import reproduce_all

__all__ = [
    "Arm",
    "Claim",
    "Evidence",
    "Finding",
    "Scale",
    "Target",
    "collected",
    "counted",
    "find",
    "names",
    "reproduce_all",
]
