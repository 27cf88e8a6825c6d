"""A generator of handwritten digits: a small diffusion network that is told which digit to make.

    python generator.py train -o generator.keras
    python generator.py sample generator.keras -o digits.png

Beside the network it writes ``generator.task.json``: how the network is to be called.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generate_settings import Condition, DiffusionSettings, NoiseSchedule

#: Width and height of an image, digits that there are, and what stands for none of them.
SIDE, CLASSES, NO_CLASS = 8, 10, 10
#: Of the images in training, so many are told no class: guidance compares with that.
UNTOLD = 0.1
TASK = GenerateTask(
    kind="diffusion",
    output="velocity",
    output_range=(-1, 1),
    color="gray",
    settings=DiffusionSettings(
        image_input="noisy",
        timestep_input="time",
        timestep="fraction",
        prediction="v",
        schedule=NoiseSchedule("cosine", steps=1000, offset=0.008),
        condition=Condition("digit", "one-hot", CLASSES, NO_CLASS),
        sampler="ddim",
        steps=25,
        guidance=1.5,
    ),
)
