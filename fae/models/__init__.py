"""Networks: plain modules that need no trainer, and the layers that they are made of."""
