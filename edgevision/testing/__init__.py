"""The contract that every backend and converter must pass, and a backend for tests without a runtime.

Plugin authors run the contract in their own tests::

    from edgevision.testing import check_backend

    def test_my_backend_keeps_the_contract() -> None:
        check_backend(MyBackend(), my_artifact)
"""

from edgevision.testing.backends import check_backend
from edgevision.testing.converters import check_converter
from edgevision.testing.fake import FakeBackend

__all__ = ["FakeBackend", "check_backend", "check_converter"]
