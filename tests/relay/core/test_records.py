"""What is sealed inside a record, and that it comes out for nobody else."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.private import DeviceKey, Private, UserKey
from relay.core.records import Records
from relay.core.seal import SealBroken, Seals, place

MASTER = bytes(32)
ANNA, BERT = UserKey(b"a" * 16), UserKey(b"b" * 16)
PHONE, TABLET = DeviceKey(b"p" * 16), DeviceKey(b"t" * 16)
seals = Seals({0: MASTER}, 0)
records = Records(seals, "city")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@given(texts)
def test_a_users_id_comes_back(user: str) -> None:
    assert records.open_user(ANNA, records.seal_user(ANNA, Private(user))) == Private(user)


@given(texts, texts, texts)
def test_a_device_gives_its_token_and_the_backends_own_ids(user: str, device: str, token: str) -> None:
    sealed = records.seal_device(ANNA, PHONE, Private(user), Private(device), Private(token))
    assert records.open_token(ANNA, PHONE, sealed).reveal() == token
    assert records.open_device_ids(ANNA, PHONE, sealed) == (Private(user), Private(device))


@settings(max_examples=50)
@given(st.dictionaries(texts, values, max_size=5))
def test_a_rest_document_comes_back_as_it_was_posted(document: dict[str, object]) -> None:
    assert records.open_rest(ANNA, records.seal_rest(ANNA, document)) == document


@given(st.lists(st.binary(min_size=16, max_size=16).map(UserKey), max_size=20), st.integers(0, 19), st.integers(0, 16))
def test_recipients_are_found_and_nobody_who_looks_like_two_of_them(
    users: list[UserKey], index: int, shift: int
) -> None:
    sealed = records.seal_recipients(users)
    row = b"".join(users)
    asked = UserKey(row[16 * index + shift : 16 * index + shift + 16].ljust(16, b"-"))
    assert records.is_recipient(asked, sealed) == (asked in users)
    assert b"".join(users[:1]) not in sealed or not users


SEALED = {
    "user": records.seal_user(ANNA, Private("anna")),
    "device": records.seal_device(ANNA, PHONE, Private("anna"), Private("phone"), Private("token")),
    "rest": records.seal_rest(ANNA, {"windows": []}),
}


def open_as(kind: str, opener: Records, user: UserKey, device: DeviceKey, sealed: bytes) -> object:
    if kind == "user":
        return opener.open_user(user, sealed)
    if kind == "rest":
        return opener.open_rest(user, sealed)
    opener.open_device_ids(user, device, sealed)
    return opener.open_token(user, device, sealed)


@pytest.mark.parametrize("kind", SEALED)
@pytest.mark.parametrize("tenant", ["city", "county"])
@pytest.mark.parametrize("user", [ANNA, BERT])
@pytest.mark.parametrize("device", [PHONE, TABLET])
@pytest.mark.parametrize("written", SEALED)
def test_a_record_opens_in_its_place_only(
    kind: str, tenant: str, user: UserKey, device: DeviceKey, written: str
) -> None:
    """Tenant, kind, user and, for devices, the device; each alone and together."""
    opener = Records(seals, tenant)
    own_place = (tenant, user, kind) == ("city", ANNA, written) and (kind != "device" or device == PHONE)
    if own_place:
        open_as(kind, opener, user, device, SEALED[written])
        return
    with pytest.raises(SealBroken):
        open_as(kind, opener, user, device, SEALED[written])


def test_ids_and_token_are_each_where_they_belong() -> None:
    assert records.open_user(ANNA, SEALED["user"]).reveal() == "anna"
    assert records.open_token(ANNA, PHONE, SEALED["device"]).reveal() == "token"
    ids = records.open_device_ids(ANNA, PHONE, SEALED["device"])
    assert [part.reveal() for part in ids] == ["anna", "phone"]


def test_nothing_private_shows_in_a_record() -> None:
    for sealed in SEALED.values():
        assert not any(word in sealed for word in (b"anna", b"phone", b"token", b"windows"))


@pytest.mark.parametrize(
    "content",
    [[2, "anna"], [0, "anna"], ["anna"], [], {}, "anna", 1, None, {"1": "anna"}],
    ids=repr,
)
def test_a_record_of_another_version_is_refused(content: object) -> None:
    sealed = seals.seal(place("city", "user", ANNA), msgpack.packb(content))
    with pytest.raises(SealBroken) as caught:
        records.open_user(ANNA, sealed)
    assert "anna" not in str(caught.value)


def test_a_rest_record_without_a_document_is_refused() -> None:
    sealed = seals.seal(place("city", "rest", ANNA), msgpack.packb([1, ["windows"]]))
    with pytest.raises(SealBroken):
        records.open_rest(ANNA, sealed)


def test_records_of_an_older_key_open_after_rotation() -> None:
    rotated = Records(Seals({0: MASTER, 1: bytes(range(32))}, 1), "city")
    assert rotated.open_user(ANNA, SEALED["user"]).reveal() == "anna"
    assert rotated.seal_user(ANNA, Private("anna"))[0] == 1
