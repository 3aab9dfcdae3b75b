"""Training of one network: the LightningModule, optimizers, metrics, early stopping, the Trainer.

Runs, stores and command lines are left to ``fae.runs``.
"""
