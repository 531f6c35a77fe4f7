"""Backbones of timm as teachers: `--teacher timm:<model>`, with `edgerd[timm]`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from edgerd.errors import DownloadError, InputError, MissingDependencyError
from edgerd.models.teachers.teacher import Features, Teacher, TeacherInfo

_STRIDES = (4, 8, 16)


class TimmBackbone(Teacher):
    """The features of a timm model at strides 4, 8 and 16; embedding and decoder are made of basic blocks."""

    def __init__(self, model: str, backbone: nn.Module, info: TeacherInfo, stages: list[int]) -> None:
        super().__init__()
        self.info = info
        self.backbone = backbone
        self._model = model
        self._stages = stages

    def forward(self, image: Tensor) -> Features:
        """Normalised RGB (N, 3, H, W) -> features at strides 4, 8, 16."""
        first, second, third = self.backbone(image)
        return first, second, third

    def first_convolution(self) -> nn.Conv2d:
        """The first convolution of the stem."""
        return next(layer for layer in self.backbone.modules() if isinstance(layer, nn.Conv2d))

    def pretrained_here(self) -> dict[str, Any] | None:
        """Weights that timm finds or downloads.

        Raises:
            DownloadError: timm has no weights for the model, or cannot fetch them.
        """
        import timm

        try:
            backbone = timm.create_model(self._model, features_only=True, pretrained=True, out_indices=self._stages)
        except (OSError, RuntimeError) as error:  # no network; a model that has no weights
            raise DownloadError(
                f"timm gives no weights for {self._model}: {str(error).rstrip('.')}.",
                expected="a model with pretrained weights, and a network that reaches them, once",
                hint="--teacher-weights FILE, another timm model, or the built-in teacher: --teacher lite0",
            ) from error
        return dict(TimmBackbone(self._model, backbone, self.info, self._stages).state_dict())


def timm_backbone(model: str) -> TimmBackbone:
    """A timm model as a teacher, with random weights.

    Raises:
        MissingDependencyError: timm is not installed.
        InputError: timm has no such model, or it has no features at strides 4, 8 and 16.
    """
    try:
        import timm
    except ImportError as error:
        raise MissingDependencyError(
            f"The teacher timm:{model} needs timm, which does not import here: {error}.",
            expected="timm with a torchvision that matches this torch",
            hint='pip install "edgerd[timm]"',
        ) from error
    if model not in timm.list_models():
        raise InputError(
            f"timm has no model named {model!r}.", hint='python -c "import timm; print(timm.list_models())"'
        )
    reductions = timm.create_model(model, features_only=True, pretrained=False).feature_info.reduction()
    if not set(_STRIDES) <= set(reductions):
        raise InputError(
            f"timm's {model} has features at strides {reductions}.",
            expected="strides 4, 8 and 16",
            hint="Choose a convolutional model such as timm:mobilenetv3_large_100.",
        )
    stages = [reductions.index(stride) for stride in _STRIDES]
    backbone = timm.create_model(model, features_only=True, pretrained=False, out_indices=stages)
    first, second, third = backbone.feature_info.channels()
    config = timm.get_pretrained_cfg(model)
    info = TeacherInfo(
        f"timm:{model}",
        (first, second, third),
        (1, 1, 1),
        mean=tuple(config.mean) if config else TeacherInfo.mean,
        std=tuple(config.std) if config else TeacherInfo.std,
    )
    return TimmBackbone(model, backbone, info, stages)
