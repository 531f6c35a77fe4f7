"""From a camera's frames to verdicts and alerts. `inspector` is where to begin, `loop` what a run does.

inspector     bundle and engine -> verdicts
on_host       how, with an engine that takes arrays
judge         scores and maps -> a verdict, the same on every device
guards        frames that are not worth judging: black, frozen, of another size
regions       where a map is above the threshold
decision      verdicts -> alerts, for parts and for streams
loop          a run, frame by frame; with `mailbox` (the newest frame), `record` (what is written down),
              `statistics` and `summary`

On a GPU:

on_device     submit and wait; several frames under way at once where the mode allows it
device_step   slots over lanes, made again for frames of another size or format
frame_slots   pinned buffers for such frames, their kernel and graphs
lanes         a stream, the engine's memory on it, and its results
slots         who holds which buffer: nobody, the camera, the run
"""
