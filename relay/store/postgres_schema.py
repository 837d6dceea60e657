"""Versions of the PostgreSQL store. Forward only: each migration is one transaction that also notes its number.

Everything lies in a schema of its own, `feierabend`, of whatever database the operator gives us. As in SQLite, tables
are `key → body` with a few columns that SQL must see; the bodies are the same bytes (relay/store/rows.py), so that a
store can be copied from one to the other, and what is private in them is sealed.

**Partitions.** What belongs to a person begins with `part`, the last six bits of the first byte of the person's key (a
MAC, so all 64 are alike). A partition is what one node owns and another takes over (`partition`), and every primary key
of such a table begins with it: Citus, or one cluster for each range, follows without a rewrite. They are a column and
not 64 tables each: a batch of 500 people touches all of them, and each statement would open 64 tables and indexes. With
64 tables of slots a batch that settles 1, 50, 500 or 5,000 people took 1.6, 1.8, 2.9 and 1.4 times as long, and the
server's CPU was two or three times as much up to 500; accepting took 1.1, 1.3, 1.0 and 0.8 times as long.

**Nodes.** A row of `node` is one life of a process; its number is the epoch that its commits carry. Who finds it dead
deletes the row, which waits for a commit under way and lets no later one pass.

**Churn.** Slots come and go with every event. Their pages keep room for the next version of a row (`fillfactor`), no
index holds a column that changes (HOT: all of 1.4 million updates were), and vacuum comes early and without pauses: it
is 100 times cheaper to clean a small table often than a large one at night. The server looks once in
`autovacuum_naptime`, by default a minute, and new slots lie behind the dead ones until then. So the table is as large
as what a minute brings: with 23,000 people, half of them resting, 34 MB in ten minutes of 5,000 events a second, no
more than after one, and 159 MB at 20,000, where a commit of 500 took 10-13 ms in each half minute; its index kept 1.3
MB.
"""

from __future__ import annotations

from typing import Final

from relay.core.chain import DOMAIN
from relay.core.pseudonym import prefixed

SCHEMA: Final = "feierabend"
PARTITIONS: Final = 64

_CHURN: Final = (
    "WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, "
    "autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.2)"
)
_START: Final = prefixed(DOMAIN).hex()
_APPEND_ONLY: Final = "CREATE TRIGGER {0}_is_append_only BEFORE UPDATE ON {0} EXECUTE FUNCTION refuse_update()"

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE node (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "
        "address text NOT NULL DEFAULT '', is_leaving boolean NOT NULL DEFAULT false, "
        "began timestamptz NOT NULL DEFAULT now(), generation bigint NOT NULL DEFAULT 0, "
        "revision bigint NOT NULL DEFAULT 0, feedback bigint NOT NULL DEFAULT 0, commits bigint NOT NULL DEFAULT 0) "
        "WITH (fillfactor = 10)",
        "CREATE TABLE lease (node bigint PRIMARY KEY REFERENCES node ON DELETE CASCADE, until timestamptz NOT NULL) "
        "WITH (fillfactor = 10)",
        "CREATE TABLE partition (id smallint PRIMARY KEY, owner bigint REFERENCES node ON DELETE SET NULL, "
        "wanted bigint REFERENCES node ON DELETE SET NULL) WITH (fillfactor = 50)",
        # What nodes that have gone have reached; feedback is numbered across nodes.
        "CREATE TABLE mark (generation bigint NOT NULL, revision bigint NOT NULL, feedback bigint NOT NULL)",
        "INSERT INTO mark VALUES (0, 0, 0)",
        f"INSERT INTO partition SELECT number, NULL FROM generate_series(0, {PARTITIONS - 1}) AS number",
        f"CREATE FUNCTION part_of(key bytea) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE "
        f"AS 'SELECT (get_byte(key, 0) & {PARTITIONS - 1})::smallint'",
        # Fails a transaction of a node that others take for dead, and one that its own node has given up.
        # The row stays locked until the commit.
        "CREATE FUNCTION hold(node_id bigint, known bigint, newest bigint, newest_revision bigint, "
        "newest_feedback bigint) "
        "RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE node SET commits = commits + 1, generation = greatest(generation, newest), "
        "revision = greatest(revision, newest_revision), feedback = greatest(feedback, newest_feedback) "
        "WHERE id = node_id AND commits = known; "
        "IF NOT FOUND THEN RAISE EXCEPTION 'stale epoch' USING ERRCODE = 'FE001'; END IF; END $$",
        # A request that two nodes were asked for at once is remembered by one; the other's commit fails.
        "CREATE FUNCTION remember(new_keys bytea[], new_ats bigint[], new_bodies bytea[]) "
        "RETURNS void LANGUAGE plpgsql AS $$ DECLARE written bigint; BEGIN "
        "INSERT INTO request (part, key, at, body) "
        "SELECT part_of(key), key, at, body FROM unnest(new_keys, new_ats, new_bodies) AS new(key, at, body) "
        "ON CONFLICT (part, key) DO UPDATE SET at = excluded.at, body = excluded.body "
        "WHERE request.at <= excluded.at - 86400000; GET DIAGNOSTICS written = ROW_COUNT; "
        "IF written <> cardinality(new_keys) THEN RAISE EXCEPTION 'twice' USING ERRCODE = 'FE002'; END IF; END $$",
        "CREATE FUNCTION refuse_update() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE EXCEPTION 'append-only'; END $$",
        "CREATE TABLE person (part smallint, key bytea, body bytea NOT NULL, PRIMARY KEY (part, key))",
        f"CREATE TABLE slot (part smallint, key bytea, body bytea NOT NULL, PRIMARY KEY (part, key)) {_CHURN}",
        "CREATE TABLE device (part smallint, key bytea, owner bytea NOT NULL, revision bigint NOT NULL, "
        "at bigint NOT NULL, token bytea, body bytea NOT NULL, PRIMARY KEY (part, key))",
        "CREATE INDEX device_revision ON device (revision)",
        "CREATE INDEX device_owner ON device (part, owner)",
        "CREATE INDEX device_token ON device (token)",
        "CREATE TABLE rest (part smallint, key bytea, owner bytea NOT NULL, revision bigint NOT NULL, "
        "at bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY (part, key))",
        "CREATE INDEX rest_revision ON rest (revision)",
        "CREATE TABLE visit (part smallint, owner bytea, seq bigint, at bigint NOT NULL, body bytea NOT NULL, "
        "PRIMARY KEY (part, owner, seq))",
        "CREATE INDEX visit_at ON visit (at)",
        # Asked for by key alone, by a node that does not know whose it is.
        "CREATE TABLE pass (part smallint, key bytea, owner bytea NOT NULL, at bigint NOT NULL, body bytea NOT NULL, "
        "PRIMARY KEY (part, key))",
        "CREATE INDEX pass_key ON pass (key)",
        "CREATE INDEX pass_at ON pass (at)",
        "CREATE TABLE request (part smallint, key bytea, at bigint NOT NULL, body bytea NOT NULL, "
        "PRIMARY KEY (part, key))",
        "CREATE INDEX request_at ON request (at)",
        # Each node counts for itself what becomes of its people's alarms.
        f"CREATE TABLE receipt (part smallint, key bytea, node bigint, at bigint NOT NULL, body bytea NOT NULL, "
        f"PRIMARY KEY (part, key, node)) {_CHURN}",
        "CREATE INDEX receipt_at ON receipt (at)",
        "CREATE TABLE account (node bigint, tenant text, class text, body bytea NOT NULL, "
        "PRIMARY KEY (node, tenant, class)) WITH (fillfactor = 20)",
        "CREATE TABLE feedback (tenant text, seq bigint, at bigint NOT NULL, body bytea NOT NULL, "
        "PRIMARY KEY (tenant, seq))",
        "CREATE INDEX feedback_at ON feedback (at)",
        "CREATE TABLE feedback_purged (tenant text PRIMARY KEY, seq bigint NOT NULL)",
        "CREATE TABLE bypass (tenant text, key bytea, at bigint NOT NULL, body bytea NOT NULL, "
        "PRIMARY KEY (tenant, key))",
        "CREATE INDEX bypass_at ON bypass (at)",
        "CREATE TABLE bypass_recipients (tenant text, key bytea, at bigint NOT NULL, body bytea NOT NULL, "
        "PRIMARY KEY (tenant, key))",
        "CREATE INDEX bypass_recipients_at ON bypass_recipients (at)",
        # Posted by any node for people of another one (relay/core/abroad.py).
        f"CREATE TABLE inbox (part smallint, id bigint GENERATED ALWAYS AS IDENTITY, body bytea NOT NULL, "
        f"PRIMARY KEY (part, id)) {_CHURN}",
        "CREATE TABLE halt (number bigint PRIMARY KEY, body bytea NOT NULL)",
        "CREATE TABLE act (key bytea PRIMARY KEY, at bigint NOT NULL, body bytea NOT NULL)",
        *(_APPEND_ONLY.format(table) for table in ("bypass", "bypass_recipients", "act", "visit")),
    ),
    (
        # A program of before would write records without links. What runs is told that others have taken over.
        "LOCK TABLE node IN EXCLUSIVE MODE",
        "UPDATE mark SET generation = greatest(mark.generation, gone.generation), "
        "revision = greatest(mark.revision, gone.revision), feedback = greatest(mark.feedback, gone.feedback) "
        "FROM (SELECT max(generation) AS generation, max(revision) AS revision, max(feedback) AS feedback "
        "FROM node) AS gone",
        "DELETE FROM node",
        "CREATE TABLE link (tenant text, number bigint, at bigint NOT NULL, kind smallint NOT NULL, "
        "digest bytea NOT NULL, chained bytea NOT NULL, PRIMARY KEY (tenant, number))",
        "CREATE INDEX link_digest ON link (digest)",
        # The last link of each chain: the one row that all nodes lock.
        "CREATE TABLE chain (tenant text PRIMARY KEY, number bigint NOT NULL, chained bytea NOT NULL) "
        "WITH (fillfactor = 10)",
        # One chain goes on by some links. Whoever calls it last before COMMIT, for tenants in order, waits for no lock
        # while it holds this one, but for those of the same order.
        "CREATE FUNCTION link(of_tenant bytea, ats bigint[], kinds bigint[], digests bytea[]) "
        "RETURNS void LANGUAGE plpgsql AS $$ DECLARE named text := convert_from(of_tenant, 'UTF8'); head chain; BEGIN "
        f"INSERT INTO chain VALUES (named, 0, "
        f"sha256('\\x{_START}'::bytea || int4send(length(of_tenant)) || of_tenant)) "
        "ON CONFLICT (tenant) DO NOTHING; "
        "SELECT * INTO STRICT head FROM chain WHERE tenant = named FOR UPDATE; "
        "FOR i IN 1 .. cardinality(digests) LOOP "
        "head.number := head.number + 1; "
        "head.chained := sha256(head.chained || int8send(head.number) || int8send(ats[i]) "
        "|| int2send(kinds[i]::smallint) || digests[i]); "
        "INSERT INTO link VALUES (named, head.number, ats[i], kinds[i], digests[i], head.chained); END LOOP; "
        "UPDATE chain SET number = head.number, chained = head.chained WHERE tenant = named; END $$",
        "CREATE TABLE visits_erased (key bytea PRIMARY KEY, at bigint NOT NULL, body bytea NOT NULL)",
        *(_APPEND_ONLY.format(table) for table in ("link", "visits_erased")),
    ),
)
CHAINED: Final = 2
"""The version with which the chain begins."""
VERSION: Final = len(MIGRATIONS)
