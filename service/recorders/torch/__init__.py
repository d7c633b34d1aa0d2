"""The recorder of PyTorch programs."""
