"""The ops port: alive, ready or why not, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.config import Address, ProxyConfig
from relay.core.batch import Batch
from relay.core.errors import Unavailable
from relay.store.memory import MemoryStore
from relay.store.port import StoreError
from tests.relay.lanes.google import android
from tests.relay.ops.operators import operator_of
from tests.relay.world import TENANT, app, tenant, virtual, world


class Moody(MemoryStore):
    """A store whose disk can be full."""

    full = False

    def commit(self, batch: Batch) -> None:
        if self.full:
            raise StoreError("the database refused (FULL)")
        super().commit(batch)


@virtual
async def test_a_relay_that_runs_is_alive_and_ready() -> None:
    async with world() as w, operator_of(w) as operator:
        answer = await operator.ask("/healthz")
        assert (answer.status, answer.json()) == (200, {"alive": True})
        assert answer.headers["content-type"] == "application/json"
        assert await operator.ready() == (200, {"ready": True, "reasons": []})


@virtual
async def test_a_relay_that_does_not_run_yet_is_alive_and_not_ready() -> None:
    async with world(running=False) as w, operator_of(w) as operator:
        assert (await operator.ask("/healthz")).status == 200
        assert await operator.ready() == (503, {"ready": False, "reasons": ["not_running"]})


@virtual
async def test_a_relay_that_drains_is_not_ready() -> None:
    """From the first moment on, though a wakeup still waits for its answer."""
    async with world() as w:
        await w.register("anna")
        w.fake.injections.silence = True
        await w.post("anna")
        await w.quiet()
        assert w.relay.ops.reasons() == []
        w.stop.set()
        await w.quiet()
        assert not w.stopped.is_set()
        assert w.relay.ops.reasons() == ["not_running"]
        await w.stopped.wait()
        assert w.relay.ops.reasons() == ["not_running"]


@virtual
async def test_a_relay_whose_store_fails_is_not_ready_until_a_commit_succeeds() -> None:
    store = Moody()
    async with world(store=store) as w, operator_of(w) as operator:
        await w.register("anna")
        store.full = True
        with pytest.raises(Unavailable):
            await w.post("anna")
        assert await operator.ready() == (503, {"ready": False, "reasons": ["store_fails"]})
        assert (await operator.ask("/healthz")).status == 200
        assert (await operator.ask("/metrics")).status == 200
        store.full = False
        await w.post("anna")
        assert await operator.ready() == (200, {"ready": True, "reasons": []})


@virtual
async def test_every_reason_is_told() -> None:
    store = Moody()
    async with world(store=store) as w:
        await w.quiet()  # a stop in the midst of connecting leaves half a preface behind
        store.full = True
        with pytest.raises(Unavailable):
            await w.register("anna")
        store.full = False
        w.stop.set()
        await w.stopped.wait()
        assert w.relay.ops.reasons() == ["not_running", "store_fails"]


@pytest.mark.parametrize("path", ["/", "/metricsx", "/metrics/", "/v1/events", "/healthz/..", "//healthz"])
@virtual
async def test_an_unknown_path_is_not_found(path: str) -> None:
    async with world() as w, operator_of(w) as operator:
        assert (await operator.ask(path)).status == 404


@virtual
async def test_it_tells_where_each_app_sends_and_no_more() -> None:
    """Host and port only: no key, no topic, no project."""
    ios, google = app("ios"), android()
    way = ProxyConfig(Address("proxy.example", 3128), "relay:s3cret")
    overridden = replace(app("own", topic="a.b"), endpoint=Address("::1", 8443), proxy=way)
    strange = replace(google, name="strange", account=replace(google.account, token_uri="https://[x/"))
    async with (
        world(tenant(ios, overridden, google, strange), running=False) as w,
        operator_of(w) as operator,
    ):
        answer = await operator.ask("/providers")
    at_google = {"tenant": TENANT, "provider": "fcm", "address": "fcm.googleapis.com:443"}
    assert answer.json() == {
        "providers": [
            {"tenant": TENANT, "app": "ios", "provider": "apns", "address": "api.push.apple.com:443"},
            {
                "tenant": TENANT,
                "app": "own",
                "provider": "apns",
                "address": "[::1]:8443",
                "proxy": "proxy.example:3128",
            },
            {**at_google, "app": "android", "token_address": "oauth.example:443"},
            {**at_google, "app": "strange", "token_address": ""},
        ]
    }


@virtual
async def test_the_ops_port_is_for_reading_only() -> None:
    async with world() as w, operator_of(w) as operator:
        for path in ("/healthz", "/readyz", "/metrics", "/providers"):
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
                answer = await operator.ask(path, method)
                assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@virtual
async def test_a_reader_may_want_the_head_only_and_may_add_a_query() -> None:
    async with world() as w, operator_of(w) as operator:
        for path in ("/healthz", "/readyz", "/metrics", "/providers"):
            head, whole = await operator.ask(path, "HEAD"), await operator.ask(f"{path}?verbose=1")
            assert (head.status, whole.status) == (200, 200)
            assert head.body == b"" != whole.body
            assert head.headers["content-type"] == whole.headers["content-type"]


@virtual
async def test_a_large_request_is_none_of_an_operators() -> None:
    async with world() as w, operator_of(w) as operator:
        assert (await operator.ask("/metrics", body=b"x" * 2_000)).status == 413
