"""Products of shifted SiLUs of many numbers in one pass."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from lamina.kernels._compiled import compiled, exp, least, most

_BLOCK = 1_024  # numbers that a loop takes at a time: enough to forget how it begins, few enough to stay in cache


@register_jitable
def _near(v, far):
    """Within ``-far`` and ``far``: there one SiLU of a product is zero already, and beyond the other could overflow."""
    return -far if v < -far else far if v > far else v


@register_jitable
def _functions(x, start, end, score, sums, scores, extreme, number):
    """Of each number: its functions summed, their scores, the least and the largest of them, and which these are."""
    real = x.dtype.type
    for i in range(len(x)):
        sums[i] = scores[i] = real(0)
        extreme[0, i], extreme[1, i] = real(np.inf), real(-np.inf)
    for k in range(len(start)):
        this = np.int32(k)
        for i in range(len(x)):
            left, right = _near(x[i] - start[k], real(1e9)), _near(end[k] - x[i], real(1e9))
            product = left * right / ((real(1) + exp(-left)) * (real(1) + exp(-right)))
            square = product * product
            sums[i] += square
            scores[i] += score[k] * square
            low, first, high, last = extreme[0, i], number[0, i], extreme[1, i], number[1, i]
            extreme[0, i], number[0, i] = square if square < low else low, this if square < low else first
            extreme[1, i], number[1, i] = square if square > high else high, this if square > high else last


@register_jitable
def _attention(sums, scores, shares, extreme, temperature, count):
    """What a row weighs, its scores, and their softmax times the length of the row, in place.

    Returns the row's least and largest function, and its span.
    """
    real = sums.dtype.type
    low, high = least(extreme[0]), most(extreme[1])
    span = high - low + real(1e-6)
    total, size, cooled = real(0), real(len(sums)), real(1) / (span * max(temperature, real(1)))
    top = most(scores) * cooled
    for i in range(len(sums)):
        sums[i] = (sums[i] - real(count) * low) / span
        scores[i] *= cooled
        shares[i] = exp(scores[i] - top)
        total += shares[i]
    for i in range(len(sums)):
        shares[i] *= size / total
    return low, high, span


@register_jitable
def _place(values, value):
    """The first that has this value."""
    for i in range(len(values)):
        if values[i] == value:
            return i
    return 0


@compiled
def forward(features, x, start, end, score, temperature, z):
    """All numbers in turn, parameters ``(members, functions or 1)``; the last is filled."""
    rows, size = len(x) // features // len(start), max(1, _BLOCK // features)
    block = size * features
    extreme, number = np.empty((2, block), x.dtype), np.empty((2, block), np.int32)
    scores, shares = np.empty(block, x.dtype), np.empty(features, x.dtype)
    for m in range(len(start)):
        for row in range(m * rows, (m + 1) * rows, size):
            first, last = row * features, min(row + size, (m + 1) * rows) * features
            _functions(x[first:last], start[m], end[m], score[m], z[first:last], scores, extreme, number)
            for at in range(0, last - first, features):
                sums = z[first + at : first + at + features]
                own = slice(at, at + features)
                _attention(sums, scores[own], shares, extreme[:, own], temperature[m, 0], start.shape[1])
                for i in range(features):
                    sums[i] *= shares[i]


@compiled
def backward(features, g, x, start, end, score, temperature, by_x, by_start, by_end, by_score, by_temperature):
    """The derivatives; to those by parameters it adds."""
    real = x.dtype.type
    rows, size, count = len(x) // features // len(start), max(1, _BLOCK // features), start.shape[1]
    block = size * features
    extreme, number = np.empty((2, block), x.dtype), np.empty((2, block), np.int32)
    places, pulls = np.empty((2, size), np.int64), np.empty((2, size), x.dtype)
    sums, scores, slope = np.empty(block, x.dtype), np.empty(block, x.dtype), np.empty(block, x.dtype)
    by_sums, by_scores = np.empty(block, x.dtype), np.empty(block, x.dtype)
    for m in range(len(start)):
        warmth = max(temperature[m, 0], real(1))
        for row in range(m * rows, (m + 1) * rows, size):
            first, last = row * features, min(row + size, (m + 1) * rows) * features
            numbers, tops, out = x[first:last], g[first:last], by_x[first:last]
            out[:] = real(0)
            _functions(numbers, start[m], end[m], score[m], sums, scores, extreme, number)
            for r in range((last - first) // features):
                own = slice(r * features, (r + 1) * features)
                low, high, span = _attention(
                    sums[own], scores[own], by_sums[own], extreme[:, own], temperature[m, 0], count
                )
                weighed, cooling, total = real(0), real(0), real(0)
                for i in range(own.start, own.stop):
                    share = by_sums[i]
                    by_scores[i] = share * tops[i] * sums[i]
                    weighed += by_scores[i]
                for i in range(own.start, own.stop):
                    by_scores[i] -= by_sums[i] * (weighed / real(features))
                    cooling += by_scores[i] * scores[i]
                    by_scores[i] /= span * warmth
                    by_sums[i] *= tops[i] / span
                    total += by_sums[i]
                by_temperature[m, 0] -= cooling / warmth if warmth == temperature[m, 0] else real(0)
                by_span = -(weighed + cooling) / span
                pulls[0, r], pulls[1, r] = -real(count) * total - by_span, by_span
                places[0, r] = own.start + _place(extreme[0, own], low)
                places[1, r] = own.start + _place(extreme[1, own], high)
            for k in range(count):
                for i in range(last - first):
                    slope[i] = by_sums[i] + score[m, k] * by_scores[i]
                for r in range((last - first) // features):
                    for j in range(2):
                        if number[j, places[j, r]] == k:
                            slope[places[j, r]] += pulls[j, r]
                to_start, to_end, to_score = real(0), real(0), real(0)
                for i in range(last - first):
                    left, right = _near(numbers[i] - start[m, k], real(1e9)), _near(end[m, k] - numbers[i], real(1e9))
                    rise, sink = real(1) / (real(1) + exp(-left)), real(1) / (real(1) + exp(-right))
                    above, below = left * rise, right * sink
                    pull = real(2) * above * below * slope[i]
                    by_left = pull * below * rise * (real(1) + left * (real(1) - rise))
                    by_right = pull * above * sink * (real(1) + right * (real(1) - sink))
                    out[i] += by_left - by_right
                    to_start -= by_left
                    to_end += by_right
                    to_score += above * below * above * below * by_scores[i]
                by_start[m, k] += to_start
                by_end[m, k] += to_end
                by_score[m, k] += to_score
