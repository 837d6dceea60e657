"""`feierabend demo`: a night of a whole force on a stepped clock, judged by the simulators' side, then an alarm to all.

show.py      all of it in order
stage.py     keys, configuration, simulators, the relay itself
stepped.py   the clock
night.py     registers everybody and plays the night, step by step, with the barrier between the steps
doorway.py   its client
ledger.py    what was answered 202 and what arrived, judged by the plain intervals of world.py
force.py     the same database in real time, against the fast sink
view.py, report.py   what is shown meanwhile, and what is said in the end
"""
