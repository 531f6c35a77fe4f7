"""Against the published way: RD4AD's own inference in PyTorch, with the same weights, on the same card.

FP32 forward, cudnn.benchmark on, TF32 as PyTorch has it; the picture decoded, normalised and on the host; each scale's
map upsampled on the GPU, brought to the host, added up and blurred by scipy (Deng & Li's released test code).
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

from gpu.engines import BuiltEngine
from gpu.loop import MODES, Loop
from gpu.measure import host_times_ms, percentiles
from gpu.sections import Bar, NotRunError, Section
from gpu.subject import Subject

_SIGMA = 4
_FACTORS = {"tensorrt": 20.0, "onnxruntime-cuda": 5.0}


def fill(section: Section, subject: Subject, engines: list[BuiltEngine], n: int) -> None:
    """A row for the published way, one per engine: a BGR frame of the graph's size in its slot, to the verdict."""
    published = PublishedWay(subject)
    baseline = percentiles(host_times_ms(published.run, n))
    section.rows.append({"way": "PyTorch, as published", **_shown(baseline), "times as fast": 1.0})
    spec = subject.bundle.manifest.preprocess
    best: dict[str, float] = {}
    for built in engines:
        with built.opened() as engine, closing(Loop(engine, subject, MODES[0], (spec.width, spec.height))) as loop:
            ours = percentiles(loop.run(n)[0])
        factor = baseline["p50"] / ours["p50"]
        section.rows.append({"way": built.name, **_shown(ours), "times as fast": factor})
        best[built.runtime] = max(best.get(built.runtime, 0.0), factor)
    for runtime, factor in best.items():
        section.bars.append(
            Bar(f"{runtime}, its fastest precision, times as fast", factor, _FACTORS[runtime], at_most=False)
        )
    section.notes.append(
        f"{subject.origin}; one picture of {spec.width}x{spec.height}, medians of {n}. PyTorch {published.version}, "
        f"TF32 in cuDNN {'on' if published.tf32 else 'off'}; its picture is normalised beforehand, ours is not."
    )


class PublishedWay:
    """The networks of a run on the GPU, and one picture on the host.

    Raises:
        NotRunError: No run, PyTorch, scipy, or no GPU for PyTorch.
    """

    def __init__(self, subject: Subject) -> None:
        if subject.run is None:
            raise NotRunError("the networks are needed in PyTorch: give the run too (--run RUN), or no --bundle")
        try:
            import torch
            from scipy.ndimage import gaussian_filter
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from error
        if not torch.cuda.is_available():
            raise NotRunError(f"PyTorch {torch.__version__} sees no GPU")
        from edgerd.building.scores import holdout_pictures
        from edgerd.models.normalise import image_from_frames
        from edgerd.training.loop import networks_of
        from edgerd.training.run import RunFolder

        torch.backends.cudnn.benchmark = True
        self.version, self.tf32 = str(torch.__version__), bool(torch.backends.cudnn.allow_tf32)
        self._torch, self._blur = torch, gaussian_filter
        teacher, student, _ = networks_of(RunFolder.open(subject.run))
        self._teacher, self._student = teacher.cuda().eval(), student.cuda().eval()
        picture = torch.from_numpy(holdout_pictures(subject.bundle)[0, :1].copy())
        self._image = image_from_frames(picture).contiguous()

    def run(self) -> Any:
        """One picture, from the host's memory to the blurred map on the host: float32 (H, W)."""
        torch = self._torch
        functional = torch.nn.functional
        with torch.no_grad():
            features = self._teacher(self._image.cuda())
            size, total = self._image.shape[-2:], np.zeros(self._image.shape[-2:], np.float32)
            for teacher, student in zip(features, self._student(features), strict=True):
                distance = 1 - functional.cosine_similarity(teacher, student)
                spread = functional.interpolate(distance[:, None], size=size, mode="bilinear", align_corners=True)
                total += spread[0, 0].cpu().numpy()
        return self._blur(total, sigma=_SIGMA)


def _shown(found: dict[str, float]) -> dict[str, float]:
    return {f"{name} ms": found[name] for name in ("p50", "p99")}
