"""MNIST (LeCun, Cortes and Burges 1998)."""
