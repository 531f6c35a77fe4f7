"""Precision is written into the ONNX graph: ranges of activations from real pictures, then Q/DQ nodes by them."""
