"""When drift becomes a request for retraining: the policy of a pipeline."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import ConfigurationError

DAY_S = 86_400.0


class RetrainingPolicy(BaseModel):
    """What must come together before a pipeline asks for a new model; all of it must hold."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    quorum: int = Field(default=1, ge=1, le=1000)
    """Signals (open alerts that count) that must agree."""
    level: Literal["notice", "alert"] = "alert"
    """Lowest level at which an open alert counts. A notice is significant, an alert large too."""
    min_psi: float = Field(default=0.2, ge=0, le=10)
    """A signal measured in PSI counts from this effect; 0.1, 0.2 and 0.25 are the classic bands."""
    persistence_s: float = Field(default=1800.0, ge=0, le=30 * DAY_S)
    """A signal counts once it has been open, and at its level, for so long."""
    harm: Literal["none", "either", "realised"] = "either"
    """What must be worse before drift is a reason: nothing, or quality, as realised in labels or
    as estimated without them. An estimate cannot see a change of concept."""
    measure: Literal[
        "precision",
        "recall",
        "f1",
        "roc_auc",
        "average_precision",
        "brier",
        "log_loss",
        "calibration_error",
    ] = "average_precision"
    """The measure of quality that is held against the model's at its release. One, so that the
    chance that noise looks like harm is that of one."""
    min_maturity: float = Field(default=0.8, gt=0, le=1)
    """A window's quality is realised once this share of its rows has labels, estimated before: the
    first labels to come are not a fair sample."""
    min_harm: float = Field(default=0.02, gt=0, le=1)
    """Loss of a quality measure that is harm, in the measure's own unit (0.02 of average
    precision), beyond two standard errors of it."""
    severe_harm: float | None = Field(default=None, gt=0, le=1)
    """A realised loss of this size, again beyond two standard errors, needs no quorum: after a
    change the error stays flat at its new height and detectors of changes fall silent. Off unless
    given."""
    min_labelled_rows: int = Field(default=1000, ge=1)
    """Labelled rows since the change point: fewer teach the new model the old world."""
    cool_down_s: float = Field(default=6 * 3600.0, ge=0, le=365 * DAY_S)
    """Shortest time between two requests."""
    budget_per_day: int = Field(default=2, ge=0, le=1000)
    """Most requests in any 24 hours; 0 never asks, decisions are still published."""
    max_training_days: float = Field(default=90.0, gt=0, le=3650)
    """Longest training window: a change point before that is cut there."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.severe_harm is not None and self.severe_harm < self.min_harm:
            raise ValueError("severe_harm must not lie below min_harm: what is severe is harm")
        return self


class RetrainingSettings(RetrainingPolicy):
    """Policy of all pipelines that have none of their own, and the pace of `thalweg worker decide`.

    What a pipeline's definition says under `retraining` goes before it.
    """

    decide_interval_s: float = Field(default=10.0, ge=0.1, le=3600)
    """How often it is decided while something is open; beside that, at every message of an
    alert."""
    repeat_refusal_s: float = Field(default=3600.0, ge=0, le=30 * DAY_S)
    """A refusal that says the same as the one before is published again after so long."""

    def policy(self, own: Mapping[str, Any]) -> RetrainingPolicy:
        """The policy of a pipeline with `own` rules; raises ConfigurationError where they are
        none.
        """
        given = {name: getattr(self, name) for name in RetrainingPolicy.model_fields}
        return parse_policy(given | dict(own))


def parse_policy(rules: Mapping[str, Any]) -> RetrainingPolicy:
    """The policy that `rules` give; raises ConfigurationError that says what is wrong with them."""
    try:
        return RetrainingPolicy(**rules)
    except ValidationError as error:
        raise ConfigurationError("; ".join(map(_explain, error.errors()))) from error


def _explain(error: Any) -> str:
    path = ".".join(("retraining", *map(str, error["loc"])))
    if error["type"] == "extra_forbidden":
        return f"{path} is no rule (there are: {', '.join(RetrainingPolicy.model_fields)})"
    return f"{path}: {error['msg'].removeprefix('Value error, ')}"
