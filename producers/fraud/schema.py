"""The 30 features of the synthetic fraud stream, as a bank has them when a payment arrives."""

from schemas.features import Dtype, Feature, FeatureSchema

COUNT, FLAG = Dtype.INTEGER, Dtype.BOOLEAN

WINDOWS_DAYS = (1, 7, 30)
"""The sliding windows of the `_1d`, `_7d` and `_30d` features; each ends just before the event."""


def _windows(name: str, dtype: Dtype) -> tuple[Feature, ...]:
    return tuple(Feature(name=f"{name}_{days}d", dtype=dtype, minimum=0) for days in WINDOWS_DAYS)


FRAUD_SCHEMA = FeatureSchema(
    (
        Feature(name="amount", minimum=0),
        Feature(name="log_amount", minimum=0),
        Feature(name="is_round_amount", dtype=FLAG),
        Feature(name="hour_sin", minimum=-1, maximum=1),
        Feature(name="hour_cos", minimum=-1, maximum=1),
        Feature(name="is_weekend", dtype=FLAG),
        Feature(name="is_night", dtype=FLAG),
        Feature(name="is_online", dtype=FLAG),
        *_windows("customer_count", COUNT),
        *_windows("customer_mean_amount", Dtype.FLOAT),
        Feature(name="customer_std_amount_30d", minimum=0),
        Feature(name="amount_to_customer_mean_30d", minimum=0),
        Feature(name="hours_since_customer_last", minimum=0),
        Feature(name="distance_km", minimum=0),
        Feature(name="distance_from_last_km", minimum=0),
        Feature(name="customer_age_days", dtype=COUNT, minimum=0),
        Feature(name="customer_online_share_30d", minimum=0, maximum=1),
        Feature(name="customer_fraud_reports_30d", dtype=COUNT, minimum=0),
        Feature(name="is_new_terminal", dtype=FLAG),
        *_windows("terminal_count", COUNT),
        Feature(name="terminal_mean_amount_30d", minimum=0),
        # Reported frauds: one that nobody has reported yet is not known to the bank either.
        *_windows("terminal_fraud_rate", Dtype.FLOAT),
    )
)
