"""What a client or a relay does on a wire, with scapy as the codec: nothing here shares code with dhcpd.

A Port is one interface of one network namespace. It sends whole frames and hears whole frames, so that addresses of every
layer can be judged. It answers ARP for the addresses that its machines hold.
"""

import ctypes
import os
import select
import socket
import time

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

EVERYBODY = "ff:ff:ff:ff:ff:ff"
#: How long an answer may take on a busy machine.
ANSWER = 3.0
#: How long silence is listened to: more than twice the 400 ms that dhcpd gives a packet.
SILENCE = 1.0

_CLONE_NEWNET = 0x40000000
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_PROMISC = 263, 1, 1
_PACKET_OUTGOING = 4
_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33


class Namespace:
    """Sockets opened inside belong to the namespace for ever."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._enter(os.open(f"/run/netns/{self.name}", os.O_RDONLY))

    def __exit__(self, *_):
        self._enter(self.home)

    @staticmethod
    def _enter(handle):
        failed = ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET)
        os.close(handle)
        if failed:
            raise OSError(ctypes.get_errno(), "setns: root may enter a namespace")


class Port:
    """An interface in a namespace."""

    def __init__(self, namespace, interface):
        with Namespace(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            self.socket.bind((interface, 0))
            index = socket.if_nametoindex(interface)
        self.mac = self.socket.getsockname()[4].hex(":")
        everything = index.to_bytes(4, "little") + _PACKET_MR_PROMISC.to_bytes(2, "little") + bytes(10)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, everything)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)  # answers to all of a table at once
        self.holds = {}  # address -> MAC of the machine that has it

    def send(self, frame):
        self.socket.send(bytes(frame))

    def hear(self, seconds):
        """Frames that arrive until then."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                return
            data, (_, _, kind, *_) = self.socket.recvfrom(65535)
            if kind == _PACKET_OUTGOING:
                continue
            frame = Ether(data)
            if ARP in frame:
                self._resolve(frame[ARP])
            else:
                yield frame

    def _resolve(self, question):
        mac = self.holds.get(question.pdst)
        if question.op == 1 and mac:
            answer = ARP(op=2, hwsrc=mac, psrc=question.pdst, hwdst=question.hwsrc, pdst=question.psrc)
            self.send(Ether(src=mac, dst=question.hwsrc) / answer)

    def find(self, address, asking):
        """The MAC that answers for an address."""
        question = ARP(op=1, hwsrc=self.mac, psrc=asking, pdst=address)
        self.send(Ether(src=self.mac, dst=EVERYBODY) / question)
        end = time.monotonic() + ANSWER
        while time.monotonic() < end:
            self.socket.settimeout(ANSWER)
            frame = Ether(self.socket.recv(65535))
            if ARP in frame and frame[ARP].op == 2 and frame[ARP].psrc == address:
                self.socket.settimeout(None)
                return frame[ARP].hwsrc
        raise SystemExit(f"nobody answers for {address}")

    def answers(self, xids, seconds):
        """The replies to these transactions, by xid, as they come; ends when each has one, or when time is over."""
        open_ones, found = set(xids), {}
        for frame in self.hear(seconds):
            reply = reply_of(frame)
            if reply is None or reply.xid not in xids:
                continue
            found.setdefault(reply.xid, []).append(frame)
            open_ones.discard(reply.xid)
            if not open_ones:
                break
        return found


def message_of(frame):
    """The BOOTP message in a frame, whatever ports it has (RFC 8357)."""
    inside = frame[UDP].payload
    return inside if isinstance(inside, BOOTP) else BOOTP(bytes(inside))


def reply_of(frame):
    """The reply in a frame; None: something else."""
    if UDP not in frame or frame[UDP].sport != 67:
        return None
    bootp = message_of(frame)
    return bootp if bootp.op == 2 else None


def options_of(bootp):
    """scapy's list of a message's options, in the order of the wire: (name or code, value...) or a bare name."""
    return bootp[DHCP].options if DHCP in bootp else []


def option(bootp, name):
    """An option's value; several values are a list; None: it is not there."""
    for one in options_of(bootp):
        if isinstance(one, tuple) and one[0] == name:
            return one[1] if len(one) == 2 else list(one[1:])
    return None


def payload(header, options, raw=None, cookie=b"\x63\x82\x53\x63"):
    """A message; `raw` replaces everything behind the cookie."""
    message = BOOTP(**({"op": 1} | header))
    if raw is not None:
        return message / Raw(cookie + raw)
    return message / DHCP(options=[*options, "end"])


def hardware(mac):
    """chaddr: scapy wants sixteen bytes."""
    return bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")


def datagram(source, destination, ports, message):
    """A frame: source and destination are (MAC, address)."""
    return (
        Ether(src=source[0], dst=destination[0])
        / IP(src=source[1], dst=destination[1])
        / UDP(sport=ports[0], dport=ports[1])
        / message
    )


def sums_are_right(frame):
    """Whether the IP and UDP checksums of a frame are what scapy makes of its contents."""
    again = frame.copy()
    del again[IP].chksum
    del again[UDP].chksum
    again = Ether(bytes(again))
    return (again[IP].chksum, again[UDP].chksum) == (frame[IP].chksum, frame[UDP].chksum)
