"""The Open Inference Protocol V2: bytes to tensors and back, JSON and binary."""
