"""One session over TCP (protocol §2 to §5, §7, §8, §11, §12): calls, objects that can be called, and what keeps them."""

import os
import socket
import struct
import time

import values

FRAME_BYTES, BODY_BYTES, WINDOW_BYTES, CALLS, REFERENCES = 1 << 20, 16 << 20, 32 << 20, 64, 65_536
LEASE_MILLIS, PIECE_BYTES, BESIDE_MAX = 60_000, 65_536, 1024
HELLO, CALL, REPLY, DATA, CANCEL, CREDIT, PING, PONG, GOAWAY, GOODBYE = range(1, 11)
RELEASE, RENEW, CLAIM, CLAIMED, FORGET = 11, 12, 13, 14, 17
ONEWAY, BESIDE, METADATA, FOLLOWS, PROMISE, INSIDE = 1, 2, 4, 8, 16, 32
LAST = 16


class Fault(Exception):
    """A fault of the framework: its kind, executed as 0, 1 or 2, and its text."""


class MethodError(Exception):
    """The method's own error."""


class Gone(Exception):
    """The peer said goodbye, or the channel ended."""


def name_id(name):
    """The id of an interface or a method: FNV-1a."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def text(value):
    return struct.pack("<H", len(value.encode())) + value.encode()


def texts(several):
    return bytes([len(several)]) + b"".join(map(text, several))


class Fields:
    """Takes the fields of a frame."""

    def __init__(self, data):
        self.rest = data

    def take(self, count):
        taken, self.rest = self.rest[:count], self.rest[count:]
        if len(taken) < count:
            raise ValueError("a frame ends inside a field")
        return taken

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def texts(self):
        return [self.take(self.number("<H")).decode() for _ in range(self.number("<B"))]


class Servant:
    """An object of this node. `methods` has a function for each pair of an interface and a method."""

    def __init__(self, interfaces, methods):
        self.id, self.interfaces, self.copies = os.urandom(16), interfaces, 0
        self.methods = {(name_id(interface), name_id(method)): f for (interface, method), f in methods.items()}
        self.dropped = False

    def bytes(self):
        self.copies += 1
        return b"\0" + self.id + texts(self.interfaces)


class Proxy:
    """An object of the peer's, or a promise of one."""

    def __init__(self, node, object_id, promised=False):
        self.node, self.id, self.promised = node, object_id, promised

    def bytes(self):
        # An object of the receiver's comes home: its node and its id suffice.
        return b"\2" + self.id if self.promised else b"\1" + self.node.peer + self.id + texts([]) + texts([])

    def call(self, method, *arguments, **options):
        """Calls `Interface.method` and waits for the value."""
        return self.node.answer(self.begin(method, *arguments, **options))

    def begin(self, method, *arguments, **options):
        """Makes a call and waits for nothing; gives the call's id."""
        return self.node.begin(self.id, method, arguments, **options)

    def release(self):
        self.node.release(self.id)


class Node:
    """A node with one connection, which it dials."""

    def __init__(self, place):
        host, port = place.removeprefix("tcp://").split("?")[0].rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader, self.id = self.socket.makefile("rb", 1 << 16), os.urandom(16)
        self.servants, self.held, self.answers, self.coming, self.claims = {}, {}, {}, {}, {}
        self.free, self.generation, self.accepted = list(range(CALLS)), 0, 0
        self.credit = [0, 0]
        lease = os.urandom(16) + struct.pack("<I", LEASE_MILLIS)
        accepts = struct.pack("<IIQI", FRAME_BYTES, BODY_BYTES, WINDOW_BYTES, CALLS)
        hello = b"rmio" + struct.pack("<HHI", 2, 2, 0) + self.id + accepts + lease + texts([])
        self.send(HELLO, hello + struct.pack("<I", REFERENCES))
        kind, fields = self.frame()
        if kind == GOODBYE:
            self.goodbye_came(fields)
        self.take_hello(fields)

    def take_hello(self, fields):
        assert fields.take(4) == b"rmio"
        oldest, newest = fields.number("<H"), fields.number("<H")
        assert oldest <= 2 <= newest, f"the peer speaks {oldest} to {newest}"
        fields.take(4)
        self.peer = fields.take(16)
        _, self.body_bytes, window, calls = struct.unpack("<IIQI", fields.take(20))
        fields.take(16)
        self.peer_lease = fields.number("<I") / 1000
        self.endpoints = fields.texts()
        self.references = fields.number("<I")
        self.credit, self.free = [window, window], self.free[:calls]

    # Frames.

    def send(self, kind, content):
        self.socket.sendall(struct.pack("<IB", 1 + len(content), kind) + content)
        self.said = time.monotonic()

    def take(self, count):
        taken = self.reader.read(count)
        if len(taken) < count:
            raise Gone("the channel ended without a goodbye")
        return taken

    def frame(self):
        length = struct.unpack("<I", self.take(4))[0]
        assert 0 < length <= FRAME_BYTES
        content = self.take(length)
        return content[0], Fields(content[1:])

    def step(self):
        """Takes the next frame and does what it asks for."""
        if self.held and time.monotonic() - self.said > self.peer_lease / 3:
            self.send(RENEW, b"")
        kind, fields = self.frame()
        handlers = {
            CALL: self.call_came, REPLY: self.reply_came, DATA: self.data_came, CREDIT: self.credit_came,
            PING: lambda fields: self.send(PONG, fields.take(8)), GOODBYE: self.goodbye_came,
            RELEASE: self.release_came, CLAIM: self.claim_came, CLAIMED: self.claimed_came,
        }
        ignored = (CANCEL, PONG, GOAWAY, RENEW, FORGET)
        if kind not in ignored:
            handlers[kind](fields)

    def until(self, done):
        while not done():
            self.step()

    def goodbye_came(self, fields):
        code, accepted = fields.number("<H"), fields.number("<Q")
        raise Gone(code, accepted, fields.rest.decode())

    def goodbye(self):
        self.send(GOODBYE, struct.pack("<HQ", 0, self.accepted) + b"done")
        self.socket.close()

    # Bodies and credit.

    def credit_came(self, fields):
        lane = fields.number("<B")
        self.credit[lane] += fields.number("<Q")

    def tail(self, value):
        """A value as a body: the flags that say how it travels, the references beside it, and its bytes."""
        references = []
        body = values.write(value, references)
        several = b"".join(reference.bytes() for reference in references)
        self.servants |= {one.id: one for one in references if isinstance(one, Servant)}
        if len(references) > BESIDE_MAX:
            return INSIDE, b"", struct.pack("<I", len(references)) + several + body
        return (BESIDE, struct.pack("<H", len(references)) + several, body) if references else (0, b"", body)

    def send_body(self, kind, lane, call_id, make, tail):
        """Sends a call or a reply: `make` gives the fields in front of the references for the flags."""
        flags, references, body = tail
        assert len(body) <= self.body_bytes
        self.until(lambda: self.credit[lane] >= len(body))
        self.credit[lane] -= len(body)
        if len(body) <= PIECE_BYTES:
            return self.send(kind, make(flags) + references + body)
        self.send(kind, make(flags | FOLLOWS) + references + struct.pack("<I", len(body)))
        for at in range(0, len(body), PIECE_BYTES):
            last = LAST if at + PIECE_BYTES >= len(body) else 0
            self.send(DATA, bytes([lane | last]) + call_id + body[at : at + PIECE_BYTES])

    def take_body(self, lane, call_id, flags, fields, done):
        """Gives the references and the body to `done`, at once or when the last piece is there."""
        beside = self.take_references(fields, fields.number("<H")) if flags & BESIDE else []
        if flags & FOLLOWS:
            self.coming[lane, call_id] = fields.number("<I"), [], flags, beside, done
        else:
            self.hand_over(lane, flags, beside, fields.rest, done)

    def data_came(self, fields):
        flags, call_id = fields.number("<B"), fields.take(8)
        lane = flags & 1
        length, pieces, call_flags, beside, done = self.coming[lane, call_id]
        pieces.append(fields.rest)
        if flags & LAST:
            del self.coming[lane, call_id]
            body = b"".join(pieces)
            assert length == len(body)
            self.hand_over(lane, call_flags, beside, body, done)

    def hand_over(self, lane, flags, references, body, done):
        if body:
            self.send(CREDIT, struct.pack("<BQ", lane, len(body)))
        if flags & INSIDE:
            fields = Fields(body)
            references = self.take_references(fields, fields.number("<I"))
            body = fields.rest
        done(references, body)

    def take_references(self, fields, count):
        return [self.take_reference(fields) for _ in range(count)]

    def take_reference(self, fields):
        kind = fields.number("<B")
        node = fields.take(16) if kind == 1 else self.peer
        object_id = fields.take(16)
        if kind == 2:
            raise Fault(3, 0, "nothing was promised")
        fields.texts()
        if kind == 1:
            fields.texts()
        if node == self.id:
            self.send(RELEASE, struct.pack("<H", 1) + object_id + struct.pack("<I", 1))
            return self.servants[object_id]
        self.held[object_id] = self.held.get(object_id, 0) + 1
        return Proxy(self, object_id)

    # Calls of ours.

    def begin(self, object_id, method, arguments, oneway=False, millis=10_000, promise=b""):
        """Makes a call; gives its id, by which to wait for the answer."""
        self.until(lambda: self.free)
        place, self.generation = self.free.pop(), self.generation + 1
        call_id = struct.pack("<II", place, self.generation)
        own = (ONEWAY if oneway else 0) | (PROMISE if promise else 0)
        ids = b"".join(struct.pack("<I", name_id(name)) for name in method.rsplit(".", 1))
        fixed = call_id + b"\0" + object_id + ids + struct.pack("<I", millis) + promise
        self.answers[call_id] = None
        self.send_body(CALL, 0, call_id, lambda flags: bytes([flags | own]) + fixed, self.tail(list(arguments)))
        return call_id

    def reply_came(self, fields):
        flags, call_id, status = fields.number("<B"), fields.take(8), fields.number("<B")

        def done(references, body):
            assert self.answers[call_id] is None
            self.answers[call_id] = (status, references, body)
            self.free.append(struct.unpack("<I", call_id[:4])[0])

        self.take_body(1, call_id, flags, fields, done)

    def answer(self, call_id):
        self.until(lambda: self.answers[call_id] is not None)
        status, references, body = self.answers.pop(call_id)
        if status == 2:
            fault = Fields(body)
            kind, executed = fault.number("<H"), fault.number("<B")
            fault.take(5)
            raise Fault(kind, executed, fault.rest.decode())
        if status == 1:
            raise MethodError(values.read(body, references))
        return values.read(body, references)

    # Calls of the peer's.

    def call_came(self, fields):
        flags, call_id, _, object_id = fields.number("<B"), fields.take(8), fields.take(1), fields.take(16)
        method = fields.number("<I"), fields.number("<I")
        fields.take(20 if flags & PROMISE else 4)
        for _ in range(fields.number("<B") if flags & METADATA else 0):
            fields.take(fields.number("<H")), fields.take(fields.number("<H"))

        def done(references, body):
            self.accepted += 1
            status, tail = self.serve(object_id, method, references, body)
            make = lambda flags: bytes([flags]) + call_id + bytes([status])
            self.send_body(REPLY, 1, call_id, make, tail)

        self.take_body(0, call_id, flags, fields, done)

    def serve(self, object_id, method, references, body):
        servant = self.servants.get(object_id)
        if servant is None:
            return 2, (0, b"", struct.pack("<HBBI", 3, 0, 0, 0) + b"no such object")
        if method not in servant.methods:
            return 2, (0, b"", struct.pack("<HBBI", 5, 0, 0, 0) + b"no such method")
        try:
            return 0, self.tail(servant.methods[method](*values.read(body, references)))
        except MethodError as error:
            return 1, self.tail(error.args[0])

    # What is held.

    def release(self, object_id):
        copies = self.held.pop(object_id)
        self.send(RELEASE, struct.pack("<H", 1) + object_id + struct.pack("<I", copies))

    def release_came(self, fields):
        for _ in range(fields.number("<H")):
            servant = self.servants[fields.take(16)]
            servant.copies -= fields.number("<I")
            assert servant.copies >= 0
            if servant.copies == 0:
                del self.servants[servant.id]
                servant.dropped = True

    def claim(self, object_id):
        """Asks to hold an object of the peer's; says whether it is held."""
        self.send(CLAIM, b"\0" + struct.pack("<H", 1) + object_id)
        self.until(lambda: object_id in self.claims)
        held = self.claims.pop(object_id)
        if held:
            self.held[object_id] = self.held.get(object_id, 0) + 1
        return held

    def claimed_came(self, fields):
        for _ in range(fields.number("<H")):
            object_id = fields.take(16)
            self.claims[object_id] = fields.number("<B") != 0

    def claim_came(self, fields):
        flags = fields.number("<B")
        fields.take(16 if flags & 1 else 0)
        objects = [fields.take(16) for _ in range(fields.number("<H"))]
        for one in objects:
            if one in self.servants:
                self.servants[one].copies += 1
        answers = b"".join(one + bytes([one in self.servants]) for one in objects)
        if objects:
            self.send(CLAIMED, struct.pack("<H", len(objects)) + answers)

    def forget(self, promise):
        self.send(FORGET, struct.pack("<H", 1) + promise.id)
