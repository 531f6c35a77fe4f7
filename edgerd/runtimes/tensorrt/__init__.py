"""TensorRT: engines built from typed graphs, and run on a stream. `runtime` is where to begin.

runtime     what the table of runtimes names; imports TensorRT only when it is used
options     what may be asked of the builder
network     ONNX -> network, and what the parser cannot take
build       network -> plan: configuration, progress, cancelling
caches      engines and timings that are kept
plan        plan -> engine, with its weights where it was stripped of them
layers      which precision each layer got, and how long it takes
engine      runs
"""
