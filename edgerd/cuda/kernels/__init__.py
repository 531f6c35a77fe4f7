"""The kernels (`*.cu`), what compiles and keeps them, and what launches them."""
