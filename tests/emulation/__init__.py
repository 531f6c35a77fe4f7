"""The GPU path without a GPU: the real TensorRT bindings and the real pycuda over stand-ins for the native libraries.

README.md tells how to use it, and what it can and cannot prove.
"""
