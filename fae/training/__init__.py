"""Training one network: the LightningModule, optimizers, metrics, early stopping, the trainer.

Knows nothing of runs, stores or command lines; ``fae.runs`` puts those around it.
"""
