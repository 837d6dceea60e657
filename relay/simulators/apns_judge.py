"""Every check of a request in Apple's order, and what becomes of it: refused, or pushed to a phone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from relay.simulators.apns_answer import Verdict
from relay.simulators.apns_rules import AFTER_TOKEN, BEFORE_TOKEN, Wakeup, is_json
from relay.simulators.provider_token import Bound, TeamKey, TokenChecks
from relay.simulators.registry import Notification, Phone, Registry


class Judge:
    """Knows keys, topics, tokens and phones; the same for all connections."""

    def __init__(
        self,
        keys: Mapping[str, TeamKey],
        topics: Collection[str],
        environment: str,
        not_json: str,
        violate: Callable[[str], None],
    ) -> None:
        self.topics = topics
        self.tokens = TokenChecks(keys, environment)
        self.registry = Registry()
        self._not_json = not_json
        self._violate = violate

    def judge(self, request: Wakeup, bound: Bound, now: float) -> Verdict:
        """What Apple would answer; 200 if there is nothing wrong."""
        for check in BEFORE_TOKEN:
            if (refusal := check(request)) is not None:
                return Verdict(*refusal)
        if (refusal := self.tokens.check(request.get("authorization"), bound, now)) is not None:
            return Verdict(*refusal)
        if not self.tokens.allows(bound, request.app):
            return Verdict(400, "TopicDisallowed")
        for check in AFTER_TOKEN:
            if (refusal := check(request)) is not None:
                return Verdict(*refusal)
        if not is_json(request):
            self._violate("not_json")
            return Verdict(400, self._not_json)
        unreachable = self.registry.check(request.token.lower(), now)
        return Verdict(200) if unreachable is None else Verdict(*unreachable)

    def deliver(self, request: Wakeup, now: float) -> None:
        """Push it to the phone behind the token."""
        notification = Notification(
            topic=request.get("apns-topic") or "",
            collapse_id=request.get("apns-collapse-id") or "",
            priority=_number(request.get("apns-priority")) or 10,
            expiration=_number(request.get("apns-expiration")),
        )
        self.registry.phones.setdefault(request.token.lower(), Phone()).push(now, notification)


def _number(value: str | None) -> int | None:
    """None as well for what is no number: an injected answer may have let it pass."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else None
