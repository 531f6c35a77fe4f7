"""Against the published way: RD4AD's own inference in PyTorch, with the same weights, on the same card.

FP32 forward, cudnn.benchmark on, TF32 as PyTorch has it; the picture decoded, normalised and on the host; each scale's
map upsampled on the GPU, brought to the host, added up and blurred by scipy (Deng & Li's released test code).
"""

from __future__ import annotations

from contextlib import closing

import numpy as np
import numpy.typing as npt

from gpu.card import clocks_while
from gpu.engines import BuiltEngine, reference_maps
from gpu.loop import MODES, Loop
from gpu.measure import host_times_ms, percentiles
from gpu.sections import NotRunError, Section
from gpu.subject import Subject

PYTORCH = "PyTorch, as published"
_SIGMA = 4


def fill_baseline(section: Section, subject: Subject, n: int, device: str = "cuda") -> None:
    """A row for the published way; facts: `p50_ms`.

    Args:
        section: To fill.
        subject: With the run.
        n: Pictures.
        device: Of PyTorch.
    """
    published = PublishedWay(subject, device)
    error = float(np.abs(published.run() - published.expected).max())
    clocks = clocks_while(published.run)
    found = percentiles(host_times_ms(published.run, n))
    section.facts["p50_ms"] = found["p50"]
    section.add({"way": PYTORCH, **_shown(found), "times as fast": 1.0, "n": n, "map error": error, **clocks})
    height, width = published.expected.shape
    section.notes.append(
        f"{subject.origin}; one picture of {width}x{height}, warm. PyTorch {published.version} on {device}, TF32 in "
        f"cuDNN {'on' if published.tf32 else 'off'}; its picture is normalised beforehand, ours is not. Map error: "
        "against the FP32 graph on the CPU."
    )


def fill(section: Section, subject: Subject, built: BuiltEngine, n: int, baseline_ms: float) -> None:
    """A row for an engine: a BGR frame of the graph's size in its slot, to the verdict.

    Args:
        section: To fill.
        subject: What is measured.
        built: The engine.
        n: Frames.
        baseline_ms: Median of the published way.
    """
    spec = subject.bundle.manifest.preprocess
    with built.opened() as engine, closing(Loop(engine, subject, MODES[0], (spec.width, spec.height))) as loop:
        clocks = loop.warm_up()
        ours = percentiles(loop.run(n)[0])
    section.add({"way": built.name, **_shown(ours), "times as fast": baseline_ms / ours["p50"], "n": n, **clocks})


class PublishedWay:
    """The networks of a run in PyTorch, and one picture on the host.

    Attributes:
        expected: float32 (H, W), the bundle's map of that picture, from the CPU.
        version: Of PyTorch.
        tf32: Whether cuDNN may use it.

    Raises:
        NotRunError: No run, PyTorch, scipy, or no GPU for PyTorch.
    """

    def __init__(self, subject: Subject, device: str) -> None:
        if subject.run is None:
            raise NotRunError("the networks are needed in PyTorch: give the run too (--run RUN), or no --bundle")
        try:
            import torch
            from scipy.ndimage import gaussian_filter
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from error
        if device == "cuda" and not torch.cuda.is_available():
            raise NotRunError(f"PyTorch {torch.__version__} sees no GPU")
        from edgerd.models.normalise import image_from_frames
        from edgerd.training.restore import networks_of
        from edgerd.training.run import RunFolder

        torch.backends.cudnn.benchmark = True
        self.version, self.tf32 = str(torch.__version__), bool(torch.backends.cudnn.allow_tf32)
        self._torch, self._blur, self._device = torch, gaussian_filter, device
        networks, _ = networks_of(RunFolder.open(subject.run))
        if networks.student is None or networks.prototypes is not None:
            raise NotRunError("the published way is RD4AD's: give a run of method rd4ad (--run RUN)")
        teacher = networks.teacher
        self._teacher, self._student = teacher.to(device).eval(), networks.student.to(device).eval()
        tiles, reference = reference_maps(subject)
        self.expected = reference.anomaly_map[0]
        self._image = image_from_frames(torch.from_numpy(tiles[:1].copy()), teacher.info).contiguous()

    def run(self) -> npt.NDArray[np.float32]:
        """One picture, from the host's memory to the blurred map on the host: float32 (H, W)."""
        torch = self._torch
        functional = torch.nn.functional
        with torch.no_grad():
            features = self._teacher(self._image.to(self._device))
            size, total = self._image.shape[-2:], np.zeros(self._image.shape[-2:], np.float32)
            for teacher, student in zip(features, self._student(features), strict=True):
                distance = 1 - functional.cosine_similarity(teacher, student)
                spread = functional.interpolate(distance[:, None], size=size, mode="bilinear", align_corners=True)
                total += spread[0, 0].cpu().numpy()
        blurred: npt.NDArray[np.float32] = self._blur(total, sigma=_SIGMA)
        return blurred


def _shown(found: dict[str, float]) -> dict[str, float]:
    return {f"{name} ms": found[name] for name in ("p50", "p99")}
