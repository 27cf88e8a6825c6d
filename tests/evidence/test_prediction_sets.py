"""Prediction sets: the coverage that they claim in simulations, and MAPIE's beside ours."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from edgevision.errors import InputError, OptionError
from edgevision.evidence.prediction_sets import (
    PredictionSetSpecification,
    conformal_quantile,
    expected_coverage,
    fit_prediction_sets,
    prediction_set_evidence,
)
from edgevision.metrics.classification import members
from edgevision.tasks.prediction_sets import PredictionSets, prediction_sets_from
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration, score_calibration_from
from edgevision.testing import fake_classifier

METHODS = ("lac", "raps")


def draw(random: np.random.Generator, images: int, classes: int = 5) -> tuple[Any, Any]:
    """Scores of an overconfident classifier, and classes drawn from what is true."""
    logits = random.normal(0, 1.5, (images, classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([random.choice(classes, p=row) for row in shares])
    sharp = np.exp(2.5 * logits)
    return (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32), truth


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("images", [20, 50, 200])
def test_coverage_on_average_over_calibration_sets_is_what_is_stated(method: str, images: int) -> None:
    """A short form of benchmarks/prediction_sets.py, which has 2,000 draws."""
    random, draws, coverage = np.random.default_rng(images), 200, 0.9
    specification = PredictionSetSpecification(coverage, method)
    shares = []
    for _ in range(draws):
        scores, truth = draw(random, images + 100)
        rule = fit_prediction_sets(specification, scores[:images], members(truth[:images], 5))
        inside = rule.contains(scores[images:])
        shares.append(inside[np.arange(100), truth[images:]].mean())
    error = np.std(shares) / np.sqrt(draws)
    least = images if method == "lac" or images < 100 else int(0.8 * images)
    assert coverage - 3 * error <= np.mean(shares) <= coverage + 1 / (least + 1) + 3 * error


@pytest.mark.parametrize("method", METHODS)
def test_the_range_of_coverages_of_calibration_sets_is_a_beta_distribution(method: str) -> None:
    random, images = np.random.default_rng(7), 40
    many, truths = draw(random, 20_000)
    inside = []
    for _ in range(300):
        scores, truth = draw(random, images)
        rule = fit_prediction_sets(PredictionSetSpecification(0.9, method), scores, members(truth, 5))
        low, high = expected_coverage(rule)
        coverage = rule.contains(many)[np.arange(len(many)), truths].mean()
        inside.append(low <= coverage <= high)
    assert 0.91 <= np.mean(inside) <= 0.99


def mapie_sets(kind: Any, scores: Any, truth: Any, test: Any, **options: Any) -> tuple[float, Any]:
    """Quantile and sets of MAPIE, for a model that is fitted already."""
    from mapie.classification import SplitConformalClassifier

    class Fitted:
        classes_ = np.arange(scores.shape[1])
        is_fitted_ = True

        def fit(self, *_: Any) -> Fitted:
            return self

        def predict(self, rows: Any) -> Any:
            return np.asarray(rows).argmax(axis=1)

        def predict_proba(self, rows: Any) -> Any:
            return np.asarray(rows)

        def __sklearn_is_fitted__(self) -> bool:
            return True

    model = SplitConformalClassifier(Fitted(), confidence_level=0.9, conformity_score=kind, prefit=True)
    model.conformalize(scores, truth)
    _, sets = model.predict_set(test, conformity_score_params=options)
    return float(kind.quantiles_[0]), sets[:, :, 0]


@pytest.mark.parametrize("images", [25, 200, 333])
def test_lac_is_that_of_mapie(images: int) -> None:
    pytest.importorskip("mapie", reason="needs mapie")
    from mapie.conformity_scores import LACConformityScore

    scores, truth = draw(np.random.default_rng(images), images + 500)
    scores = scores.astype(np.float64)
    scores /= scores.sum(axis=1, keepdims=True)
    rule = fit_prediction_sets(PredictionSetSpecification(0.9), scores[:images], members(truth[:images], 5))
    quantile, sets = mapie_sets(LACConformityScore(), scores[:images], truth[:images], scores[images:])
    assert rule.quantile == pytest.approx(quantile, abs=1e-12)
    assert np.array_equal(rule.contains(scores[images:]), sets)


@pytest.mark.parametrize(("penalty", "free_ranks"), [(0.0, 0), (0.1, 1), (0.01, 2)])
def test_raps_is_that_of_mapie_without_its_random_numbers(
    penalty: float, free_ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mapie", reason="needs mapie")
    from mapie.conformity_scores.sets.raps import RAPSConformityScore

    scores, truth = draw(np.random.default_rng(3), 900)
    scores = scores.astype(np.float64)
    kind = RAPSConformityScore()
    summed, rank = kind.get_true_label_cumsum_proba(truth, scores, np.arange(5))
    kind.lambda_star, kind.k_star = np.array(penalty), np.array(free_ranks)
    theirs = summed[:, 0] + penalty * np.maximum(rank - free_ranks, 0)
    rule = PredictionSets("raps", 0.9, 0.0, 1, penalty, free_ranks)
    ours = rule.nonconformity(scores)[np.arange(len(truth)), truth]
    assert ours == pytest.approx(theirs, abs=1e-12)
    from mapie.utils import _compute_classification_quantile

    quantile = _compute_classification_quantile(theirs[:, None], np.array([0.1]))[0]
    assert conformal_quantile(ours, 0.9) == pytest.approx(quantile, abs=1e-12)


@pytest.mark.parametrize(
    ("coverage", "images", "rank"), [(0.9, 9, 9), (0.9, 19, 18), (0.95, 19, 19), (0.5, 1, 1), (0.9, 99, 90)]
)
def test_the_quantile_is_the_exact_rank_despite_binary_fractions(
    coverage: float, images: int, rank: int
) -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, images + 1))
    assert conformal_quantile(values, coverage) == rank
    assert PredictionSetSpecification(coverage).least_images <= images


def test_too_few_images_are_refused_with_the_number_that_it_takes() -> None:
    scores, truth = draw(np.random.default_rng(0), 18)
    with pytest.raises(InputError, match="18 images cannot show a coverage of 0.95; calibrate on 19 or more"):
        fit_prediction_sets(PredictionSetSpecification(0.95), scores, members(truth, 5))


def test_of_images_that_belong_together_one_counts() -> None:
    scores, truth = draw(np.random.default_rng(0), 400)
    groups = np.repeat(np.arange(40), 10)
    rule = fit_prediction_sets(PredictionSetSpecification(0.9), scores, members(truth, 5), groups)
    assert rule.images == 40
    with pytest.raises(InputError, match="8 independent groups of images"):
        fit_prediction_sets(
            PredictionSetSpecification(0.9), scores, members(truth, 5), np.repeat(np.arange(8), 50)
        )


def test_the_evidence_is_measured_on_other_images_and_by_class() -> None:
    random = np.random.default_rng(1)
    scores, truth = draw(random, 400)
    specification = PredictionSetSpecification(0.8)
    rule = fit_prediction_sets(specification, scores[:200], members(truth[:200], 5))
    labels = [f"class {number}" for number in range(5)]
    evaluation, classes = scores[200:], truth[200:]
    evidence = prediction_set_evidence((rule, rule), (evaluation, evaluation), members(classes, 5), labels)
    inside = rule.contains(evaluation)
    covered = inside[np.arange(200), classes]
    assert evidence.artifact.covered == covered.sum()
    assert evidence.artifact.mean_size == pytest.approx(inside.sum(axis=1).mean(), abs=1e-4)
    assert evidence.artifact.single == (inside.sum(axis=1) == 1).sum()
    assert sum(row.images for row in evidence.by_class) == 200
    shares = [row.covered / row.images for row in evidence.by_class]
    assert shares == sorted(shares)
    first = evidence.by_class[0]
    assert first.covered == covered[classes == int(first.label[-1])].sum()
    assert evidence.warnings == ()
    unlike = prediction_set_evidence(
        (rule, rule), (evaluation, evaluation), members((classes + 1) % 5, 5), labels
    )
    assert any("not of one kind" in warning for warning in unlike.warnings)


def test_a_manifest_has_the_rule_and_earlier_ones_have_none() -> None:
    rule = PredictionSets("raps", 0.9, 0.75, 80, 0.1, 2, 3, False)
    calibration = ScoreCalibration(1.5, None, rule)
    assert score_calibration_from(asdict(calibration)) == calibration
    assert score_calibration_from({"temperature": 1.5, "operating_point": None}) == ScoreCalibration(1.5)
    assert prediction_sets_from(None) is None


@pytest.mark.parametrize(
    "change",
    [{"method": "x"}, {"coverage": 1.0}, {"quantile": None}, {"images": 0}, {"penalty": -1}, {"extra": 1}],
)
def test_a_rule_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    document = {"method": "lac", "coverage": 0.9, "quantile": 0.5, "images": 10}
    with pytest.raises(OptionError):
        prediction_sets_from({**document, **change})


@pytest.mark.parametrize(
    ("scores", "expected", "abstention"),
    [
        ([0.9, 0.06, 0.04], ("a",), ""),
        ([0.45, 0.1, 0.45], ("a", "c"), "2 classes are plausible"),
        ([0.34, 0.33, 0.33], (), "no class is plausible"),
    ],
)
def test_an_answer_has_its_set_and_abstains_unless_that_is_one_class(
    scores: list[float], expected: tuple[str, ...], abstention: str
) -> None:
    model = fake_classifier(["a", "b", "c"], scores)
    rule = PredictionSets("lac", 0.9, 0.6, 100)
    model.score_calibration = ScoreCalibration(prediction_sets=rule)
    found = model(np.zeros((8, 8, 3), np.uint8))
    assert (found.prediction_set, found.abstention) == (expected, abstention)
    assert found.to_dict()["prediction_set"]["labels"] == list(expected)
    ((_, result),) = model.stream([np.zeros((8, 8, 3), np.uint8)])
    assert result.status == (f"abstained: {abstention}" if abstention else "ok")
    assert ("result" in result.to_dict()) is True
    assert (result.unsure is not None) is bool(abstention)
    silent = PredictionSets("lac", 0.9, 0.6, 100, abstain=False)
    model.score_calibration = ScoreCalibration(prediction_sets=silent)
    assert model(np.zeros((8, 8, 3), np.uint8)).abstention == ""


def test_below_the_operating_point_is_an_abstention_only_where_it_is_asked_for() -> None:
    point = OperatingPoint("b", 1, 0.5, "precision", 0.9)
    model = fake_classifier(["a", "b"], [0.7, 0.3], operating_point=point)
    frame = np.zeros((8, 8, 3), np.uint8)
    assert model(frame).abstention == ""
    model.abstain_below_operating_point = True
    assert model(frame).abstention == "below the operating point of 'b'"
    ((_, result),) = model.stream([frame])
    assert result.status == "abstained: below the operating point of 'b'"
