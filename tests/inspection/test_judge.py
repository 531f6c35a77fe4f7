"""A frame that is being judged."""

from __future__ import annotations

import pytest

from edgerd.inspection.judge import Pending
from edgerd.types import Inspection, Verdict

OK = Inspection(Verdict.OK, 0.1, 0.5)


def test_what_was_found_is_asked_for_once() -> None:
    asked: list[int] = []
    pending = Pending(lambda: (asked.append(1), OK)[1])
    assert not asked
    assert pending.result() is pending.result() is OK
    assert asked == [1]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_a_judge_that_fails_is_not_asked_again(error: BaseException) -> None:
    """By then the lane may hold the results of another frame, which would be told of this one."""
    asked: list[int] = []

    def fail() -> Inspection:
        asked.append(1)
        raise error

    pending = Pending(fail)
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            pending.result()
        assert caught.value is error
    assert asked == [1]
