"""CIFAR-10 (Krizhevsky 2009)."""
