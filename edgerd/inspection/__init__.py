"""One frame -> one inspection. `inspector` is where to begin.

inspector       bundle and engine -> verdicts
inputs          what people have (arrays, paths, PIL pictures, tensors) -> frames
input_refusals  what cannot be a frame, and what to do about it
on_host         the way of a frame with an engine that takes arrays
gpu/            the way of a frame with an engine on an NVIDIA GPU
judge           scores and maps -> a verdict, the same on every device
guards          frames that are not worth judging: black, badly exposed, frozen, of another size
masks           which part of a map lies under the masks of a recipe
regions         where a map is above the threshold
self_test       whether an engine still gives the score that was noted when it was built
slots           who holds which buffer: nobody, the camera, the run
"""
