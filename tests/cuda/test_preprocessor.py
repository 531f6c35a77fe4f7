import numpy as np
import pytest
from emulation.driver import ILLEGAL_ADDRESS

from edgerd.bundle.manifest import PreprocessSpec, TileSpec
from edgerd.cuda.graphs import Step
from edgerd.cuda.kernels import compilers
from edgerd.cuda.kernels.cubins import cubin_file
from edgerd.cuda.kernels.plan import FrameLayout
from edgerd.cuda.kernels.preprocess import Preprocessor
from edgerd.cuda.memory import Memory
from edgerd.data.aspect import PADDING_BGR
from edgerd.data.preprocess import bgr_from_frame, prepare
from edgerd.errors import DeviceError, DeviceLostError, MissingDependencyError
from edgerd.types import Frame, PixelFormat

pytestmark = pytest.mark.emulated(once=True)

SHAPES = {
    PixelFormat.BGR: (120, 160, 3),
    PixelFormat.GREY: (120, 160),
    PixelFormat.NV12: (180, 160),
    PixelFormat.YUYV: (120, 160, 2),
}


class Camera:
    """Buffers, the kernel and a step, to process one frame after another."""

    def __init__(self, context, pixel_format, spec):
        self.context = context
        self.memory, self.stream = Memory(context), context.stream()
        self.preprocessor = Preprocessor(context, self.memory, FrameLayout(pixel_format, 120, 160), spec)
        self.frame = self.memory.frame(int(np.prod(SHAPES[pixel_format])))
        self.tiles = self.memory.result(self.preprocessor.output_shape, np.uint8)
        self.memory.seal()
        kernel = self.preprocessor.bind(self.frame.address, self.tiles.address)

        def enqueue():
            self.frame.upload(self.stream)
            kernel(self.stream)
            self.tiles.download(self.stream)

        self.step = Step(context, self.stream, enqueue)

    def see(self, data):
        self.frame.host[:] = data.ravel()
        self.step.launch()
        self.context.synchronise(self.stream)
        return self.tiles.host

    def close(self):
        self.step.close()
        self.preprocessor.close()
        self.preprocessor.close()
        self.memory.free()


@pytest.mark.parametrize("aspect", ["crop", "letterbox"])
@pytest.mark.parametrize("size", [64, 192])
def test_a_frame_keeps_its_aspect_ratio_as_on_the_cpu(gpu, size, aspect):
    spec = PreprocessSpec(height=size, width=size, aspect=aspect)
    camera = Camera(gpu(), PixelFormat.BGR, spec)
    for seed in range(2):
        data = np.random.default_rng(seed).integers(0, 256, SHAPES[PixelFormat.BGR], np.uint8)
        given = camera.see(data)
        assert np.abs(given.astype(int) - prepare(data, spec)).max() <= 1
        assert (given[0, 0] == PADDING_BGR).all() == (aspect == "letterbox")
    camera.close()


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("size", [64, 192])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_frames_of_a_camera_become_the_tiles_of_the_cpu(driver, gpu, pixel_format, size, integrated):
    driver.set_device("GPU", sm=(8, 7), integrated=integrated)
    spec = PreprocessSpec(height=size, width=size, tiles=TileSpec(rows=1, columns=2 if size > 64 else 1))
    before = driver.used_bytes
    camera = Camera(gpu(), pixel_format, spec)
    assert camera.step.is_graph
    for seed in range(3):
        data = np.random.default_rng(seed).integers(0, 256, SHAPES[pixel_format], np.uint8)
        expected = prepare(bgr_from_frame(Frame(data, pixel_format), spec), spec)
        assert np.abs(camera.see(data).astype(int) - expected).max() <= 1
    camera.close()
    assert driver.used_bytes == before
    assert driver.live("module") == 0


def test_the_kernel_is_compiled_once(gpu, private_cache, monkeypatch):
    context = gpu()
    Camera(context, PixelFormat.BGR, PreprocessSpec()).close()
    monkeypatch.setenv("PATH", "")  # no compiler any more
    Camera(context, PixelFormat.NV12, PreprocessSpec()).close()


def test_a_damaged_cubin_is_made_again(gpu, private_cache):
    context = gpu()
    Camera(context, PixelFormat.BGR, PreprocessSpec()).close()
    file = cubin_file(context.capability)
    whole = file.read_bytes()
    file.write_bytes(b"not a cubin")
    Camera(context, PixelFormat.BGR, PreprocessSpec()).close()
    assert file.read_bytes()[:4] == whole[:4]


def made(image):
    return lambda source, architecture: image


def test_kernels_of_a_cuda_later_than_the_drivers_are_made_by_the_next_compiler(gpu, private_cache, monkeypatch):
    context = gpu()
    (nvcc,) = [compiler for name, compiler in compilers._compilers() if name.endswith("nvcc")]
    monkeypatch.setattr(compilers, "_compilers", lambda: iter([("later", made(b"later")), ("right", nvcc)]))
    Camera(context, PixelFormat.BGR, PreprocessSpec()).close()
    monkeypatch.setattr(compilers, "_compilers", lambda: iter([]))
    Camera(context, PixelFormat.BGR, PreprocessSpec()).close()  # the right one was kept


def test_where_no_compiler_fits_the_driver_it_says_which_would(gpu, private_cache, monkeypatch):
    context = gpu()
    monkeypatch.setattr(compilers, "_compilers", lambda: iter([("later", made(b"later"))]))
    with pytest.raises(DeviceError, match="does not load the kernels") as caught:
        Camera(context, PixelFormat.BGR, PreprocessSpec())
    assert "of the driver's CUDA" in caught.value.expected
    assert "nvidia-cuda-nvrtc-cu12" in caught.value.hint


def test_a_gpu_that_no_compiler_knows_is_said_so(driver, gpu):
    driver.set_device("Of tomorrow", sm=(30, 0))
    with pytest.raises(MissingDependencyError, match="do not compile for sm_300") as caught:
        Camera(gpu(), PixelFormat.BGR, PreprocessSpec())
    assert caught.value.exit_code == 6


def test_a_kernel_that_reads_where_nothing_is_ends_in_a_lost_gpu(driver, gpu):
    camera = Camera(gpu(), PixelFormat.BGR, PreprocessSpec())
    driver.fail("run:kernel", ILLEGAL_ADDRESS)
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        camera.see(np.zeros(SHAPES[PixelFormat.BGR], np.uint8))
    camera.close()
