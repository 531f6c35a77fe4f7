"""TensorRT: engines built from typed graphs, and run on a stream. `runtime` is where to begin.

runtime        what the table of runtimes names; imports TensorRT only when it is used
library        whether TensorRT is there, and which
options        what may be asked of the builder
network        ONNX -> network, and what the parser cannot take
preflight      whether there is memory for a build
build          network -> plan: configuration, progress, cancelling
progress       what a build tells while it runs
dry_run        what a build would do
engine_cache   engines that are kept
timing_cache   timings that are kept
record         what is stored beside a plan
layers         which precision each layer got, and how long it takes
plan           plan -> engine, with its weights where it was stripped of them
engine         runs
log, values    what TensorRT says, and gives, in Python
"""
