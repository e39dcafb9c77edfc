"""Both sides of a stream (protocol §16, `rmi.Source` and `rmi.Sink`)."""

import values
from node import Servant

WINDOW_ITEMS, WINDOW_BYTES = 8, 4096


class Reading:
    """What comes into a sink."""

    def __init__(self):
        self.items, self.bytes, self.batches, self.ends = [], 0, 0, []
        self.granted = [WINDOW_ITEMS, WINDOW_BYTES]
        methods = {("rmi.Sink", "push"): self.push, ("rmi.Sink", "end"): self.end}
        self.sink = Servant(["rmi.Sink"], methods)

    def push(self, sequence, items, references):
        assert sequence == self.batches and not self.ends
        several = values.read_all(items, references)
        self.items += several
        self.bytes, self.batches = self.bytes + len(items), self.batches + 1
        assert several and len(self.items) <= self.granted[0]

    def end(self, sequence, failure):
        assert failure is not None or sequence == self.batches
        self.ends.append(failure)

    def is_due(self):
        return self.granted[0] - len(self.items) <= WINDOW_ITEMS // 2 and not self.ends

    def grant(self):
        """Says how much may come in all: what was read, and a window."""
        self.granted = [len(self.items) + WINDOW_ITEMS, self.bytes + WINDOW_BYTES]
        return self.granted


def read(source):
    """The items of a stream of the peer's, up to its end."""
    reading, node = Reading(), source.node
    source.call("rmi.Source.open", reading.sink, *reading.granted)
    while not reading.ends:
        node.until(lambda: reading.is_due() or reading.ends)
        if reading.is_due():
            source.call("rmi.Source.grant", *reading.grant())
    assert reading.ends == [None]
    node.until(lambda: reading.sink.dropped)
    source.release()
    return reading.items


class Writing:
    """What a source has heard of its reader."""

    def __init__(self):
        self.sink, self.granted = None, [0, 0]
        methods = {("rmi.Source", "open"): self.open, ("rmi.Source", "grant"): self.grant}
        self.source = Servant(["rmi.Source"], methods | {("rmi.Source", "close"): lambda: None})

    def open(self, sink, items, size):
        self.sink, self.granted = sink, [items, size]

    def grant(self, items, size):
        self.granted = [max(items, self.granted[0]), max(size, self.granted[1])]


def write(items, call, node):
    """Makes a call that has a stream of these items, and gives its value: `call` takes the source and gives the call's id."""
    writing, left, sent = Writing(), list(items), [0, 0]
    call_id = call(writing.source)
    node.until(lambda: writing.sink)
    sequence = 0
    while left:
        node.until(lambda: writing.granted[0] > sent[0] and writing.granted[1] > sent[1])
        count = writing.granted[0] - sent[0]
        batch, left = left[:count], left[count:]
        data = b"".join(values.write(item, []) for item in batch)
        writing.sink.call("rmi.Sink.push", sequence, data, [])
        sequence, sent = sequence + 1, [sent[0] + len(batch), sent[1] + len(data)]
    writing.sink.call("rmi.Sink.end", sequence, None)
    value = node.answer(call_id)
    writing.sink.release()
    node.until(lambda: writing.source.dropped)
    return value
