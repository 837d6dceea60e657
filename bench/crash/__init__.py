"""`python -m bench.crash`: SIGKILL at any instant, and what is left of what was acknowledged. Begin with `__main__.py`.

Three parties keep apart: the client asks and records (backend.py, plan.py, record.py), the trial starts, kills and
looks (trial.py, aims.py, migrating.py), and the providers note what reaches them (sightings.py). When all is over the
judges compare what they say (case.py, judge.py, books.py); they run nothing, so that a test can hand them any story.
"""
