"""The relay in a world that can be repeated: what `python -m bench.simulate` is made of.

    scheduling   trio's order of tasks, and time that jumps, by the seed
    clock, calm  true time and the machine's own; when nothing went wrong
    network      lines that are late, silent, jammed, cut
    disk         a store with a layer that is not synced
    providers    Apple and Google, the strict fakes
    machine      the relay's processes, one after the other
    database     what several nodes share
    node         a machine that is one of them; the load balancer before them
    weather      what goes wrong; storms: among nodes
    force        what people and their messenger do; backend, asking, caller: by the real door
    rests        plans, and what they mean
    ledger       what the backend knows
    frames       what leaves, read off the wire
    stations     where the judge looks
    judge        whether the promises were kept; books: added up anew; conduct: what the fakes object to
    pace         how fast time goes; configuration: of the relays
    trace, run   what happened, and its digest; one seed from beginning to end

Nothing here is shared with what it judges, but the form of a batch and of the configuration; and among nodes the
reference of their database, and how people are spread over its partitions. All chance comes from generators that are
named after their part (`scheduling.chance`), so a change in one part leaves the others' draws alone; but any change of
the relay or of a part may change what a seed means.
"""
