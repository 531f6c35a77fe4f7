// What pycuda needs of cudaProfiler.h, which the wheel with cuda.h leaves out.
#pragma once
#include <cuda.h>

typedef enum CUoutput_mode_enum { CU_OUT_KEY_VALUE_PAIR = 0, CU_OUT_CSV = 1 } CUoutput_mode;

extern "C" {
CUresult cuProfilerInitialize(const char *config, const char *output, CUoutput_mode mode);
CUresult cuProfilerStart(void);
CUresult cuProfilerStop(void);
}
