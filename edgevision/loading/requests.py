"""A caller's arguments as one request: each is parsed here, once."""

from __future__ import annotations

from dataclasses import replace

from edgevision.backend import SessionSettings
from edgevision.errors import OptionError
from edgevision.loading.choice import Request
from edgevision.loading.first_load import FIRST_LOAD, selftest_mode
from edgevision.system.arguments import flag, instance, optional_text
from edgevision.system.shown import shown


def request_of(
    backend: str | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    settings: SessionSettings | None,
    tune: bool | None,
    selftest: object = FIRST_LOAD,
) -> Request:
    """The request of a call of `edgevision.load` with these arguments.

    Raises:
        OptionError: one is of another type or out of range, or two contradict each other.
    """
    return Request(
        optional_text(backend, "backend"),
        optional_text(precision, "precision"),
        _merged(
            SessionSettings() if settings is None else settings, optional_text(device, "device"), threads
        ),
        None if tune is None else flag(tune, "tune"),
        selftest_mode(selftest),
    )


def _merged(settings: SessionSettings, device: str | None, threads: int | None) -> SessionSettings:
    """`settings` with the device and the threads that are arguments of their own."""
    settings = instance(settings, SessionSettings, "settings")
    threads = SessionSettings(threads=threads).threads
    for name, argument in (("device", device), ("threads", threads)):
        setting = getattr(settings, name)
        if argument is not None and setting is not None and argument != setting:
            raise OptionError(
                f"{name}: {shown(argument)} and settings.{name} {shown(setting)} contradict each other"
            )
    return replace(
        settings,
        device=settings.device if device is None else device,
        threads=settings.threads if threads is None else threads,
    )
