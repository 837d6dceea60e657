"""The pictures of the README are those of the script, and light."""

from __future__ import annotations

from tests.e2e.web.screenshots import INTO, LARGEST, PICTURES


def test_each_picture_is_there_and_no_other() -> None:
    kept = {path.name: path.stat().st_size for path in INTO.iterdir()}
    assert kept.keys() == {f"{name}.jpg" for name in PICTURES}
    assert max(kept.values()) <= LARGEST
