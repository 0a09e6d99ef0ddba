"""A column that is (nearly) constant in the reference: are the exceptions more than they were?"""

from drift.dependence.block_hotelling import Verdict


def rare_rows(
    n_rare_reference: float,
    n_rare_window: float,
    *,
    n_reference: int,
    n_window: int,
    clump: float,
    alpha: float,
) -> Verdict:
    """Conditional binomial test that rare rows are not more frequent in the window; one-sided.

    Given t rare rows in both, the window's share of them is Binomial(t, m / (m + n)) when the rate
    is the same (Przyborowski and Wilenski, 1940). Rare rows that come in clumps of `clump` rows on
    average (at least 1) count as that many fewer. Discrete, hence never above its rate when the
    clumps are right. The statistic is the lower confidence limit (level 1 - alpha) of the window's
    share over the share expected, the threshold 1.
    """
    from scipy.special import betainc, betaincinv

    seen, before = n_rare_window / clump, n_rare_reference / clump
    share = n_window / (n_window + n_reference)
    p_value = float(betainc(seen, before + 1.0, share)) if seen > 0 else 1.0
    bound = float(betaincinv(seen, before + 1.0, alpha)) if seen > 0 else 0.0
    return Verdict(bound / share, 1.0, p_value)
