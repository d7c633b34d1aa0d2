"""ONNX's models: read into nodes of ours. Its modules need the package `onnx`, which the extra `onnx` installs."""
