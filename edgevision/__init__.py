"""Put trained Keras vision models on edge devices, and prove that they still do there what they did here.

    import edgevision

    model = edgevision.load("model.evb")
    print(model("photo.jpg").top(3))
"""

from edgevision._version import __version__
from edgevision.hookspecs import hookimpl

__all__ = ["__version__", "hookimpl"]
