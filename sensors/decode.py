"""Registers to columns: one device's replies become a value and a quality per point.

A device is compiled once (`sensors.device_decoder`). Each poll fills a `DeviceImage` with the words
that came and, for those that did not, why; `decode` reads it. Nothing here raises over what a
device says: what cannot be used becomes a quality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensors.device_decoder import SWAPS_BYTES, DeviceDecoder, DeviceImage
from sensors.device_types import Order, WireType
from sensors.quality import MAY_SET, Quality

_Word = NDArray[np.uint16]
_Pair = NDArray[np.uint32]

# From one register, or two as one big-endian number.
_NUMBERS: Final[Mapping[WireType, Callable[[_Word, _Pair], NDArray[np.generic]]]] = {
    "uint16": lambda word, _pair: word,
    "int16": lambda word, _pair: word.view(np.int16),
    "uint32": lambda _word, pair: pair,
    "int32": lambda _word, pair: pair.view(np.int32),
    "float32": lambda _word, pair: pair.view(np.float32),
}


@dataclass(slots=True)
class HeartState:
    """What was last seen of a heartbeat register."""

    value: int = -1
    changed_s: float = 0.0


def decode(
    decoder: DeviceDecoder, image: DeviceImage, *, still: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Read an image.

    Parameters
    ----------
    still : bool
        The device's heartbeat has stood still for too long (see `heart_is_still`).

    Returns
    -------
    value : float64 (n,)
        [canonical unit of each point]; NaN where the number itself was not read.
    quality : uint8 (n,)
        The worst that holds. NaN and Inf are DECODE_ERROR where nothing else forbids the value.
    """
    raw = _raw(decoder, image.words)
    quality = np.maximum.reduceat(image.failed[decoder.needs], decoder.starts)
    for row, sentinel, meaning in decoder.sentinels:
        if raw[row] == sentinel:
            quality[row] = max(quality[row], np.uint8(meaning))
    for status in decoder.status:
        if image.failed[status.slot] == Quality.GOOD:
            said = status.row.quality(_word(image, status.slot, status.row.at.order))
            quality[status.points] = np.maximum(quality[status.points], said)
    factor, offset = decoder.factor, decoder.offset
    if decoder.unit_codes:
        factor, offset = factor.copy(), offset.copy()
        for unit in decoder.unit_codes:
            code = _word(image, unit.slot, unit.at.order) & unit.at.mask
            known = unit.affine.get(code, (np.nan, np.nan))
            factor[unit.point], offset[unit.point] = known
    if still and decoder.heartbeat is not None:
        quality = np.maximum(quality, np.uint8(decoder.heartbeat.quality))
    with np.errstate(over="ignore", invalid="ignore"):
        value = raw * factor + offset
    unread = np.maximum(image.failed[decoder.first], image.failed[decoder.second]) > Quality.GOOD
    value[unread] = np.nan
    quality[~np.isfinite(value) & MAY_SET[quality]] = Quality.DECODE_ERROR
    return value, quality


def heart_is_still(
    decoder: DeviceDecoder, image: DeviceImage, state: HeartState, now_s: float
) -> bool:
    """Note the heartbeat in `state` and tell whether it has stood still for too long.

    A poll that did not bring the register says nothing; its own failure makes the quality.
    """
    heart = decoder.heartbeat
    if heart is None:
        return False
    slot = decoder.slots[heart.at.function, heart.at.address]
    if image.failed[slot] != Quality.GOOD:
        return False
    value = int(image.words[slot])
    if value != state.value:
        state.value, state.changed_s = value, now_s
    return now_s - state.changed_s >= heart.still_s


def _raw(decoder: DeviceDecoder, words: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return the numbers as they stand on the wire, float64 (n,)."""
    first, second = words[decoder.first], words[decoder.second]
    first = np.where(decoder.swap, first.byteswap(), first)
    second = np.where(decoder.swap, second.byteswap(), second)
    pair = (first.astype(np.uint32) << np.uint32(16)) | second
    raw = ((first & decoder.mask) >> decoder.shift).astype(np.float64)
    # A signalling NaN is a NaN like any other, and no reason for a warning.
    with np.errstate(invalid="ignore"):
        for kind, rows in decoder.kinds:
            raw[rows] = _NUMBERS[kind](first[rows], pair[rows])
    return raw


def _word(image: DeviceImage, slot: int, order: Order) -> int:
    word = int(image.words[slot])
    return (word >> 8 | word << 8) & 0xFFFF if order in SWAPS_BYTES else word
