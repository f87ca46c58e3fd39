from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sensors.reading_plan import MAX_BITS, Block, Span, plan_blocks, split_block

spans = st.builds(
    Span,
    st.sampled_from(["holding", "input", "coil", "discrete"]),
    st.integers(0, 400),
    st.sampled_from([1, 2]),
)


def test_neighbours_come_together_and_functions_do_not() -> None:
    wanted = [Span("holding", 2, 2), Span("holding", 0), Span("input", 0), Span("holding", 10)]
    assert plan_blocks(wanted, max_gap=4, max_count=125) == (
        Block("holding", 0, 4),
        Block("holding", 10, 1),
        Block("input", 0, 1),
    )
    assert plan_blocks(wanted, max_gap=6, max_count=125)[0] == Block("holding", 0, 11)


def test_a_32_bit_number_is_never_cut_in_two() -> None:
    wanted = [Span("holding", 2 * n, 2) for n in range(100)]
    blocks = plan_blocks(wanted, max_gap=0, max_count=125)
    assert blocks == (Block("holding", 0, 124), Block("holding", 124, 76))


def test_bits_are_bounded_by_the_protocol() -> None:
    wanted = [Span("discrete", n) for n in range(2001)]
    assert [b.count for b in plan_blocks(wanted, 0, 2)] == [MAX_BITS, 1]


@given(st.lists(spans, min_size=1, max_size=60), st.integers(0, 40), st.integers(2, 125))
def test_every_span_is_whole_in_one_block_and_nothing_is_read_twice_or_for_nothing(
    wanted: list[Span], max_gap: int, max_count: int
) -> None:
    blocks = plan_blocks(wanted, max_gap, max_count)
    for span in wanted:
        assert any(block.holds(span) for block in blocks)
    for block in blocks:
        inside = {
            span.address + n for span in wanted if block.holds(span) for n in range(span.count)
        }
        assert {block.address, block.address + block.count - 1} <= inside
        gaps = sorted(inside)
        assert all(b - a - 1 <= max_gap for a, b in pairwise(gaps))
        if block.function in ("holding", "input"):
            assert block.count <= max_count


def test_a_device_that_refuses_unused_addresses_is_read_without_them() -> None:
    wanted = [Span("holding", 0, 2), Span("holding", 2), Span("holding", 7)]
    (block,) = plan_blocks(wanted, 8, 125)
    assert split_block(block, wanted) == (Block("holding", 0, 3), Block("holding", 7, 1))
