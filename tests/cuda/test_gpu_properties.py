import pytest

from edgerd.cuda.properties import gpu_properties
from edgerd.errors import MissingDependencyError

pytestmark = pytest.mark.emulated(once=True)

INVALID_DEVICE = 101


def test_a_gpu_is_described_without_being_opened(driver):
    driver.set_device("Orin", sm=(8, 7), integrated=True)
    driver.set_memory(16 << 30)
    driver.clear()
    gpu = gpu_properties()
    assert (gpu.name, gpu.architecture, gpu.memory_bytes, gpu.is_integrated) == ("Orin", "sm_87", 16 << 30, True)
    assert not [name for name in driver.counts() if "Ctx" in name]


def test_a_gpu_that_cannot_be_used_is_an_error_with_the_reason(driver):
    driver.fail("cuDeviceGet", INVALID_DEVICE)
    with pytest.raises(MissingDependencyError, match="The GPU cannot be used: cuDeviceGet failed"):
        gpu_properties()
