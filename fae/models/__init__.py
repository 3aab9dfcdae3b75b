"""Networks, plain ``nn.Module``s that need no trainer, and their layers."""
