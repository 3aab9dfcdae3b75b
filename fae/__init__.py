"""Train and compare feed-forward auto-encoders on Fashion-MNIST."""
