"""Harm in words: how much worse a measure is, and what is missing where harm is not shown."""

from dataclasses import astuple

from drift.policy_state import STANDARD_ERRORS, PolicyState, QualityReading
from schemas.retraining import RetrainingPolicy


def missing_harm(state: PolicyState, policy: RetrainingPolicy) -> str:
    """Of the champion, where no reading that counts is harm: how far they are from it, or why
    there is none."""
    ours = readings(state)
    counted = [each for each in ours if each.realised or policy.harm == "either"]
    if counted:
        return "; ".join(_distance(each, policy.min_harm) for each in counted)
    words = _nothing_known(state, policy)
    return "; ".join([words, *(f"{loss_words(each)}, which does not count" for each in ours)])


def readings(state: PolicyState) -> list[QualityReading]:
    """Of the champion, the largest loss first."""
    ours = [each for each in state.quality if each.model_version == state.champion]
    # By all fields in the end: words must not depend on the order that readings came in.
    return sorted(ours, key=lambda each: (-each.loss, each.standard_error, astuple(each)))


def loss_words(reading: QualityReading) -> str:
    how = "realised" if reading.realised else "estimated"
    size = f"{'worse' if reading.loss > 0 else 'better'} by {abs(reading.loss):.3g}"
    if not reading.loss:
        size = "as at release"
    return f"{how} {reading.measure} is {size} (standard error {reading.standard_error:.2g})"


def _distance(reading: QualityReading, min_harm: float) -> str:
    beyond = reading.loss - STANDARD_ERRORS * reading.standard_error
    if reading.loss <= 0:
        return f"{loss_words(reading)}, {min_harm:g} worse is asked for"
    if beyond <= 0:
        return f"{loss_words(reading)}: within two errors, {min_harm:g} beyond them is asked for"
    return (
        f"{loss_words(reading)}: {beyond:.2g} beyond two errors is {min_harm - beyond:.2g}"
        f" short of {min_harm:g}"
    )


def _nothing_known(state: PolicyState, policy: RetrainingPolicy) -> str:
    seen, model = state.quality_seen, f"model {state.champion}"
    if not seen.at_release:
        return f"{model} has no {policy.measure} at release to be worse than"
    if not seen.n_windows:
        return f"no window of {model} is measured yet"
    share = f"{policy.min_maturity:.0%}"
    words = f"none of {seen.n_windows} windows has {share} of its labels"
    words += f" ({seen.most_mature:.0%} at most)"
    if seen.n_mature:
        words = f"{seen.n_mature} of {seen.n_windows} windows have {share} of their labels,"
        words += " on none of which it is defined"
    if policy.harm == "either" and seen.n_mature < seen.n_windows:
        words += ", and none of the others has an estimate"
    how = "realised " if policy.harm == "realised" else ""
    return f"no {how}{policy.measure} of {model} is known: {words}"
