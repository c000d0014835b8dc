"""Names of keys as nobody uses them: each of another shape."""

import itertools
import random
import string

# respgate takes names apart at the first seven.
SEPARATORS = ":{}-./|" + "_,;#$ "
ALPHABETS = [
    string.ascii_lowercase,
    string.ascii_letters,
    string.digits,
    string.hexdigits.lower(),
    string.ascii_letters + string.digits,
    string.ascii_uppercase + "234567",
    string.ascii_letters + string.digits + "@%+=*?[]\\",
    "".join(map(chr, range(0xC0, 0x17F))) + "\0\1\x7f",
]
MARK = "made-up.example"
# What may be told of it: words that stand alone in their places, and nothing between two separators.
WORDS = {"", "user", "session", "bank", "account"}


class MadeUp:
    """A source of names. What names one seed gives is always the same."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.texts = ["".join(self.random.choices(alphabet, k=1 << 16)) for alphabet in ALPHABETS]
        self.made = 0
        # Of four parts or more there are so many that no two are alike among some millions.
        self.shapes = 0

    def name(self):
        self.made += 1
        kind = self.made % 16
        if kind < 2:
            return self.marked()
        if kind == 2:
            # As others call theirs.
            return f"bank:{self.shape(1)}" if self.made & 16 else f"bank:account:{self.shape(1)}"
        if kind == 3:
            return self.shape(1)
        self.shapes += 1
        return self.shape()

    def marked(self):
        """What must not be in a file: an address, a token, a number, where many such stand."""
        bits = self.random.getrandbits(128)
        token = f"{bits:032x}"
        return [f"user:{token[:9]}@{MARK}:cart", f"session:{token}", f"user:44{bits % 10**10:010}", token][bits & 3]

    def shape(self, least=4):
        """4 to 11 parts, or 1 to 8, of up to 31 characters of any alphabet, between any separators."""
        bits, texts = self.random.getrandbits(3 + 11 * 28), self.texts
        parts = []
        for _ in range(least + (bits & 7)):
            bits >>= 4
            start = bits >> 8 & 0xFFFF
            parts.append(texts[bits & 7][start : start + (bits >> 3 & 31)])
            bits >>= 24
            parts.append(SEPARATORS[(bits & 15) % len(SEPARATORS)])
        return "".join(parts[:-1])


class Filler:
    """Fills what there is room for: as many words in each place as are told, as long as such words are, behind each other."""

    FIRST = ["bank", "session", *(f"{letter * 20}_{letter * 11}" for letter in "ghjklm")]
    OTHERS = [f"{letter * 20}_{letter * 11}" for letter in "npqrstvw"]

    def __init__(self):
        self.names = itertools.cycle(itertools.product(self.FIRST, *[self.OTHERS] * 3))
        self.shapes = 0

    def name(self):
        return ":".join(next(self.names))
