// The preprocessing kernels as functions of the host, see cuda_host.h.
#include "cuda_host.h"

#include "preprocess.cu"

CUDA_HOST_LAUNCHER(Preprocess)
