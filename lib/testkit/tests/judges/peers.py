#!/usr/bin/python3
"""dnsd beside NSD and Knot: the same questions to all three, and every difference must have its reason.

    peers.py MACHINE ZONES DOCUMENT     asks in that network namespace; the document's table must be that of peers_justified.py
    peers.py --table                    that table
"""

import collections
import ctypes
import os
import pathlib
import select
import socket
import struct
import sys
import time

import dns_wire as wire
import peers_justified as justified
import questions

QUESTIONS, SEED = 100_000, 6
SERVERS = {"dnsd": 53, "NSD": 5301, "Knot": 5302}
#: So many questions are under way at each server; so many where hardly any is answered: what fits into a socket's buffer.
AT_ONCE, MANY = 48, 200
#: Seconds: answers take less on an idle machine, hardly any takes so long, and none on a busy one.
SOON, SILENCE, PATIENCE = 0.05, 0.5, 10
#: Most of a kind of unlisted difference that are shown.
SHOWN = 3
CLONE_NEWNET = 0x40000000


def enter(machine):
    handle = os.open(f"/run/netns/{machine}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter {machine}")
    os.close(handle)


# ---- asking --------------------------------------------------------------------------------------------------------------


class Udp:
    """A socket a server, for questions whose ids differ."""

    def __init__(self):
        self.sockets = {}
        for server, port in SERVERS.items():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.setblocking(False)
            one.connect(("127.0.0.1", port))
            self.sockets[server] = one
        self.poll = select.poll()
        self.of = {one.fileno(): (server, one) for server, one in self.sockets.items()}
        for one in self.sockets.values():
            self.poll.register(one, select.POLLIN)

    def ask(self, cases, got, patience):
        """Asks those of whom nothing is there yet; `got`: by server, answers by id."""
        waiting = {server: {case.message[:2]: case for case in cases if case.message[:2] not in got[server]} for server in SERVERS}
        for server, asked in waiting.items():
            for case in asked.values():
                self.sockets[server].send(case.message)
        end = time.monotonic() + patience
        while any(waiting.values()) and (left := end - time.monotonic()) > 0:
            for handle, _ in self.poll.poll(left * 1000):
                server, one = self.of[handle]
                try:
                    while True:
                        answer = one.recv(65535)
                        got[server][answer[:2]] = answer
                        waiting[server].pop(answer[:2], None)
                except BlockingIOError:
                    pass


def over_udp(cases):
    """Answers by server and id. What is not answered soon is asked once more at the end: of plain questions with all patience, of those
    that may get no answer many at once."""
    udp, got = Udp(), {server: {} for server in SERVERS}
    for some in chunks(cases, AT_ONCE):
        udp.ask(some, got, SOON)
    left = [case for case in cases if any(case.message[:2] not in got[server] for server in SERVERS)]
    for some in chunks([case for case in left if is_plain(case)], AT_ONCE):
        udp.ask(some, got, PATIENCE)
    for some in chunks([case for case in left if not is_plain(case)], MANY):
        udp.ask(some, got, SILENCE)
    return got


def chunks(cases, size):
    return (cases[at : at + size] for at in range(0, len(cases), size))


def is_plain(case):
    """Whether everybody answers."""
    return case.way in ("usual", "flags", "class")


def over_tcp(cases):
    """The same, each on a connection of its own: some make a server end it."""
    got = {server: {} for server in SERVERS}
    for case in cases:
        for server, port in SERVERS.items():
            if answer := conversation(port, case):
                got[server][answer[:2]] = answer
    return got


def conversation(port, case):
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.settimeout(PATIENCE if is_plain(case) else SOON)
        stream.sendall(struct.pack("!H", len(case.message)) + case.message)
        said = b""
        try:
            while len(said) < 2 or len(said) < 2 + int.from_bytes(said[:2], "big"):
                data = stream.recv(1 << 16)
                if not data:
                    return None
                said += data
        except (TimeoutError, ConnectionResetError):
            return None
    return said[2:]


# ---- comparing -----------------------------------------------------------------------------------------------------------


def fields(case, message):
    """What is compared of an answer. Where nothing came, or it is an error, there are no sections."""
    if message is None:
        return {"rcode": "silence"}
    try:
        answer = wire.Answer(message)
    except wire.Unreadable as why:
        return {"rcode": f"unreadable: {why}"}
    found = {"rcode": wire.RCODE.get(answer.rcode, str(answer.rcode))}
    for bit in ("qr", "aa", "tc", "rd", "ra", "z", "ad", "cd"):
        found[bit] = answer.has(bit)
    found["opcode"] = answer.flags >> 11 & 0xF
    asked = case.message[12 : 12 + len(answer.question)]
    found["question"] = "none" if not answer.question else "as asked" if answer.question == asked else "another"
    found["opt"] = answer.opt and f"size {answer.opt[0]} version {answer.opt[1]} flags {answer.opt[2]:04x} options {answer.opt[3].hex()}"
    found["repeats a record"] = answer.doubled
    found["trailing"] = answer.trailing
    if not case.tcp:
        found["too long"] = answer.length > most(case)
    if not answer.has("tc"):
        for section in ("answer", "authority", "additional"):
            found[section] = getattr(answer, section)
    return found


def most(case):
    """The most that an answer over UDP may have."""
    return 512 if not case.edns else max(512, min(case.edns[0], 1232))


def differences(case, mine, other):
    """(field, ours, theirs); where rcodes differ nothing else is compared, nor what is in sections where only one is cut."""
    if mine["rcode"] != other["rcode"]:
        return [("rcode", mine["rcode"], other["rcode"])]
    return [(field, value, other[field]) for field, value in mine.items() if field in other and value != other[field]]


class Verdict:
    def __init__(self):
        self.used, self.unlisted, self.same, self.rcodes = collections.Counter(), {}, collections.Counter(), collections.Counter()

    def judge(self, case, answers):
        mine = fields(case, answers["dnsd"])
        self.rcodes[mine["rcode"]] += 1
        for peer in ("NSD", "Knot"):
            found = differences(case, mine, fields(case, answers[peer]))
            self.same[peer] += not found
            for field, ours, theirs in found:
                reason = next((one for one in justified.TABLE if one.of(peer) and one.covers(case, field, ours, theirs)), None)
                if reason:
                    self.used[reason.name, peer] += 1
                else:
                    ours, theirs = (wire.shown(one) if isinstance(one, frozenset) else one for one in (ours, theirs))
                    self.unlisted.setdefault((peer, field, str(ours)[:12], str(theirs)[:12], case.place, case.way), []).append((case, ours, theirs))

    def tell(self):
        for (peer, field, *_), found in sorted(self.unlisted.items(), key=lambda one: -len(one[1])):
            print(f"UNLISTED  {len(found)} of {peer}: {field}")
            for case, ours, theirs in found[:SHOWN]:
                print(f"            {case}\n              dnsd {ours}\n              {peer} {theirs}\n              {case.message.hex()}")
        idle = [(one.name, peer) for one in justified.TABLE for peer in one.peers() if not self.used[one.name, peer]]
        for name, peer in idle:
            print(f"IDLE      {name}: {peer} does not differ so any more; take it out")
        for (name, peer), count in self.used.items():
            print(f"{count:7}   {peer}: {name}")
        print(f"{sum(self.rcodes.values())} questions; the same in everything: {dict(self.same)}; dnsd's answers: {dict(self.rcodes)}")
        return not self.unlisted and not idle


def main():
    if sys.argv[1:] == ["--table"]:
        print(justified.table())
        return 0
    machine, folder, document = sys.argv[1:]
    enter(machine)
    zones = questions.Zones(sorted(pathlib.Path(folder).iterdir()))
    verdict, began = Verdict(), time.monotonic()
    cases = list(questions.Asker(zones, SEED).cases(QUESTIONS))
    # Ids are 16 bits.
    for at in range(0, len(cases), 1 << 16):
        part = cases[at : at + (1 << 16)]
        for ask, some in (over_udp, [case for case in part if not case.tcp]), (over_tcp, [case for case in part if case.tcp]):
            got = ask(some)
            for case in some:
                verdict.judge(case, {server: got[server].get(case.message[:2]) for server in SERVERS})
    good = verdict.tell()
    print(f"{time.monotonic() - began:.0f} s")
    written = justified.table() in pathlib.Path(document).read_text()
    if not written:
        print(f"{document} does not hold this table:\n{justified.table()}")
    return 0 if good and written else 1


if __name__ == "__main__":
    sys.exit(main())
