"""What testing one network yields: the scores on its sets, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from plidenet.config import Options
from plidenet.evaluation.conditions import Conditions
from plidenet.evaluation.evaluator import ImageResult
from plidenet.evaluation.kernels import KernelPair
from plidenet.evaluation.perceptual import PerceptualScores
from plidenet.metrics.perceptual import PerceptualMetric


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: their number.
        multiply_adds: of one LR image of 64x64 pixels, in all its orientations with a self-ensemble.
        seconds: median time of the network alone over all images.
        peak_memory: in bytes, see `plidenet.evaluation.memory.PeakMemory`; of several processes the greatest.
        device: what that was measured on.
    """

    parameters: int
    multiply_adds: int
    seconds: float
    peak_memory: int | None
    device: str


@dataclass(frozen=True)
class MeasuredSet:
    """The scores of a set.

    Attributes:
        name: in the option file.
        conditions: how its LR images were made.
        results: of each image; none where there are no HR images.
        kernels: of each image whose true kernel is known.
        perceptual: of each image; where there are no HR images, by the metrics that need none.
    """

    name: str
    conditions: Conditions
    results: Sequence[ImageResult]
    kernels: Sequence[KernelPair] = ()
    perceptual: Sequence[PerceptualScores] = ()


@dataclass(frozen=True)
class Measurement:
    """One network on all the sets of its option file that could be measured (at least one).

    Attributes:
        options: where all of it is said.
        sets: in the option file's order.
        cost: of the network.
        tiled: whether images were refined in the tiles of `test.tile`, which not every network knows.
        metrics: the perceptual ones, in the option file's order.
    """

    options: Options
    sets: Sequence[MeasuredSet]
    cost: Cost
    tiled: bool = False
    metrics: Sequence[PerceptualMetric] = ()

    @property
    def method(self) -> str:
        """The network's registered name, with a + where it is measured by its x8 self-ensemble."""
        return self.options.network_G.which_model_G + ("+" if self.options.test.ensemble else "")

    @property
    def scored(self) -> list[MeasuredSet]:
        """The sets that have HR images, and so PSNR and SSIM."""
        return [measured for measured in self.sets if measured.results]

    def set_named(self, name: str) -> MeasuredSet | None:
        return next((measured for measured in self.scored if measured.name == name), None)
