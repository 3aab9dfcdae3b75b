"""Many runs: planned, forecast, launched by one of Hydra's launchers, under one parent run.

One run is the business of ``fae.runs``, what the runs found that of ``fae.reports``.
"""
