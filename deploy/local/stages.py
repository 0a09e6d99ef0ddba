"""The stages that a pipeline runs, and what each reads."""

from schemas.settings import Settings
from schemas.topics import Topic

SERVING = {"score": Topic.FEATURES, "log": Topic.SCORED_BATCHES}
DRIFT = {
    "sketch": Topic.SCORED_BATCHES,
    "detect": Topic.DRIFT_SKETCHES,
    "join": Topic.LABELS,
    "decide": Topic.DRIFT_ALERTS,
}


def stages_of(settings: Settings) -> dict[str, Topic]:
    """Stage and source; a stage's consumer group is `{prefix}{pipeline}.{stage}`."""
    return SERVING | DRIFT if settings.local.drift else SERVING
