"""Each device type has a golden vector: bytes typed in from its manual, and what they mean."""

from __future__ import annotations

from tests.house import tree


def test_every_device_type_has_a_golden_vector() -> None:
    types = {path.stem for path in (tree.ROOT / "sensors" / "devices").glob("*.toml")}
    golden = {p.stem for p in (tree.ROOT / "tests" / "sensors" / "golden").glob("*.toml")}
    assert types
    assert types <= golden, f"without a vector from the manual: {sorted(types - golden)}"
