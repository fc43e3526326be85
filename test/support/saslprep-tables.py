"""Prints lib/server/saslprep-tables.json: the tables of RFC 3454 that RFC 4013 uses, from Python's stringprep.

Each table is a list of "gap length" pairs in base 36: so many code points outside, so many inside, and so on.
"""
import json
import stringprep as s


def base36(number):
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if number == 0:
            return digits


def ranges(inside):
    lengths, state, count = [], False, 0
    for code in range(0x110000):
        if inside(chr(code)) != state:
            lengths.append(base36(count))
            state, count = not state, 0
        count += 1
    if state:
        lengths.append(base36(count))
    return " ".join(lengths)


def forbidden(c):
    return (s.in_table_a1(c) or s.in_table_c12(c) or s.in_table_c21_c22(c) or s.in_table_c3(c) or s.in_table_c4(c)
            or s.in_table_c5(c) or s.in_table_c6(c) or s.in_table_c7(c) or s.in_table_c8(c) or s.in_table_c9(c))


print(json.dumps({
    "space": ranges(s.in_table_c12),
    "nothing": ranges(s.in_table_b1),
    "forbidden": ranges(forbidden),
    "rightToLeft": ranges(s.in_table_d1),
    "leftToRight": ranges(s.in_table_d2),
}, indent=2))
