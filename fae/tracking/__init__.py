"""The MLflow store: the only room that imports MLflow.

A training run appends entries to a journal in its folder; a thread of its own uploads them to the
store, at once or once the store is back::

    Store -- makes --> Run -- writes --> journal.jsonl, outbox/ -- delivery --> MLflow
                                                                                  |
    reports, plans, searches  <-- Archive, which checks all that it reads --------+

``delivery`` determines when entries are uploaded, ``uploader`` how each kind is stored. ``folder``
links a run's folder and the store, ``lock`` keeps other processes out; ``recovery`` closes crashed
runs and uploads the rest of their entries, ``sync`` does so for folders of runs; ``moved`` finds a
project that was moved.
Every call names the store and the run, so runs that share a process share nothing here. What a run
contains, and what is made of its numbers, is left to the rooms above.
"""
