"""TensorRT: engines built from typed graphs, and run on a stream. Begin reading at `runtime`.

runtime        the entry in the table of runtimes; TensorRT is imported when it is used
library        whether TensorRT is installed, and which version
options        the options of a build
network        ONNX -> network, and the errors of the parser
preflight      whether there is memory for a build
build          network -> plan: configuration, progress, cancelling
progress       how far a build is
dry_run        what a build would do
engine_cache   keeps engines, so that the same one is not built twice
timing_cache   keeps the builder's timings, so that the next build is faster
record         the record that is stored beside a plan
layers         which precision each layer got, and how long it takes
plan           plan -> engine; a stripped one gets its weights back
engine         runs an engine
log, values    TensorRT's log, and values of its own types, in Python
"""
