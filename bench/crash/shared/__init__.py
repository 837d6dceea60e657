"""`--store postgres`: two relays that take turns at one database, and what goes wrong between the three of them.

The parties are those of `bench.crash`, and four more: a supervisor that starts an ended relay again (supervisor.py), a
way from each node to the server that can be cut (ways.py), the server itself, and a gate in it (database.py) that lets
nobody take over before what the last one has left was read. `trial.py` plays, `aims.py` says what goes wrong when, and
the judges are the same.
"""
