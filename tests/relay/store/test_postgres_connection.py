"""What the connections to PostgreSQL are set to, on a real server."""

from __future__ import annotations

import pytest

from bench.postgres import emptied
from relay.store.postgres_connection import connect
from relay.store.postgres_statements import DELETE


@pytest.mark.parametrize(("table", "index"), [("person", "person_pkey"), ("slot", "slot_pkey"), ("pass", "pass_key")])
def test_who_asks_by_key_never_reads_a_whole_table(database: str, table: str, index: str) -> None:
    """Whatever the figures say: here, that there is next to nothing, as at night."""
    emptied(database)
    with connect(database, None, "test", by_key=True) as db:
        db.execute(f"ANALYZE {table}")
        db.execute(f"PREPARE ended(bytea[]) AS {DELETE[table].replace('%s', '$1')}")
        db.execute("SET plan_cache_mode = force_generic_plan")
        plan = "".join(line for (line,) in db.execute("EXPLAIN EXECUTE ended('{}')"))
    assert f"using {index}" in plan
    assert "Seq Scan" not in plan
