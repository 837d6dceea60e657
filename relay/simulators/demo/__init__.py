"""`feierabend demo`: a night of a whole force on a stepped clock, judged by the simulators' side, then an alarm to all.

stage.py     keys, configuration, simulators, the relay itself
stepped.py   the clock, and the barrier it waits at
night.py     registers everybody, plays the night
ledger.py    what was answered 202 and what arrived, judged by the plain intervals of world.py
force.py     the same database in real time, against the fast sink
view.py      what is shown meanwhile
show.py      all of it in order
"""
