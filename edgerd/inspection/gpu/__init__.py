"""The same as on the host, on an NVIDIA GPU: buffers, streams and captured graphs of the camera step."""
