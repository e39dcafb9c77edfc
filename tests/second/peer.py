"""Speaks to a registry, and to a host that it finds there, both of the first implementation: peer.py REGISTRY."""

import os
import sys
import uuid

from node import Fault, MethodError, Node, Proxy, Servant
from streams import read, write

REGISTRY, SEMAPHORES = b"rmi-core.naming\0", b"rmi-core.sync\0\0\0"


def fields(value, *names):
    """The fields of a struct, which may come by name or in their order."""
    return [value[name] for name in names] if isinstance(value, dict) else value[: len(names)]


def fails(expected, call, *arguments):
    try:
        call(*arguments)
    except (Fault, MethodError) as error:
        assert error.args[: len(expected)] == expected, error.args
    else:
        raise AssertionError(f"{expected} was expected")


def looks_up(registry):
    """A name leads to an object at a place, which is dialled, and claimed by whoever wants to hold it."""
    naming = Proxy(registry, REGISTRY)
    assert naming.call("rmi.Registry.ping") is None
    fails(({"NotBound": "second/none"},), naming.call, "rmi.Registry.lookup", "second/none")
    binding = naming.call("rmi.Registry.lookup", "second/desk")
    name, address, revision, tags, verified = fields(binding, "name", "object", "revision", "tags", "verified")
    assert (name, tags, verified) == ("second/desk", {"floor": "3"}, True) and revision > 0
    node, object_id, interfaces, endpoints = fields(address, "node", "object", "interfaces", "endpoints")
    host = Node(endpoints[0])
    assert host.peer == uuid.UUID(node).bytes and interfaces == ["second.Desk"]
    desk = Proxy(host, uuid.UUID(object_id).bytes)
    assert host.claim(desk.id) and not host.claim(bytes(16))
    assert desk.call("rmi.Object.interfaces") == ["second.Desk"]
    return host, desk, address


def binds(registry, address):
    """A lease, a binding of our own, its renewal and its end."""
    naming = Proxy(registry, REGISTRY)
    token, duration = fields(naming.call("rmi.Registry.join"), "token", "duration")
    secs, nanos = fields(duration, "secs", "nanos")
    assert secs == 60 and nanos == 0
    first = naming.call("rmi.Registry.bind", token, "second/copy", address, {})
    second = naming.call("rmi.Registry.rebind", token, "second/copy", address, {"a": "b"}, first)
    conflict = {"Conflict": {"name": "second/copy", "expected": first, "found": second}}
    fails((conflict,), naming.call, "rmi.Registry.unbind", "second/copy", first)
    claims = [{"name": "second/copy", "revision": second}, {"name": "second/lost", "revision": 1}]
    assert fields(naming.call("rmi.Registry.renew", token, claims), "lost") == [["second/lost"]]
    page = naming.call("rmi.Registry.list", "second", None, 1)
    bindings, more, _ = fields(page, "bindings", "more", "revision")
    assert fields(bindings[0], "name") == ["second/copy"] and more
    naming.call("rmi.Registry.leave", token)
    fails(({"NotBound": "second/copy"},), naming.call, "rmi.Registry.lookup", "second/copy")


def takes_permits(registry):
    """A semaphore by its name, and a permit that is given back."""
    gate = Proxy(registry, SEMAPHORES).call("rmi.Semaphores.open", "second/gate", 2)
    fails(({"TooMany": {"asked": 3, "permits": 2}},), gate.call, "rmi.Semaphore.acquire", 3)
    token, permit = fields(gate.call("rmi.Semaphore.acquire", 2), "token", "permit")
    assert token > 0 and gate.call("rmi.Semaphore.try_acquire", 1) is None
    permit.call("rmi.Permit.release")
    fails(("Released",), permit.call, "rmi.Permit.check")
    assert gate.call("rmi.Semaphore.available") == 2
    permit.release(), gate.release()


def sends_values(desk):
    """A struct with all sorts of fields comes back as it went; an unknown field is passed over."""
    note = {"title": "tip", "size": None, "data": [1, 2, 3], "due": {"secs": 1, "nanos": 5}, "kind": {"Urgent": 7}}
    assert desk.call("second.Desk.keep", note | {"later": [{}]}) == note
    fails(({"Refused": {"why": "full"}},), desk.call, "second.Desk.refuse", "full")
    fails((5, 0), desk.call, "second.Desk.burn")
    fails((4, 0), desk.call, "second.Shelf.keep")
    fails((3, 0), Proxy(desk.node, bytes(16)).call, "second.Desk.keep")
    fails((60, 0), lambda: desk.call("second.Desk.keep", note, millis=0))


def sends_large_bodies(desk):
    """Bodies in pieces, both ways, and more of them than there is credit for at once."""
    large = bytes(range(256)) * 16_384
    for _ in range(10):
        assert desk.call("second.Desk.echo", large) == large


def is_called_back(desk):
    """The host calls an object of ours inside of our call, and lets it go behind it."""
    heard = []
    listener = Servant(["second.Listener"], {("second.Listener", "heard"): lambda text: heard.append(text) or len(text)})
    assert desk.call("second.Desk.tell", listener, "hello") == 5 and heard == ["hello"]
    desk.node.until(lambda: listener.dropped)
    # More references than have room beside a body.
    several = [Servant(["second.Listener"], {}) for _ in range(1500)]
    assert desk.call("second.Desk.how_many", several) == 1500
    desk.node.until(lambda: all(one.dropped for one in several))
    own = Servant(["second.Listener"], {})
    assert desk.call("second.Desk.give_back", own) is own


def holds(desk):
    """An object of the host's lives as long as it is held, which the host says."""
    drawer = desk.call("second.Desk.drawer")
    assert drawer.call("second.Drawer.put", "pen") == 1
    assert drawer.call("second.Drawer.put", "ink") == 2
    assert desk.call("second.Desk.drawers") == 1
    drawer.release()
    while desk.call("second.Desk.drawers") > 0:
        pass


def calls_promises(desk):
    """A call on what an earlier call will return, without waiting for it."""
    promise = Proxy(desk.node, os.urandom(16), promised=True)
    opening = desk.begin("second.Desk.drawer", promise=promise.id)
    assert promise.call("second.Drawer.put", "pen") == 1
    assert desk.call("second.Desk.look_into", promise) == 1
    drawer = desk.node.answer(opening)
    desk.node.forget(promise)
    assert drawer.call("second.Drawer.put", "ink") == 2
    drawer.release()


def streams(desk):
    """A stream of the host's is read, and one of ours is read by it."""
    source = desk.call("second.Desk.count", 1000)
    assert read(source) == list(range(1000))
    assert write(range(10_000), lambda source: desk.begin("second.Desk.sum", source), desk.node) == sum(range(10_000))


def main(place):
    registry = Node(place)
    host, desk, address = looks_up(registry)
    binds(registry, address)
    takes_permits(registry)
    for speak in (sends_values, sends_large_bodies, is_called_back, holds, calls_promises, streams):
        speak(desk)
    desk.begin("second.Desk.ring", oneway=True)
    desk.release()
    host.goodbye(), registry.goodbye()


main(sys.argv[1])
