"""ONNX Runtime: `cpu`, and `cuda` where onnxruntime-gpu is installed."""
