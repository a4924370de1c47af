import math

import numpy as np

from lamina.training import Member, Setting, Trace


def test_the_loss_is_that_of_the_weights_that_were_kept():
    assert Trace(validation=[3.0, 1.0, 2.0], best=1).loss == 1.0
    assert Trace(validation=[3.0]).loss == math.inf
    assert Trace(train=[3.0], best=0).loss == math.inf


def test_members_of_one_setting_and_schedule_are_one_entry():
    a, b = (Member(Setting(), seed, np.arange(3 + seed)) for seed in range(2))
    assert a.entry == b.entry
    assert a.entry != Member(Setting(), 0, a.train, schedule="linear").entry
    assert a.entry != Member(Setting(dropout=0.0), 0, a.train).entry
