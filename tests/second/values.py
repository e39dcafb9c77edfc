"""MessagePack values as protocol §9 writes them, and a reader that takes what it allows."""

import struct


class Some:
    """A nil below so many `Some`s."""

    def __init__(self, count):
        self.count = count

    def __eq__(self, other):
        return isinstance(other, Some) and self.count == other.count


def write(value, references):
    """The bytes of a value. What is no value is an object: it is added to `references` and written as its index there."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return write_integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return head(len(text), (0xA0, 31), (0xD9, 0xDA, 0xDB)) + text
    if isinstance(value, bytes):
        return head(len(value), None, (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, (list, tuple)):
        parts = [write(part, references) for part in value]
        return head(len(parts), (0x90, 15), (None, 0xDC, 0xDD)) + b"".join(parts)
    if isinstance(value, dict):
        parts = [write(part, references) for pair in value.items() for part in pair]
        return head(len(value), (0x80, 15), (None, 0xDE, 0xDF)) + b"".join(parts)
    if isinstance(value, Some):
        return bytes([0xD4, 1, value.count])
    index = len(references)
    references.append(value)
    return (b"\xd4\x03" + bytes([index])) if index < 256 else (b"\xd5\x03" + struct.pack(">H", index))


def write_integer(value):
    if -32 <= value < 128:
        return struct.pack(">b", value)
    forms = [(0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")]
    if value < 0:
        forms = [(0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")]
    for marker, form in forms:
        try:
            return bytes([marker]) + struct.pack(form, value)
        except struct.error:
            pass
    return head(16, None, (0xC4, 0xC5, 0xC6)) + value.to_bytes(16, "big", signed=value < 0)


def head(count, short, markers):
    """What a value with a length begins with; `short` is the marker and the bound of its shortest form."""
    if short and count <= short[1]:
        return bytes([short[0] | count])
    for marker, form in zip(markers, (">B", ">H", ">I")):
        if marker is not None and count < 1 << (8 * struct.calcsize(form)):
            return bytes([marker]) + struct.pack(form, count)
    raise ValueError(f"{count} is too long")


class Reader:
    """Takes values off the front of some bytes. Where they name a reference they have what it leads to."""

    NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
    NUMBERS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}

    def __init__(self, data, references):
        self.data, self.at, self.references = data, 0, references

    def take(self, count):
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            raise ValueError("the body ends inside a value")
        self.at += count
        return bytes(taken)

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self):
        marker = self.number(">B")
        if marker < 0x80:
            return marker
        if marker < 0x90:
            return self.map(marker & 15)
        if marker < 0xA0:
            return self.array(marker & 15)
        if marker < 0xC0:
            return self.take(marker & 31).decode()
        if marker >= 0xE0:
            return marker - 256
        if marker in self.NUMBERS:
            return self.number(self.NUMBERS[marker])
        if 0xD4 <= marker <= 0xD8:
            return self.extension(1 << (marker - 0xD4))
        constants = {0xC0: None, 0xC2: False, 0xC3: True}
        if marker in constants:
            return constants[marker]
        with_length = {
            0xC4: (">B", self.take), 0xC5: (">H", self.take), 0xC6: (">I", self.take),
            0xC7: (">B", self.extension), 0xC8: (">H", self.extension), 0xC9: (">I", self.extension),
            0xD9: (">B", self.text), 0xDA: (">H", self.text), 0xDB: (">I", self.text),
            0xDC: (">H", self.array), 0xDD: (">I", self.array),
            0xDE: (">H", self.map), 0xDF: (">I", self.map),
        }
        if marker not in with_length:
            raise ValueError(f"the reserved byte {marker:02x}")
        form, read = with_length[marker]
        return read(self.number(form))

    def text(self, count):
        return self.take(count).decode()

    def array(self, count):
        return [self.value() for _ in range(count)]

    def map(self, count):
        return {self.value(): self.value() for _ in range(count)}

    def extension(self, count):
        kind, data = self.number(">B"), self.take(count)
        if kind == 1:
            return Some(data[0])
        if kind == 2:
            return list(data)
        if kind == 3:
            return self.references[int.from_bytes(data, "big")]
        raise ValueError(f"the extension type {kind} is not used")


def read(body, references):
    """The one value that a body is."""
    reader = Reader(body, references)
    value = reader.value()
    if reader.at != len(body):
        raise ValueError("bytes follow the value")
    return value


def read_all(data, references):
    """Values that stand one behind the other."""
    reader, values = Reader(data, references), []
    while reader.at < len(data):
        values.append(reader.value())
    return values
