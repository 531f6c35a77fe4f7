"""Frames judged on an NVIDIA GPU, with the results that `edgerd.inspection.on_host` gives on a CPU.

options     how the GPU is used
lanes       where an engine runs: a stream, memory for tiles and results; shared by the cameras of an engine
pools       a camera's buffers for frames, and the captured work for the frame in each
on_device   the way of a frame: from a buffer through a lane to its verdict
"""
