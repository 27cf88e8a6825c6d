"""Models whose answers about an image are explained: which parts of it a score rests on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgevision.imaging.frame import Frame
from edgevision.system.arguments import callback, instance, whole_number
from edgevision.tasks.image_model import ImageModel, ResultT

if TYPE_CHECKING:  # who predicts does not wait for explanations
    from edgevision.explaining.explanation import Explanation
    from edgevision.explaining.faithfulness import ExplanationCurves
    from edgevision.explaining.settings import ExplainSettings
    from edgevision.imaging.decode import ImageLike
    from edgevision.system.numeric import WholeNumber
    from edgevision.tasks.explained import Aim

#: Of the curves of an explanation.
_MOST_STEPS = 1000


class ExplainableModel(ImageModel[ResultT]):
    """A model that gives scores to parts of its answer, such as to classes or objects."""

    answering_methods = (*ImageModel.answering_methods, "explain", "explanation_curves")

    def explain(
        self,
        image: ImageLike,
        target: Any = None,
        method: str | None = None,
        *,
        budget: WholeNumber | None = None,
        settings: ExplainSettings | None = None,
        color: str = "rgb",
        progress: Callable[[int, int], Any] | None = None,
    ) -> Explanation:
        """The parts of an image that the score of a class or of an object rests on.

        Parts of the image are hidden at random, many times, and the scores are compared: nothing but the
        answers of the runtime is used, so it is this artifact on this device that is explained. For an
        object, the score is that of the box of its class that resembles it most, times their
        intersection over union (D-RISE, Petsiuk et al. 2021).

        Args:
            image, color: one image, as in a call.
            target: label or id of a class; of a detector also an object that it found, such as
                ``model(image)[0]``; of a regression the name of a value. By default the best class, the best
                object, or the first value. Of an embedding, its similarity to that of the whole image.
            method, budget: as in `ExplainSettings`, for this call.
            settings: seed, size of the parts, what hides them, and when the map is good enough.
            progress: called with (runs done, runs at most); if it returns False, the map so far is given.

        Returns:
            The map, over the pixels of the image. Look at its `reliability`.

        Raises:
            OptionError: an argument is invalid, or there is no such class.
            NothingFoundError: the class or object was not found in this image.
            InputError, InferenceError: as a call.
        """
        from edgevision.imaging.decode import as_frame
        from edgevision.tasks.explained import explained, settings_of

        settings, progress = settings_of(method, budget, settings), callback(progress, "progress")
        frame = as_frame(image, color)
        aim = self._aim(frame, target)
        return explained(self.session, frame, aim, settings, progress, self.bundle_digest)

    def explanation_curves(
        self, image: ImageLike, explanation: Explanation, *, steps: WholeNumber = 32, color: str = "rgb"
    ) -> ExplanationCurves:
        """Insertion and deletion of an explanation: is the score where the map says?

        The pixels are shown, or hidden, the most important first (Petsiuk et al. 2018). Compare with the
        curves of another map, such as a random one: ``dataclasses.replace(explanation, map=…)``.

        Args:
            image, color: as for the explanation.
            explanation: of this model.
            steps: between nothing and the whole image, 1 to 1000.

        Raises:
            OptionError: an argument is invalid, or the map has another size than the image.
            InputError, InferenceError: as a call.
        """
        from edgevision.explaining.explanation import Explanation
        from edgevision.imaging.decode import as_frame
        from edgevision.tasks.explained import curves_of

        explanation = instance(explanation, Explanation, "explanation")
        count = whole_number(steps, "steps", 1, _MOST_STEPS)
        frame = as_frame(image, color)
        aim = self._aim(frame, self._target_of(explanation))
        return curves_of(self.session, frame, aim, explanation, count)

    def _aim(self, frame: Frame, target: Any) -> Aim:
        """The score that `explain` explains."""
        raise NotImplementedError

    def _target_of(self, explanation: Explanation) -> Any:
        """The class or object of an explanation, as a target of `explain`."""
        return explanation.class_id
