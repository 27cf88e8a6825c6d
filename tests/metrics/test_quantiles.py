"""Quantiles that a device has no scipy for."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.metrics.quantiles import beta_quantile, beta_share_below


def test_quantiles_of_the_beta_distribution_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="comes with scikit-learn (extra `dev`)")
    random = np.random.default_rng(0)
    for first, second in 10 ** random.uniform(-1, 5, (60, 2)):
        for share in (0.001, 0.025, 0.5, 0.975):
            value = beta_quantile(share, first, second)
            assert value == pytest.approx(stats.beta.ppf(share, first, second), abs=1e-10)
        assert beta_share_below(0.3, first, second) == pytest.approx(
            stats.beta.cdf(0.3, first, second), abs=1e-10
        )
