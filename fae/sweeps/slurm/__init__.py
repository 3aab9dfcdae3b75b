"""The jobs of a sweep on a Slurm cluster: submitted by submitit, watched by Slurm's own commands.

Slurm places the jobs and starts them again; nothing here schedules. ``hydra_plugins.fae_slurm`` is
how Hydra finds the launcher.
"""
