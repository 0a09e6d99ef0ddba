"""The policy of a pipeline: the settings', but for what its definition says."""

from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from schemas.features import FeatureSchema
from schemas.pipeline import Pipeline, read_pipeline, write_pipeline
from schemas.settings import load_settings

SCHEMA = FeatureSchema.of_floats(["a"])


def test_the_settings_give_the_policy_of_every_pipeline_that_has_none() -> None:
    settings = load_settings({"THALWEG_RETRAINING__QUORUM": "3"})
    assert settings.retraining.policy({}).quorum == 3


def test_a_pipeline_s_own_rules_go_before_the_settings() -> None:
    settings = load_settings(
        {"THALWEG_RETRAINING__QUORUM": "3", "THALWEG_RETRAINING__MIN_PSI": "0.1"}
    )
    policy = settings.retraining.policy({"quorum": 2})
    assert (policy.quorum, policy.min_psi) == (2, 0.1)
    assert "decide_interval_s" not in policy.model_dump()


def test_a_definition_keeps_its_rules(tmp_path: Path) -> None:
    given = Pipeline(name="fraud", schema=SCHEMA, model="m", retraining={"min_labelled_rows": 50})
    write_pipeline(tmp_path, given)
    assert read_pipeline(tmp_path, "fraud") == given


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('{"quorom": 2}', "retraining.quorom is no rule (there are: quorum, "),
        ('{"quorum": 0}', "retraining.quorum: Input should be greater than"),
        ('{"severe_harm": 0.001}', "severe_harm must not lie below min_harm"),
        ('{"decide_interval_s": 1}', "retraining.decide_interval_s is no rule"),
        ('"strict"', "pipeline definition"),
    ],
)
def test_a_definition_with_rules_that_are_none_says_which(
    tmp_path: Path, rules: str, said: str
) -> None:
    path = write_pipeline(tmp_path, Pipeline(name="fraud", schema=SCHEMA, model="m"))
    path.write_text(path.read_text().replace('"retraining": null', f'"retraining": {rules}'))
    with pytest.raises(ConfigurationError, match=r"fraud\.json") as caught:
        read_pipeline(tmp_path, "fraud")
    assert said in str(caught.value)


def test_rules_that_fit_but_not_the_settings_are_refused() -> None:
    settings = load_settings({"THALWEG_RETRAINING__MIN_HARM": "0.1"})
    with pytest.raises(ConfigurationError, match="severe_harm must not lie below"):
        settings.retraining.policy({"severe_harm": 0.05})
