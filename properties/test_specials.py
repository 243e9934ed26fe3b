"""NaN, infinities, signed zeros and the ends of the range."""

from __future__ import annotations

from oracles.case import BACKWARD, FORWARD, Case
from properties.examiner import Examiner
from properties.ladder import large_cases
from properties.laws import law
from properties.recipes import SELDOM, SPECIAL
from properties.strategies import cases
from properties.test_common import SUMS, SUMS_BACKWARD
from properties.test_sizes import judged_by_samples

STAYS = "names what is lost, a NaN, an infinity or a sign, and how far it spreads"


@law("specials", FORWARD, cases(SPECIAL))
def test_non_finite_values_stay_local(subject: Examiner, case: Case) -> None:
    """A NaN or an infinity reaches exactly the outputs whose windows hold it; 0 * inf is NaN."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


@law("specials", BACKWARD, cases(SPECIAL))
def test_non_finite_gradients_stay_local(subject: Examiner, case: Case) -> None:
    """A non-finite dy reaches only what its window covers, and a non-finite x only the gradients made of it."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


@law("specials", (*SUMS, *SUMS_BACKWARD), large_cases(SELDOM, often="F"))
def test_non_finite_values_stay_local_in_large_windows(subject: Examiner, case: Case) -> None:
    """On large images, and in large windows, a NaN or an infinity reaches exactly what it is a term of."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message


@law("specials", ("max_pool2d",), large_cases(("ties", "negative"), often="F"))
def test_maxima_of_large_windows_are_the_first(subject: Examiner, case: Case) -> None:
    """On large images, and in large windows, the first of equal maxima wins, and padding never does."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message


@law("specials", (*FORWARD, *BACKWARD), cases(("scaled",)))
def test_the_whole_range_is_kept(subject: Examiner, case: Case) -> None:
    """No value that the format can hold is clipped or flushed to zero, subnormals included."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


@law("specials", ("max_pool2d",), cases(("zeros", "minus_inf", "extremes", "nan")))
def test_max_pooling_keeps_the_sign_of_zero_and_the_ends_of_the_range(subject: Examiner, case: Case) -> None:
    """-0 and +0 tie and the first is the result; windows of -inf yield -inf; a NaN wins."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message
