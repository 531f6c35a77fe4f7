"""The CUDA kernels (`*.cu`): compiling them, keeping the compiled files, and launching them."""
