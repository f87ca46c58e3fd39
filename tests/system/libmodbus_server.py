"""A Modbus server made of libmodbus, in its own process: run it, read the port, talk to it.

libmodbus packs the numbers, bits and replies, so that nothing of the gateway's or of its tests' own
understanding of the protocol is in them. Ends with its standard input.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading

FLOAT, WORD, TENTHS, BITS = 123456.789, 3048, 209, 0b1011_0011
FLOAT_WORDS = (0x47F1, 0x2065, 0x2065, 0x47F1, 0xF147, 0x6520, 0x6520, 0xF147)
"""123456.789 = 47 F1 20 65 in the orders ABCD, CDAB, BADC and DCBA, typed in by hand."""

LONGEST_ADU = 260
BYTES, WORDS = ctypes.POINTER(ctypes.c_uint8), ctypes.POINTER(ctypes.c_uint16)


class Mapping(ctypes.Structure):
    """`modbus_mapping_t` of libmodbus 3.1."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("bits", "start_bits", "inputs", "start_inputs")),
        *((name, ctypes.c_int) for name in ("input_words", "start_input_words")),
        *((name, ctypes.c_int) for name in ("words", "start_words")),
        ("tab_bits", BYTES),
        ("tab_inputs", BYTES),
        ("tab_input_words", WORDS),
        ("tab_words", WORDS),
    )


def serve() -> None:
    lib = ctypes.CDLL("libmodbus.so.5")
    lib.modbus_new_tcp.restype = ctypes.c_void_p
    lib.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    context = ctypes.c_void_p(lib.modbus_new_tcp(b"127.0.0.1", 0))
    mapping = lib.modbus_mapping_new(16, 16, 32, 32)
    table = mapping.contents
    for n, word in enumerate(FLOAT_WORDS):
        table.tab_input_words[n] = word
    table.tab_words[0], table.tab_words[1] = WORD, TENTHS
    for n in range(8):
        table.tab_inputs[n] = BITS >> n & 1
    table.tab_bits[1] = 1
    listener = ctypes.c_int(lib.modbus_tcp_listen(context, 4))
    with socket.socket(fileno=os.dup(listener.value)) as copy:
        print(copy.getsockname()[1], flush=True)  # noqa: T201 - for the test to read
    query = (ctypes.c_uint8 * LONGEST_ADU)()
    while lib.modbus_tcp_accept(context, ctypes.byref(listener)) >= 0:
        while (length := lib.modbus_receive(context, query)) >= 0:
            lib.modbus_reply(context, query, length, mapping)
        lib.modbus_close(context)


if __name__ == "__main__":
    threading.Thread(target=serve, daemon=True).start()
    while os.read(0, 1):
        continue
