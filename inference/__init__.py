"""From bytes to decisions: batch decoding, ONNX Runtime sessions, the engine that swaps them."""
