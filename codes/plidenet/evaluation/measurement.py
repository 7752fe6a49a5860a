"""What testing one network yields: the scores of its sets' images, and what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plidenet.config import Options
from plidenet.evaluation.conditions import Conditions
from plidenet.evaluation.kernel_scores import KernelPair
from plidenet.metrics import Score
from plidenet.metrics.perceptual import PerceptualMetric


@dataclass(frozen=True)
class ImageResult:
    """What one image came to.

    Attributes:
        key: the LR image's name.
        seconds: time of the network alone; None where another program restored the image.
        score: PSNR and SSIM; None where the HR image is unknown.
        kernels: None where the true kernel is unknown, nothing was blurred, or the network estimates none.
        perceptual: by the metrics' names; without the HR image, by those alone that need none.
    """

    key: str
    seconds: float | None
    score: Score | None
    kernels: KernelPair | None
    perceptual: Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: number of parameters.
        multiply_adds: for an LR image of 64x64 pixels; with a self-ensemble, for all its orientations.
        seconds: median time of the network alone over all images.
        peak_memory: in bytes, see `plidenet.memory.PeakMemory`; of several processes the greatest.
        device: what time and memory were measured on.
    """

    parameters: int
    multiply_adds: int
    seconds: float
    peak_memory: int | None
    device: str


@dataclass(frozen=True)
class MeasuredSet:
    """The images of a set, measured.

    Attributes:
        name: in the option file.
        conditions: how its LR images were made.
        images: what each of them came to.
    """

    name: str
    conditions: Conditions
    images: Sequence[ImageResult]

    @property
    def scores(self) -> dict[str, Score]:
        """PSNR and SSIM by the images' names, of those whose HR images are known."""
        return {one.key: one.score for one in self.images if one.score is not None}

    @property
    def kernels(self) -> list[KernelPair]:
        """Estimated and true ones, of the images where both are known."""
        return [one.kernels for one in self.images if one.kernels is not None]

    @property
    def perceptual(self) -> list[Mapping[str, float]]:
        """Of the images that any metric measured."""
        return [one.perceptual for one in self.images if one.perceptual]


@dataclass(frozen=True)
class Measurement:
    """One method on all the sets of its option file that could be measured (at least one).

    Attributes:
        options: where all of it is said.
        sets: in the option file's order.
        cost: of the network; None where another program restored the images.
        tiled: whether images were refined in the tiles of `test.tile`, which not every network knows.
        metrics: the perceptual ones, in the option file's order.
    """

    options: Options
    sets: Sequence[MeasuredSet]
    cost: Cost | None
    tiled: bool = False
    metrics: Sequence[PerceptualMetric] = ()

    @property
    def method(self) -> str:
        """The network's name, with a + where it is measured by its x8 self-ensemble, or a mark of true kernels."""
        return self.options.network_G.which_model_G + self.options.test.mark

    @property
    def scored(self) -> list[MeasuredSet]:
        """The sets that have HR images, and so PSNR and SSIM."""
        return [measured for measured in self.sets if measured.scores]

    def set_named(self, name: str) -> MeasuredSet | None:
        return next((measured for measured in self.scored if measured.name == name), None)
