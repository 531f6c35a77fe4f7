"""One frame -> one inspection. `inspector` is where to begin.

inspector     bundle and engine -> verdicts
on_host       how, with an engine that takes arrays
judge         scores and maps -> a verdict, the same on every device
guards        frames that are not worth judging: black, frozen, of another size
regions       where a map is above the threshold
slots         who holds which buffer: nobody, the camera, the run
gpu/          the same on an NVIDIA GPU:
    on_device     submit and wait; several frames under way at once where the mode allows it
    lanes         a stream, the engine's memory on it, and its results; all cameras of an engine share them
    pools         a camera's buffers in pinned memory, and the captured work for the frame in each
    options       how the loop uses a GPU
"""
