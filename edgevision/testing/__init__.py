"""For the tests of plugins and of applications.

Plugin authors run the contract that every plugin of their kind keeps, the built-in ones too::

    from edgevision.testing import check_backend

    def test_my_backend_keeps_the_contract() -> None:
        check_backend(MyBackend(), my_artifact)

Applications are tested with models that need no runtime and no bundle::

    from edgevision.testing import fake_detector

    def test_the_gate_opens_for_a_person() -> None:
        gate = Gate(model=fake_detector(["person", "car"], [("person", 0.9, (10, 20, 110, 220))]))
        assert gate.is_open(frame)
"""

from edgevision.testing.backends import check_backend
from edgevision.testing.clock import SimulatedClock
from edgevision.testing.converters import check_converter
from edgevision.testing.decoders import check_decoder
from edgevision.testing.fake import FakeBackend
from edgevision.testing.models import fake_classifier, fake_detector, fake_generator, fake_image_to_image
from edgevision.testing.readers import check_reader
from edgevision.testing.tasks import check_task

__all__ = [
    "FakeBackend",
    "SimulatedClock",
    "check_backend",
    "check_converter",
    "check_decoder",
    "check_reader",
    "check_task",
    "fake_classifier",
    "fake_detector",
    "fake_generator",
    "fake_image_to_image",
]
