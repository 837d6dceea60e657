"""A process that commits until it is killed: `python -m tests.relay.store.child FILE`.

Prints the number of each commit after it returned. Number n writes n slots, a pass, a visit, and an account that says
so.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from relay.core.batch import Batch
from relay.core.books import Account
from relay.store.sqlite import SqliteStore
from tests.relay.store.batches import NOW, a_pass, a_slot, a_visit, pass_key, user


def main(path: Path) -> None:
    store = SqliteStore(path)
    epoch = store.load().epoch
    for number in count(1):
        batch = Batch(NOW + number, epoch, generation=number)
        batch.slots = {(user(n), "message"): a_slot(number) for n in range(number)}
        batch.passes = {pass_key(number): a_pass(number), pass_key(number - 1): None}
        batch.visits = [a_visit(number, user(1))]
        batch.accounts = {("city", "message"): Account(accepted=number)}
        store.commit(batch)
        print(number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
