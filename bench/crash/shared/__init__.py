"""`--store postgres`: two relays that share one database, and what goes wrong between the three of them.

The parties are those of `bench.crash`, and three more: a supervisor that starts an ended relay again (supervisor.py), a
way from each node to the server that can be cut (ways.py), and the server itself (database.py). `trial.py` plays,
`aims.py` says what goes wrong when, `evidence.py` what that excuses, and the judges are the same.
"""
