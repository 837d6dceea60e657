"""The curves: what could be, what is the limit, and a plot that holds whatever was measured."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bench.curves import SIZES, Point, Window, open_streams, plotted, point, size_for
from bench.plot import HEIGHT, LEFT, TOP, WIDTH


def test_one_connection_of_several_and_every_twentieth_stream_are_kept_for_alarms() -> None:
    assert open_streams(1000, 1) == 950
    assert open_streams(1000, 8) == 7 * 950
    assert open_streams(1, 2) == 1


def test_what_is_near_what_the_streams_allow_is_limited_by_them_and_else_by_the_wire_or_by_others() -> None:
    def limit(accepted: int, busy: float, latency_ms: float = 100.0) -> str:
        return point(10, 1, latency_ms, Window(accepted, wall=2.0, cpu=0.5, busy=busy)).limit

    assert limit(200, busy=0.5) == limit(200, busy=2.0) == limit(150, busy=0.0) == "streams"
    assert limit(140, busy=1.7) == "wire"
    assert limit(140, busy=1.0) == limit(0, busy=0.0) == "elsewhere"
    assert limit(10_000, busy=2.0, latency_ms=0.0) == "wire"
    found = point(10, 2, 100.0, Window(150, wall=2.0, cpu=0.3, busy=0.4))
    assert (found.per_s, found.little_per_s, found.open_per_s) == (75.0, 200.0, 100.0)
    assert (found.core, found.wanted, found.cpu_us) == (0.15, 0.2, 2000.0)


def test_a_store_lasts_for_the_window() -> None:
    assert size_for(1, 1, 400.0, 1.5) == SIZES[0]
    assert size_for(1000, 8, 0.0, 1.5) == SIZES[-1]


points = st.builds(
    lambda s, c, latency, accepted: point(s, c, latency, Window(accepted, 1.0, 0.1, 0.1)),
    st.sampled_from([1, 10, 1000]), st.sampled_from([1, 8]), st.sampled_from([0.0, 0.5, 400.0]), st.integers(0, 10**6),
)  # fmt: skip


@given(st.lists(points, min_size=1, max_size=12))
def test_every_plot_is_xml_and_nothing_lies_outside_its_panel(found: list[Point]) -> None:
    root = ElementTree.fromstring(plotted(found, "a < b & c"))
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert LEFT <= float(circle.attrib["cx"]) <= LEFT + WIDTH
        assert TOP <= float(circle.attrib["cy"]) <= TOP + HEIGHT
