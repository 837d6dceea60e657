"""Passes: who holds one, for how long, and what ends it; against a model that knows nothing but a list."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core import editing
from relay.core.admitting import Admission, end, end_others, issue, note, redeem, visit
from relay.core.draft import Draft
from relay.core.errors import NotAdmitted, NotFound
from relay.core.passes import IDLE, LIVES, MOST, TRIES, Look, Pass, Passes, PassKind
from relay.core.private import PassKey, UserKey
from tests.relay.core.scene import MINUTE, NOON, Scene, registration_of, tenant

LINK, TOKEN, SUPPORT, SESSION = PassKind


def key(number: int) -> PassKey:
    return PassKey(number.to_bytes(16, "big"))


def scene_of(*users: str) -> Scene:
    scene = Scene()
    for user in users or ("anna", "bert"):
        scene.register(user)
    return scene


def give(scene: Scene, kind: PassKind, number: int, user: str = "anna") -> None:
    scene.do(lambda draft: issue(draft, scene.home, scene.key(user), kind, key(number)))


def look(scene: Scene, number: int, user: str = "anna") -> Admission:
    return scene.do(lambda draft: visit(draft, scene.home, scene.key(user), key(number), "help", Look.EXPLAIN))


def held(scene: Scene, user: str = "anna") -> set[PassKey]:
    passes = scene.people.passes.of(scene.key(user))
    return {known for known, found in passes.items() if scene.now < found.expires_at}


@pytest.mark.parametrize(("kind", "life"), [(LINK, 600.0), (TOKEN, 30 * 86400.0), (SUPPORT, 900.0), (SESSION, 43200.0)])
def test_a_pass_is_good_until_its_end_and_not_at_it(kind: PassKind, life: float) -> None:
    scene = scene_of()
    give(scene, kind, 1)
    scene.now = NOON + life - 0.001
    assert held(scene) == {key(1)}
    scene.now = NOON + life
    assert held(scene) == set()
    scene.people.forget(scene.now)
    assert scene.people.passes.by_key == {}


def test_who_is_not_known_gets_no_pass_and_of_another_tenant_neither() -> None:
    scene = Scene(tenant("city"), tenant("county"))
    scene.register("anna")
    county = scene.tenants["county"]
    for home, user in ((scene.home, scene.key("nobody")), (county, scene.key("anna"))):
        with scene.draft() as draft:
            with pytest.raises(NotFound):
                issue(draft, home, user, TOKEN, key(1))
            assert visit(draft, home, user, key(1), "help", Look.REST) is Admission.REFUSED
            assert draft.batch.is_empty


def test_a_link_is_good_once_also_within_one_batch() -> None:
    scene = scene_of()
    give(scene, LINK, 1)
    with scene.draft() as draft:
        redeem(draft, key(1), key(2))
        with pytest.raises(NotAdmitted) as refused:
            redeem(draft, key(1), key(3))
    assert refused.value.kind is LINK
    assert scene.people.passes.by_key == {key(2): Pass(TOKEN, scene.key("anna"), NOON + LIVES[TOKEN])}


def test_a_link_may_be_changed_for_a_session_too() -> None:
    scene = scene_of()
    give(scene, LINK, 1)
    scene.do(lambda draft: redeem(draft, key(1), key(2), SESSION))
    assert scene.people.passes.by_key == {key(2): Pass(SESSION, scene.key("anna"), NOON + LIVES[SESSION])}


# --- use


def good(scene: Scene, number: int) -> bool:
    return scene.people.passes.good(key(number), scene.now) is not None


def test_a_session_ends_when_it_is_not_used_and_at_the_latest_after_twelve_hours() -> None:
    scene = scene_of()
    give(scene, SESSION, 1)
    give(scene, TOKEN, 2)
    scene.now = NOON + IDLE[SESSION] - 0.001
    assert good(scene, 1)
    scene.now += 0.001
    assert (good(scene, 1), good(scene, 2)) == (False, True)
    scene.now = NOON
    while scene.now < NOON + LIVES[SESSION]:
        assert good(scene, 1)
        scene.people.passes.use(key(1), scene.now)
        scene.now += 1200
    assert not good(scene, 1)


def test_of_the_sessions_of_one_person_there_are_five_and_tokens_are_counted_apart() -> None:
    scene = scene_of()
    for number in range(7):
        scene.now += 1
        give(scene, SESSION, number)
        give(scene, TOKEN, 100 + number)
    assert held(scene) == {key(n) for n in range(2, 7)} | {key(100 + n) for n in range(7)}


def test_a_use_is_written_down_by_a_note_and_a_later_one_is_not_lost_by_that() -> None:
    scene = scene_of()
    give(scene, SESSION, 1)
    passes = scene.people.passes
    assert (passes.used_at(key(1)), passes.unnoted()) == (NOON, {})
    passes.use(key(1), NOON + 60)
    with scene.draft() as draft:
        note(draft, passes.unnoted())
        passes.use(key(1), NOON + 61)
    assert passes.by_key[key(1)].noted == NOON + 60
    assert (passes.used_at(key(1)), passes.unnoted()) == (NOON + 61, {key(1): NOON + 61})
    scene.do(lambda draft: note(draft, passes.unnoted()))
    assert passes.unnoted() == {}
    again = Passes(passes.by_key)
    assert again.used_at(key(1)) == NOON + 61


def test_a_clock_that_is_set_back_takes_no_use_back() -> None:
    scene = scene_of()
    give(scene, SESSION, 1)
    passes = scene.people.passes
    passes.use(key(1), NOON + 60)
    passes.use(key(1), NOON + 30)
    assert passes.used_at(key(1)) == NOON + 60


def test_what_has_ended_meanwhile_is_not_brought_back_by_a_note_and_its_use_is_forgotten() -> None:
    scene = scene_of()
    give(scene, SESSION, 1)
    passes = scene.people.passes
    passes.use(key(1), NOON + 60)
    uses = passes.unnoted()
    scene.do(lambda draft: end(draft, scene.key("anna"), SESSION))
    assert passes.unnoted() == {}
    with scene.draft() as draft:
        note(draft, uses)
        assert draft.batch.is_empty
    give(scene, SESSION, 2)
    passes.use(key(2), NOON + 60)
    scene.people.forget(NOON + LIVES[SESSION])
    assert passes.unnoted() == {}


def test_ending_the_others_leaves_the_one_and_links_and_codes_and_other_people() -> None:
    scene = scene_of()
    for number, kind in enumerate((SESSION, SESSION, TOKEN, LINK, SUPPORT)):
        give(scene, kind, number)
    give(scene, SESSION, 9, "bert")
    scene.do(lambda draft: end_others(draft, scene.key("anna"), key(1)))
    assert held(scene) == {key(1), key(3), key(4)}
    assert held(scene, "bert") == {key(9)}


# --- links and codes


@pytest.mark.parametrize("shown", ["used", "expired", "unknown", "a token", "a code"])
def test_what_is_no_link_is_refused_the_same_and_changes_nothing(shown: str) -> None:
    scene = scene_of()
    give(scene, {"a token": TOKEN, "a code": SUPPORT}.get(shown, LINK), 1)
    if shown == "used":
        scene.do(lambda draft: redeem(draft, key(1), key(2)))
    if shown == "expired":
        scene.now += 10 * MINUTE
    before = dict(scene.people.passes.by_key)
    with scene.draft() as draft:
        with pytest.raises(NotAdmitted, match=r"^the link is not valid$"):
            redeem(draft, key(9 if shown == "unknown" else 1), key(3))
        assert draft.batch.is_empty
    assert scene.people.passes.by_key == before


def test_a_visit_is_recorded_and_a_wrong_code_is_not() -> None:
    scene = scene_of()
    give(scene, SUPPORT, 1)
    assert look(scene, 2) is Admission.REFUSED
    assert scene.batches[-1].visits == []
    scene.now += 60
    generation = scene.people.generation
    assert look(scene, 1) is Admission.ADMITTED
    (record,) = scene.batches[-1].visits
    assert (record.seq, record.tenant, record.user) == (generation + 1, "city", scene.key("anna"))
    assert (record.at, record.key_id, record.what) == (NOON + 60, "help", Look.EXPLAIN)
    assert scene.people.generation == generation + 1
    assert look(scene, 1) is Admission.ADMITTED, "it is good for more than one look"


def test_the_fifth_wrong_code_ends_the_right_one_for_good() -> None:
    """The tries are counted in the store: a restart forgets none."""
    scene = scene_of()
    give(scene, SUPPORT, 1)
    for _ in range(2):
        assert look(scene, 2) is Admission.REFUSED
    assert look(scene, 1) is Admission.ADMITTED, "which forgives nothing"
    scene.people.passes = Passes(scene.people.passes.by_key)
    assert [look(scene, 3 + n) for n in range(2)] == [Admission.REFUSED] * 2
    assert look(scene, 9) is Admission.ENDED
    assert look(scene, 1) is Admission.REFUSED
    assert scene.people.passes.by_key == {}


def test_wrong_codes_of_one_batch_are_counted_one_by_one() -> None:
    scene = scene_of()
    give(scene, SUPPORT, 1)
    with scene.draft() as draft:
        anna = scene.key("anna")
        told = [visit(draft, scene.home, anna, key(2), "help", Look.REST) for _ in range(TRIES + 1)]
        assert visit(draft, scene.home, anna, key(1), "help", Look.REST) is Admission.REFUSED
    assert told == [*[Admission.REFUSED] * (TRIES - 1), Admission.ENDED, Admission.REFUSED]
    assert scene.batches[-1].visits == []


def test_a_commit_that_fails_counts_no_try_and_uses_up_nothing() -> None:
    scene = scene_of()
    give(scene, SUPPORT, 1)
    give(scene, LINK, 2)
    before = dict(scene.people.passes.by_key)
    draft = Draft(scene.people, scene.now, scene.tables)
    visit(draft, scene.home, scene.key("anna"), key(9), "help", Look.REST)
    redeem(draft, key(2), key(3))
    assert not draft.batch.is_empty
    assert scene.people.passes.by_key == before


def test_a_new_code_ends_the_old_one_and_its_tries() -> None:
    scene = scene_of()
    give(scene, SUPPORT, 1)
    for _ in range(TRIES - 1):
        look(scene, 9)
    give(scene, SUPPORT, 2)
    assert look(scene, 1) is Admission.REFUSED
    assert look(scene, 2) is Admission.ADMITTED


def test_the_same_code_given_twice_in_a_row_is_a_new_one() -> None:
    """Once in a hundred million: it ends itself, and is there."""
    scene = scene_of()
    give(scene, SUPPORT, 1)
    look(scene, 9)
    scene.now += 60
    give(scene, SUPPORT, 1)
    assert scene.people.passes.by_key == {key(1): Pass(SUPPORT, scene.key("anna"), NOON + 60 + LIVES[SUPPORT])}


def test_a_code_is_no_token_and_one_persons_code_is_nobody_elses() -> None:
    scene = scene_of()
    give(scene, SUPPORT, 1)
    give(scene, TOKEN, 2)
    assert look(scene, 2) is Admission.REFUSED
    give(scene, SUPPORT, 3, "bert")
    assert look(scene, 1, "bert") is Admission.REFUSED


# --- against a model

USERS = ("anna", "bert")
numbers = st.integers(0, 12)
kinds = st.sampled_from(PassKind)
steps = st.one_of(
    st.tuples(st.just("issue"), st.sampled_from((*USERS, "nobody")), kinds),
    st.tuples(st.just("several"), st.sampled_from(USERS), kinds),
    st.tuples(st.just("redeem"), numbers),
    st.tuples(st.just("visit"), st.sampled_from((*USERS, "nobody")), numbers),
    st.tuples(st.just("end"), st.sampled_from(USERS), kinds, st.none() | numbers),
    st.tuples(st.just("forget"), st.sampled_from(USERS)),
    st.tuples(st.just("time"), st.sampled_from([0.0, 1.0, 450.0, 600.0, 900.0, 86400.0 * 30])),
    st.tuples(st.just("tidy")),
    st.tuples(st.just("commit")),
)
"""Several between two commits: they are one batch."""


@dataclass
class Held:
    number: int
    user: str
    kind: PassKind
    until: float
    wrong: int = 0


@dataclass
class Model:
    """A list, newest last; and who is known. `taken`: for how many passes there were numbers."""

    now: float = NOON
    passes: list[Held] = field(default_factory=list)
    visits: list[tuple[str, float]] = field(default_factory=list)
    taken: int = 0

    def good(self, **wanted: object) -> list[Held]:
        return [p for p in self.passes if p.until > self.now and all(getattr(p, n) == v for n, v in wanted.items())]

    def give(self, user: str, kind: PassKind) -> int:
        others = [p for p in self.passes if (p.user, p.kind) == (user, kind)]
        # Of the same age the one with the smaller key goes; keys are numbers here.
        oldest = sorted(others, key=lambda p: (p.until, p.number))[: max(0, len(others) + 1 - MOST[kind])]
        self.passes = [p for p in self.passes if p not in oldest]
        self.passes.append(Held(self.taken, user, kind, self.now + LIVES[kind]))
        self.taken += 1
        return self.taken - 1

    def visit(self, user: str, number: int) -> Admission:
        for code in self.good(user=user, kind=SUPPORT):
            if code.number == number:
                self.visits.append((user, self.now))
                return Admission.ADMITTED
            code.wrong += 1
            if code.wrong == TRIES:
                self.passes.remove(code)
                return Admission.ENDED
        return Admission.REFUSED


def check(scene: Scene, model: Model) -> None:
    """The same passes are good; the working set agrees with itself; nothing but the model's visits is recorded."""
    of = {scene.key(user): user for user in USERS}
    passes = scene.people.passes
    good = {
        (known, of[found.user], found.kind, found.expires_at, found.tries)
        for known, found in passes.by_key.items()
        if scene.now < found.expires_at
    }
    assert good == {(key(p.number), p.user, p.kind, p.until, p.wrong) for p in model.good()}
    assert {known: found for user in of for known, found in passes.of(user).items()} == passes.by_key
    for user in of:
        for kind in PassKind:
            assert sum(found.kind is kind for found in passes.of(user).values()) <= MOST[kind]


@settings(max_examples=200)
@given(st.lists(steps, max_size=60))
def test_passes_are_those_of_a_model(history: list[tuple[object, ...]]) -> None:
    scene, model = scene_of(*USERS), Model()
    recorded: list[tuple[UserKey, float]] = []
    remaining = [*history, ("commit",)]
    while remaining:
        batch: list[tuple[object, ...]] = []
        while remaining and remaining[0][0] not in ("time", "tidy", "commit"):
            batch.append(remaining.pop(0))
        with scene.draft() as draft:
            for step in batch:
                match step:
                    case ("issue", "nobody", PassKind() as kind):
                        with pytest.raises(NotFound):
                            issue(draft, scene.home, scene.key("nobody"), kind, key(model.taken))
                    case ("issue", str(user), PassKind() as kind):
                        issue(draft, scene.home, scene.key(user), kind, key(model.taken))
                        model.give(user, kind)
                    case ("several", str(user), PassKind() as kind):
                        for _ in range(7):
                            issue(draft, scene.home, scene.key(user), kind, key(model.taken))
                            model.give(user, kind)
                    case ("redeem", int(number)):
                        good = model.good(number=number, kind=LINK)
                        if not good:
                            with pytest.raises(NotAdmitted):
                                redeem(draft, key(number), key(model.taken))
                            continue
                        redeem(draft, key(number), key(model.taken))
                        model.passes.remove(good[0])
                        model.give(good[0].user, TOKEN)
                    case ("visit", str(user), int(number)):
                        told = visit(draft, scene.home, scene.key(user), key(number), "help", Look.REST)
                        assert told is model.visit(user, number)
                    case ("end", str(user), PassKind() as kind, number):
                        one = None if number is None else key(int(str(number)))
                        end(draft, scene.key(user), kind, one)
                        ended = [p for p in model.passes if (p.user, p.kind) == (user, kind)]
                        ended = [p for p in ended if number in (None, p.number)]
                        model.passes = [p for p in model.passes if p not in ended]
                    case ("forget", str(user)):
                        _forget(scene, draft, user)
                        model.passes = [p for p in model.passes if p.user != user]
                        model.visits = [v for v in model.visits if v[0] != user]
        gone = scene.batches[-1].forgotten
        recorded = [(u, at) for u, at in recorded if u not in gone]
        recorded += [(v.user, v.at) for v in scene.batches[-1].visits]
        assert recorded == [(scene.key(user), at) for user, at in model.visits]
        check(scene, model)
        what, *more = remaining.pop(0)
        if what == "time":
            scene.now = model.now = scene.now + float(str(more[0]))
        if what == "tidy":
            scene.people.forget(scene.now)
            model.passes = model.good()
            assert len(scene.people.passes.by_key) == len(model.passes)
        check(scene, model)


def _forget(scene: Scene, draft: Draft, user: str) -> None:
    """Somebody leaves, and comes back at once with a phone."""
    editing.delete_user(draft, scene.home, scene.key(user))
    editing.put_device(draft, scene.home, registration_of(scene.home, user, "phone", user))


def test_passes_show_nobody_in_their_repr() -> None:
    anna = UserKey(b"anna-anna-anna-a")
    assert "anna" not in repr(Pass(TOKEN, anna, NOON)) + repr(replace(Pass(LINK, anna, NOON), tries=1))
