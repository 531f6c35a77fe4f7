"""The GPU: its context, memory, captured graphs and kernels. The only place that imports pycuda, and only when used."""
