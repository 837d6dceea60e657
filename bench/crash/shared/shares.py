"""How often what goes wrong between two nodes. Apart from the rest, which needs a driver of PostgreSQL's."""

SHARES = {
    "work": 2,
    "commit": 2,
    "settle": 2,
    "release": 2,
    "take over": 2,
    "drain": 1,
    "pause": 3,
    "refuse": 2,
    "hole": 2,
    "database": 2,
}
"""Of twenty rounds, by aim."""
