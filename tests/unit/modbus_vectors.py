# SPDX-License-Identifier: Apache-2.0
"""Values of all types of the Modbus driver as they lie in registers: modbus_vectors.py OUTPUT

Made from the letters of the orders and Python's own conversions, without anything of the driver. A
line is: type, order, bit, bits, no_value or -, the bytes on the wire, and the reading, as
float.hex() writes it, or "none" (the device has no value) or "bad" (no value of that type).
"""

import random
import struct
import sys

TIMES = 40
WIDTHS = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "int48": 3, "uint48": 3, "int64": 4,
          "uint64": 4, "float32": 2, "float64": 4, "bcd16": 1, "bcd32": 2, "bcd48": 3, "bcd64": 4,
          "mod10_32": 2, "mod10_48": 3, "mod10_64": 4}
SHORT = ["ABCD", "CDAB", "BADC", "DCBA"]
LONG = ["ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "CDABGHEF", "EFGHABCD", "DCBAHGFE",
        "FEHGBADC"]
# what a short name means for one, three and four registers
MEANING = {
    1: dict(zip(SHORT, ["AB", "AB", "BA", "BA"])),
    2: dict(zip(SHORT, SHORT)),
    3: dict(zip(SHORT, ["ABCDEF", "EFCDAB", "BADCFE", "FEDCBA"])),
    4: dict(zip(SHORT, LONG), **dict(zip(LONG, LONG))),
}
FLOATS = ["0", "-0.0", "1", "-1", "1234.5", "nan", "inf", "-inf", "1e-45", "-3e-40", "1.17549435e-38",
          "3.4028234e38", "16777217", "5e-324", "2.2250738585072014e-308", "1.7976931348623157e308",
          "9007199254740993", "0.1"]


def wire(big_endian, order):
    letters = MEANING[len(big_endian) // 2][order]
    return bytes(big_endian[ord(letter) - ord("A")] for letter in letters)


def integers(bits, signed):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    edges = [low, low + 1, high, high - 1, 0, 1, -1, 1 << 53, (1 << 53) + 1, (1 << 53) - 1,
             -(1 << 53) - 1, (1 << 54) + 2, (1 << 54) + 6]
    yield from (edge for edge in edges if low <= edge <= high)
    for _ in range(TIMES):
        yield random.randint(low, high) >> random.randrange(bits)


def values(name):
    """Pairs of the bytes from the highest to the lowest, and the reading or "bad"."""
    width = WIDTHS[name]
    size = 2 * width
    if name.startswith(("int", "uint")):
        signed = name.startswith("int")
        for number in integers(8 * size, signed):
            yield number.to_bytes(size, "big", signed=signed), float(number)
    elif name.startswith("float"):
        code = {4: ">f", 8: ">d"}[size]
        for text in FLOATS:
            if size == 8 or abs(float(text)) < 3.41e38 or float(text) in (float("inf"), -float("inf")):
                packed = struct.pack(code, float(text))
                yield packed, struct.unpack(code, packed)[0]
        for _ in range(TIMES):
            packed = random.randbytes(size)
            yield packed, struct.unpack(code, packed)[0]
    elif name.startswith("bcd"):
        for number in [0, 1, 10 ** (2 * size) - 1] + [
                random.randrange(10 ** random.randint(1, 2 * size)) for _ in range(TIMES)]:
            digits = f"{number:0{2 * size}d}"
            yield bytes.fromhex(digits), float(number)
            at = random.randrange(2 * size)
            yield bytes.fromhex(digits[:at] + random.choice("abcdef") + digits[at + 1:]), "bad"
    else:
        for number in [0, 1, -1, 10000, 9999, -10000, 10 ** (4 * width) - 1, 1 - 10 ** (4 * width)] + [
                random.randrange(-10 ** (4 * width) + 1, 10 ** (4 * width)) for _ in range(TIMES)]:
            sign = -1 if number < 0 else 1
            groups = [sign * (abs(number) // 10000 ** i % 10000) for i in reversed(range(width))]
            yield struct.pack(f">{width}h", *groups), float(number)
            groups[random.randrange(width)] = random.choice([10000, -10000, 32767, -32768])
            yield struct.pack(f">{width}h", *groups), "bad"


def fields(name):
    """Bytes, bit, bits and reading of a field within an integer."""
    size = 2 * WIDTHS[name]
    for _ in range(4 * TIMES):
        number = random.getrandbits(8 * size)
        bit = random.randrange(8 * size)
        bits = random.randint(1, 8 * size - bit)
        text = f"{number:0{8 * size}b}"[::-1][bit:bit + bits][::-1]
        reading = int(text, 2)
        if name.startswith("int") and bits > 1 and text[0] == "1":
            reading -= 1 << bits
        yield number.to_bytes(size, "big"), bit, bits, float(reading)


def reading_text(reading):
    return reading if isinstance(reading, str) else reading.hex()


def lines():
    for name, width in WIDTHS.items():
        for order in MEANING[width]:
            for packed, reading in values(name):
                sent = wire(packed, order).hex()
                yield f"{name} {order} -1 1 - {sent} {reading_text(reading)}"
                yield f"{name} {order} -1 1 0x{packed.hex()} {sent} none"
                other = (int.from_bytes(packed, "big") ^ 1).to_bytes(len(packed), "big")
                yield f"{name} {order} -1 1 0X{other.hex().upper()} {sent} {reading_text(reading)}"
                if reading not in ("bad", float("inf"), -float("inf")) and reading == reading \
                        and reading == int(reading) and abs(reading) < 10 ** 15:
                    yield f"{name} {order} -1 1 {int(reading)} {sent} none"
            if name.startswith(("int", "uint")):
                for packed, bit, bits, reading in fields(name):
                    sent = wire(packed, order).hex()
                    yield f"{name} {order} {bit} {bits} - {sent} {reading.hex()}"
    for order in SHORT:
        for _ in range(TIMES):
            packed, bit = random.randbytes(2), random.randrange(16)
            reading = float(int.from_bytes(packed, "big") >> bit & 1)
            yield f"bool {order} {bit} 1 - {wire(packed, order).hex()} {reading.hex()}"


def main():
    random.seed(1)
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.writelines(line + "\n" for line in lines())


if __name__ == "__main__":
    main()
