"""The MLflow store: the only room that knows MLflow.

A run that trains writes down what it has to say; a thread of its own delivers that to the store,
now or later::

    Store -- makes --> Run -- writes --> journal.jsonl, outbox/ -- delivery --> MLflow
                                                                                  |
    reports, plans, searches  <-- Archive, which checks all that it reads --------+

``folder`` says whose a run's folder is, ``lock`` who is using it; ``recovery`` closes runs whose
process has died and delivers the rest; ``moved`` finds a project that was moved. Every call names
the store and the run, so runs that share a process share nothing here. What a run is, and what
becomes of its numbers, is left to the rooms above.
"""
