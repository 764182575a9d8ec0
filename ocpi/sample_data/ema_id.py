"""Contract ids as EMA-IDs of ISO 15118-1, with their check digit.

The check digit is the fifteenth sign that makes a weighted sum of all signs vanish. A sign's place in the alphabet is
split into two bits and two ternary digits; the sign at position n counts with the n-th power of a matrix, ((0 1)(1 1))
modulo 2 for the bits and ((0 1)(1 2)) modulo 3 for the rest. So a wrong sign, two swapped neighbors and the other
common slips of the pen all change the sum.
"""

_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LENGTH = 14

Matrix = tuple[int, int, int, int]
Weight = tuple[int, int, int, int]


def contract_id(country_code: str, party_id: str, instance: str) -> str:
    """Write an EMA-ID with its check digit; `instance` has nine letters or digits.

    :raises ValueError: if a part has the wrong length or another sign.
    """
    plain = f"{country_code}{party_id}{instance}".upper()
    if (len(country_code), len(party_id), len(instance)) != (2, 3, 9) or not set(plain) <= set(_SIGNS):
        raise ValueError(f"{country_code}-{party_id}-{instance} is no EMA-ID: 2, 3 and 9 letters or digits")
    return f"{plain[:2]}-{plain[2:5]}-{plain[5:]}-{_check_digit(plain)}"


def _check_digit(plain: str) -> str:
    weights = [_WEIGHTS[position][sign] for position, sign in enumerate(plain)]
    bit_high, bit_low, tern_high, tern_low = (sum(column) for column in zip(*weights, strict=True))
    return _LAST[-bit_high % 2, -bit_low % 2, -tern_high % 3, -tern_low % 3]


def _times(left: Matrix, right: Matrix, modulus: int) -> Matrix:
    a, b, c, d = left
    e, f, g, h = right
    return (a * e + b * g) % modulus, (a * f + b * h) % modulus, (c * e + d * g) % modulus, (c * f + d * h) % modulus


def _weight(place: int, bits: Matrix, terns: Matrix) -> Weight:
    """Return what a sign adds to the sum at a position with these matrices."""
    by_two, by_three = divmod(place, 9)
    (high, low), (top, bottom) = divmod(by_two, 2), divmod(by_three, 3)
    return (
        (high * bits[0] + low * bits[2]) % 2,
        (high * bits[1] + low * bits[3]) % 2,
        (top * terns[0] + bottom * terns[2]) % 3,
        (top * terns[1] + bottom * terns[3]) % 3,
    )


def _all_weights() -> list[dict[str, Weight]]:
    bits = terns = (1, 0, 0, 1)
    table = []
    for _ in range(_LENGTH + 1):
        table.append({sign: _weight(place, bits, terns) for place, sign in enumerate(_SIGNS)})
        bits, terns = _times(bits, (0, 1, 1, 1), 2), _times(terns, (0, 1, 1, 2), 3)
    return table


# Built once: there are 15 positions and 36 signs.
_WEIGHTS = _all_weights()
_LAST = {weight: sign for sign, weight in _WEIGHTS[_LENGTH].items()}
