#!/usr/bin/python3
"""dhcpd beside Kea: the same requests to both, and every difference must have its reason.

    kea.py --inventory                  what SMD must hold
    kea.py --config                     Kea's configuration, made from the same
    kea.py ask CLIENT RELAY FILE        asks whoever serves, writes the answers down
    kea.py compare DHCPD KEA DOCUMENT   compares two such files; the document's table must be that of justified.py
    kea.py --table                      that table
"""

import collections
import json
import pathlib
import sys
import time

import asked
import justified
import scene
import wire
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

#: Pause between two requests: neither server is to be measured here.
PACE = 0.001
#: What is compared of an answer, beside its options.
OPTIONS = {
    1: "subnet_mask", 3: "router", 6: "name_server", 12: "hostname", 15: "domain", 17: "root_disk_path", 43: "vendor_specific",
    51: "lease_time", 52: "dhcp-option-overload", 54: "server_id", 56: "error_message", 58: "renewal_time", 59: "rebinding_time", 60: "vendor_class_id",
    61: "client_id", 66: "tftp_server_name", 67: "boot-file-name", 82: "relay_agent_information", 97: "pxe_client_machine_identifier",
    118: "subnet-selection", 175: 175,
}
NAMES = {number: name for name, number in scene.KINDS.items()}


def kea_configuration():
    known = [case.machine for case in asked.cases() if case.is_known]
    server = scene.SERVER

    def subnet(number, network, router):
        return {
            "id": number,
            "subnet": f"{network}.0.0/16",
            "option-data": [{"name": "routers", "data": router}],
            "reservations": [
                {"hw-address": one.mac, "ip-address": one.ip, "option-data": [{"name": "host-name", "data": one.fqdn}]}
                for one in known
                if one.ip.startswith(network + ".")
            ],
        }

    def loader(name, test, file):
        return {
            "name": name,
            "test": test,
            "boot-file-name": file,
            "option-data": [
                {"name": "boot-file-name", "data": file},
                {"name": "tftp-server-name", "data": server},
                {"name": "vendor-class-identifier", "data": "PXEClient"},
            ],
        }

    return {
        "Dhcp4": {
            "interfaces-config": {"interfaces": ["srv0"], "dhcp-socket-type": "raw"},
            "lease-database": {"type": "memfile", "persist": False},
            "valid-lifetime": 3600,
            "calculate-tee-times": True,
            "t1-percent": 0.5,
            "t2-percent": 0.875,
            "authoritative": False,
            "match-client-id": False,
            "next-server": server,
            "reservations-in-subnet": True,
            "reservations-out-of-pool": True,
            "option-data": [
                {"name": "domain-name-servers", "data": server},
                {"name": "domain-name", "data": scene.DOMAIN},
                {"name": "root-path", "data": server},
            ],
            "client-classes": [
                loader("uefi", "option[93].hex == 0x0007 and not (option[77].hex == 'iPXE')", "ipxe-x86_64.efi"),
                loader("bios", "option[93].hex == 0x0000 and not (option[77].hex == 'iPXE')", "undionly.kpxe"),
            ],
            "subnet4": [subnet(1, asked.NEAR, "172.16.0.254"), subnet(2, asked.BEYOND, scene.RELAY)],
            "loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]}],
        }
    }


def ask(client, relay, file):
    """Grants leases to those that are to have one, then asks everything."""
    places = scene.Places(client, relay)
    cases = list(asked.cases())
    bound = [case for case in cases if case.is_bound]
    for kind, more in (("discover", {}), ("request", {"server": scene.SERVER})):
        messages = []
        for case in bound:
            requested = case.machine.ip if kind == "request" else None
            way = "relayed" if case.message.way == "relayed" else "direct"
            messages.append(scene.Message(kind, case.machine, way=way, requested=requested, **more))
        got = everything(places, messages)
        missing = [message.machine.mac for message in messages if message.xid not in got]
        if missing:
            raise SystemExit(f"no lease for {len(missing)} of {len(messages)} machines, the first is {missing[0]}")
    got = everything(places, [case.message for case in cases])
    answers = {case.name: normal(case, got.get(case.message.xid)) for case in cases}
    assert len(answers) == len(cases), "two cases bear one name"
    pathlib.Path(file).write_text(json.dumps(answers))


def everything(places, messages):
    """Sends all of them without waiting for answers, which it hears meanwhile: by xid. What is not answered is sent once more, as
    clients do: a packet may be lost where hundreds come at once."""
    found = {}
    for _ in range(2):
        waiting = [message for message in messages if message.xid not in found]
        send(places, waiting, found)
    return found


def send(places, messages, found):
    waiting = {message.xid for message in messages}

    def hear(seconds):
        for port in (places.client, places.up):
            for frame in port.hear(seconds):
                reply = wire.reply_of(frame)
                if reply is not None and reply.xid in waiting:
                    found.setdefault(reply.xid, frame)

    for message in messages:
        places.send(message)
        hear(PACE)
    quiet = time.monotonic() + wire.SILENCE
    while not waiting <= found.keys() and time.monotonic() < quiet:
        before = len(found)
        hear(0.05)
        if len(found) > before:
            quiet = time.monotonic() + wire.SILENCE


def normal(case, frame):
    """An answer with what is the machine's own in place of its values."""
    if frame is None:
        return {"kind": "silence"}
    reply, own = wire.reply_of(frame), case.machine

    def words(value):
        if isinstance(value, bytes):
            value = value.decode("latin-1").rstrip("\0") if value.rstrip(b"\0").isascii() else value.hex()
        return str(value).replace(own.fqdn, "NAME").replace(own.ip, "OWN").replace(own.mac, "MAC")

    answer = {"kind": NAMES[wire.option(reply, "message-type")]}
    for name in ("yiaddr", "ciaddr", "siaddr", "giaddr", "hops", "secs", "htype", "hlen"):
        answer[name] = words(getattr(reply, name))
    answer["300_bytes"] = str(len(bytes(frame[UDP].payload)) >= 300)
    answer["flags"] = str(int(reply.flags))
    answer["file"] = words(bytes(reply.file).split(b"\0")[0])
    # An address that several machines say they have may be any of theirs.
    hardware = "everybody" if frame[Ether].dst == wire.EVERYBODY else "MAC" if frame[Ether].dst.startswith("02:7") else "relay"
    answer["to"] = f"{hardware} {words(frame[IP].dst)}:{frame[UDP].dport}"
    for code, name in OPTIONS.items():
        value = wire.option(reply, name)
        if value is not None:
            answer[str(code)] = words(value)
    if "relay_agent_information" in (names := [one[0] for one in wire.options_of(reply) if isinstance(one, tuple)]):
        answer["82_is_last"] = str(names[-1] == "relay_agent_information")
    return answer


def differences(ours, keas):
    """(case, field, ours, Kea's); where the kinds differ nothing else is compared."""
    for case in asked.cases():
        mine, other = ours[case.name], keas[case.name]
        if mine["kind"] != other["kind"]:
            yield case, "kind", mine["kind"], other["kind"]
            continue
        for field in sorted(mine.keys() | other.keys()):
            if mine.get(field) != other.get(field):
                yield case, field, mine.get(field), other.get(field)


def compare(ours, keas, document):
    ours, keas = (json.loads(pathlib.Path(file).read_text()) for file in (ours, keas))
    used = collections.Counter()
    unlisted = []
    for found in differences(ours, keas):
        reason = next((one for one in justified.TABLE if one.covers(*found)), None)
        if reason:
            used[reason.name] += 1
        else:
            unlisted.append(found)
    for case, field, mine, other in unlisted:
        print(f"UNLISTED  {case.name}: {field}: dhcpd {mine!r}, Kea {other!r}")
    idle = [one.name for one in justified.TABLE if not used[one.name]]
    for name in idle:
        print(f"IDLE      {name}: nothing differs so any more; take it out")
    for name, count in used.items():
        print(f"{count:5}     {name}")
    same = sum(ours[name] == keas[name] for name in ours)
    kinds = collections.Counter(answer["kind"] for answer in ours.values())
    print(f"{len(ours)} requests, {same} answers the same in everything; dhcpd's: {dict(kinds)}")
    written = justified.table() in pathlib.Path(document).read_text()
    if not written:
        print(f"{document} does not hold this table:\n{justified.table()}")
    return 1 if unlisted or idle or not written else 0


def main():
    match sys.argv[1:]:
        case ["--inventory"]:
            json.dump(scene.inventory([case.machine for case in asked.cases() if case.is_known]), sys.stdout)
        case ["--config"]:
            json.dump(kea_configuration(), sys.stdout)
        case ["--table"]:
            print(justified.table())
        case ["ask", client, relay, file]:
            ask(client, relay, file)
        case ["compare", ours, keas, document]:
            return compare(ours, keas, document)
        case _:
            sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
