"""A tenant, its classes and apps; and the values that must not be printed by accident."""

from __future__ import annotations

from relay.core.batch import PersonRecord
from relay.core.devices import Device, Platform, RestRecord
from relay.core.events import DEFAULT_CLASSES, EventClass
from relay.core.tenants import Tenant
from tests.relay.core.scene import NOON, Scene, registration_of, tenant


def device(scene: Scene, platform: Platform, app: str) -> Device:
    made = registration_of(scene.home, "anna", app, app)
    return Device(made.device, made.user, app, platform, made.token_hash, b"SECRET", registered_at=NOON)


def test_only_what_has_a_provider_and_an_app_that_is_configured_can_be_woken() -> None:
    scene = Scene(tenant(apps={"ios": Platform.APNS, "ipad": Platform.APNS}))
    phone, pc = device(scene, Platform.APNS, "ios"), device(scene, Platform.NONE, "ios")
    tablet, old = device(scene, Platform.APNS, "ipad"), device(scene, Platform.APNS, "retired")
    assert scene.home.phones([phone, pc, old, tablet]) == (phone, tablet)


def test_classes_are_found_by_name() -> None:
    assert tenant().class_of("alarm") is DEFAULT_CLASSES[2]
    brief = EventClass(name="message", deadline=60.0)
    assert tenant(classes={"message": brief}).class_of("message") is brief


def test_the_limits_are_those_of_the_design() -> None:
    plain = Tenant(name="city", pseudonyms=tenant().pseudonyms, apps={})
    assert (plain.device_limit, plain.evict, plain.posts_seen, plain.jitter) == (3, True, False, 300.0)


def test_nothing_sealed_is_printed() -> None:
    """Sealed bytes are harmless to a reader without the key, and a log is still no place for them."""
    scene = Scene()
    registration = registration_of(scene.home, "anna", "phone", "token")
    printed = [
        repr(device(scene, Platform.APNS, "ios")),
        repr(RestRecord(b"SECRET", 1)),
        repr(PersonRecord("city", b"SECRET")),
        repr(registration),
    ]
    assert not [text for text in printed if "SECRET" in text or "sealed anna" in text]


def test_a_wakeup_that_is_printed_says_nothing_of_whom() -> None:
    scene = Scene()
    scene.register("anna")
    scene.accept("anna")
    (flight,) = scene.send("anna")
    assert repr(flight) == "<Flight of city, 1 claims>"
