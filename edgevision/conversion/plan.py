"""The artifacts that the targets need, and the backend that measures each on this machine."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from edgevision.artifact import MIXED, is_calibrated, precision_meanings
from edgevision.backend import Backend, SessionSettings
from edgevision.conversion.settings import ConversionRequest
from edgevision.errors import DeviceError, MissingOptionError, MissingRuntimeError, OptionError
from edgevision.plugins import Registry
from edgevision.target import Target, find_target, load_targets

#: Precisions computed in float: a device that supports none of them cannot compute in float.
FLOAT_PRECISIONS = frozenset({"float32", "float16", "int8-dynamic"})
#: Precisions with int8 activations, which may have a zero point.
_INT8 = frozenset({"int8", "int8-float-io", MIXED})


@dataclass(frozen=True)
class PlannedArtifact:
    """An artifact to convert, shared by all targets that need it.

    Attributes:
        format, precision: as in `edgevision.artifact.Artifact`.
        targets: the targets that it is converted for.
        float_layers: layers of the source that stay in float, for ``int8-mixed``.
        full_integer: True for targets that compute nothing in float: where the int8 of other targets keeps
            operations in float, theirs must not, and is another artifact.
        symmetric: True for int8 artifacts of targets whose backend takes no activations with a zero point.
    """

    format: str
    precision: str
    targets: tuple[Target, ...]
    float_layers: tuple[str, ...] = ()
    full_integer: bool = False
    symmetric: bool = False

    @property
    def id(self) -> str:
        """Unique in a bundle: ``tflite-int8``; with two layers in float, ``tflite-int8-mixed-2``."""
        layers = f"-{len(self.float_layers)}" if self.float_layers else ""
        form = "-full-integer" if self.full_integer else "-symmetric" if self.symmetric else ""
        return f"{self.format}-{self.precision}{layers}{form}"


@dataclass(frozen=True)
class ConversionPlan:
    """The artifacts to convert.

    Attributes:
        targets: device profiles.
        artifacts: one per format and precision, and one more for targets that compute nothing in float or
            take another form of int8; of a search, its first candidates.
        searching: True if the cheapest artifact inside the budget is searched for.
        calibrated: what needs a calibration set, in words; empty if nothing does.
        symmetric: names of the targets whose backend takes no int8 activations with a zero point.
    """

    targets: tuple[Target, ...]
    artifacts: tuple[PlannedArtifact, ...]
    searching: bool
    calibrated: tuple[str, ...]
    symmetric: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MeasurementBackend:
    """The backend and device that an artifact is measured on, on this machine.

    Attributes:
        backend: runs the artifact.
        settings: device and compute precision.
        on_target: True if both are those of its target.
    """

    backend: Backend
    settings: SessionSettings
    on_target: bool


def plan_conversion(
    request: ConversionRequest, plugins: Registry, *, has_ranges: bool = False
) -> ConversionPlan:
    """The plan of a conversion, with backends that are known to run on this machine.

    Args:
        request: the arguments of the conversion.
        plugins: provide targets and backends.
        has_ranges: True if the source was trained for int8, and needs no calibration set for it.

    Raises:
        OptionError: a target or precision is unknown, or they contradict each other.
        PluginError, MissingRuntimeError, DeviceError: an artifact cannot be measured on this machine.
    """
    known = load_targets(request.settings.targets_files, plugins)
    targets = tuple(find_target(name, known) for name in request.targets)
    searching = _is_search(request, targets, request.can_calibrate or has_ranges)
    symmetric = symmetric_targets(targets, plugins)
    artifacts = tuple(plan_artifacts(targets, () if searching else request.precisions, symmetric))
    for artifact in artifacts:
        measurement_backend_for(artifact, plugins)
    calibrated = tuple(
        artifact.id
        for artifact in artifacts
        if is_calibrated(artifact.precision) and not (has_ranges and artifact.precision in _INT8)
    )
    if searching:
        # Without a calibration set, the search tries only candidates that need none.
        calibrated = ("the search for a precision",) if request.can_calibrate else ()
    return ConversionPlan(targets, artifacts, searching, calibrated, symmetric)


def _is_search(request: ConversionRequest, targets: Sequence[Target], can_calibrate: bool) -> bool:
    precisions = request.precisions
    if "auto" in precisions and len(precisions) > 1:
        others = ", ".join(precision for precision in precisions if precision != "auto")
        raise OptionError(f"precision: 'auto' chooses the precision itself; remove {others}")
    searching = "auto" in precisions or (not precisions and can_calibrate)
    integer_only = [target.name for target in targets if all(map(is_calibrated, target.precisions))]
    if searching and not can_calibrate and integer_only:
        raise OptionError(
            f"{integer_only[0]} runs only artifacts that need a calibration set; pass --calibration FOLDER"
        )
    return searching


def symmetric_targets(targets: Sequence[Target], plugins: Registry) -> frozenset[str]:
    """Names of the targets whose backend takes no int8 activations with a zero point; see `Backend`.

    Raises:
        PluginError: no plugin provides the backend of a target.
    """
    return frozenset(
        target.name for target in targets if getattr(plugins.backend(target.backend), "symmetric_int8", False)
    )


def plan_artifacts(
    targets: Sequence[Target], precisions: Sequence[str], symmetric: Collection[str] = ()
) -> list[PlannedArtifact]:
    """The artifacts that the targets need, in the order of the targets.

    Args:
        targets: one or more.
        precisions: applied to each target that supports them; empty for each target's cheapest.
        symmetric: names as by `symmetric_targets`.

    Raises:
        OptionError: there is no target, a precision is unknown, or a target supports none of them.
    """
    if not targets:
        raise MissingOptionError("", "no target; pass --target NAME (run: edgevision targets)")
    for precision in precisions:
        if precision not in precision_meanings():
            raise OptionError(f"no precision '{precision}'; supported: {', '.join(precision_meanings())}")
    users: dict[PlannedArtifact, list[Target]] = {}
    for target in targets:
        for precision in _supported(target, precisions):
            one = planned_artifact(target, precision, is_symmetric=target.name in symmetric)
            users.setdefault(replace(one, targets=()), []).append(target)
    return [replace(one, targets=tuple(sharing)) for one, sharing in users.items()]


def planned_artifact(
    target: Target, precision: str, float_layers: Sequence[str] = (), *, is_symmetric: bool
) -> PlannedArtifact:
    """The artifact of a precision for one target.

    Args:
        target: the device.
        precision: one that it runs, or ``int8-mixed``.
        float_layers: layers of the source that stay in float.
        is_symmetric: True if the target's backend takes no int8 activations with a zero point.
    """
    return PlannedArtifact(
        target.format,
        precision,
        (target,),
        tuple(float_layers),
        must_be_full_integer(target, precision),
        is_symmetric and precision in _INT8,
    )


def must_be_full_integer(target: Target, precision: str) -> bool:
    """True if an artifact of this precision may have no float operation, because the target computes none."""
    return precision in ("int8", "int8-float-io") and not FLOAT_PRECISIONS & set(target.precisions)


def _supported(target: Target, precisions: Sequence[str]) -> Sequence[str]:
    supported = [p for p in precisions if p in target.precisions] if precisions else target.precisions[:1]
    if not supported:
        raise OptionError(
            f"target '{target.name}' does not support {', '.join(precisions)}; "
            f"it supports: {', '.join(target.precisions)}"
        )
    return supported


def measurement_backend_for(planned: PlannedArtifact, plugins: Registry) -> MeasurementBackend:
    """The measurement backend of an artifact: that of its first target that this machine matches.

    If it matches none: the same backend on its default device, or the target's stand-in if the backend
    cannot run on this machine at all.

    Raises:
        PluginError: no plugin provides the backend.
        MissingRuntimeError, DeviceError: neither the backend nor a stand-in can run on this machine.
    """
    backends = [_measurement_backend(target, plugins) for target in planned.targets]
    return next((backend for backend in backends if backend.on_target), backends[0])


def _measurement_backend(target: Target, plugins: Registry) -> MeasurementBackend:
    backend = plugins.backend(target.backend)
    try:
        devices = [device.name for device in backend.devices()]
    except (MissingRuntimeError, DeviceError):
        if target.stand_in is None:
            raise
        stand_in = plugins.backend(target.stand_in)
        stand_in.version()
        return MeasurementBackend(stand_in, SessionSettings(), on_target=False)
    present = target.device in (None, *devices)
    settings = SessionSettings(options=target.backend_options)
    try:
        settings.check_options(backend.name, backend.options)
    except OptionError as error:
        raise OptionError(f"{target.origin}: target '{target.name}': {error}") from error
    if present:
        settings = replace(settings, device=target.device, precision=target.compute_precision)
    return MeasurementBackend(backend, settings, on_target=present)
