"""The lab's network: the host is "outside", the guest is a machine behind one router hop.

    host: bridge jbbN 10.77.N.1 fdXX::1 ──veth── netns jbN:   host0 (the container guest, 10.77.N.2)
                                        └─veth── netns jbNvm: br0 ── tap0 (the QEMU guest, 10.77.N.2)

Only one of the two guests runs at a time: they have the same address.
"""
import json

from lab_common import run

METADATA4 = "169.254.169.254"
METADATA6 = "fd00:ec2::254"
METADATA_PORT = 8169


def plan(instance):
    """Names and addresses of an instance."""
    return {
        "netns": f"jb{instance}",
        "netns_vm": f"jb{instance}vm",
        "bridge": f"jbb{instance}",
        "table": f"jblab{instance}",
        "mac_host": f"02:4a:42:00:{instance:02x}:01",
        "mac_guest": f"02:4a:42:00:{instance:02x}:02",
        "host4": f"10.77.{instance}.1",
        "guest4": f"10.77.{instance}.2",
        "net4": f"10.77.{instance}.0/24",
        "host6": f"fd77:0:0:{instance:x}::1" if instance else "fd77::1",
        "guest6": f"fd77:0:0:{instance:x}::2" if instance else "fd77::2",
        "net6": f"fd77:0:0:{instance:x}::/64" if instance else "fd77::/64",
    }


def ruleset(net):
    """The instance's own nftables table: the way out, and the metadata addresses that lead to the lab's server.

    Where bridged packets pass through the host's connection tracking, port scans of the machine would fill its table,
    and the kernel would drop packets of every lab: what stays in the lab's network is not tracked.
    """
    bridge, host4, host6 = net["bridge"], net["host4"], net["host6"]
    return f"""
table inet {net['table']}
delete table inet {net['table']}
table inet {net['table']} {{
    chain untracked {{
        type filter hook prerouting priority raw
        iifname "{bridge}" ip saddr {net['net4']} ip daddr {net['net4']} ip daddr != {host4} notrack
        iifname "{bridge}" ip6 saddr {net['net6']} ip6 daddr {net['net6']} ip6 daddr != {host6} notrack
    }}
    chain way_out {{
        type nat hook postrouting priority srcnat
        ip saddr {net['net4']} oifname != "{bridge}" masquerade
        ip6 saddr {net['net6']} oifname != "{bridge}" masquerade
    }}
    chain metadata {{
        type nat hook prerouting priority dstnat
        iifname "{bridge}" ip daddr {METADATA4} tcp dport 80 dnat ip to {host4}:{METADATA_PORT}
        iifname "{bridge}" ip daddr {METADATA4} meta l4proto {{ tcp, udp }} th dport 53 dnat ip to {host4}:53
        iifname "{bridge}" ip6 daddr {METADATA6} tcp dport 80 dnat ip6 to [{host6}]:{METADATA_PORT}
        iifname "{bridge}" ip6 daddr {METADATA6} meta l4proto {{ tcp, udp }} th dport 53 dnat ip6 to [{host6}]:53
    }}
}}
"""


def exists(net):
    """Whether the network stands already."""
    known = {entry["name"] for entry in json.loads(run("ip", "-json", "netns", "list").stdout or "[]")}
    return net["netns"] in known and net["netns_vm"] in known and run("ip", "link", "show", net["bridge"], check=False).returncode == 0


def up(net):
    """Makes namespaces, bridge, addresses, routes and the nftables table; does nothing where they stand."""
    if not exists(net):
        down(net)
        bridge, guest, vm = net["bridge"], net["netns"], net["netns_vm"]
        run("ip", "link", "add", bridge, "address", net["mac_host"], "type", "bridge")
        run("ip", "address", "add", f"{net['host4']}/24", "dev", bridge)
        run("ip", "address", "add", f"{net['host6']}/64", "dev", bridge, "nodad")
        run("ip", "link", "set", bridge, "up")
        namespace(guest, "host0", bridge, net["mac_guest"])
        namespace(vm, "uplink", bridge)
        run("ip", "-n", vm, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", vm, "tuntap", "add", "tap0", "mode", "tap")
        for device in ("uplink", "tap0"):
            run("ip", "-n", vm, "link", "set", device, "master", "br0")
        for device in ("uplink", "tap0", "br0"):
            run("ip", "-n", vm, "link", "set", device, "up")
    run("nft", "-f", "-", input=ruleset(net))
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        run("sysctl", "-q", "-w", f"{name}=1")


def namespace(name, device, bridge, mac=None):
    """A new network namespace with one cable to the bridge. The guest's end keeps its hardware address, as a machine's does:
    with another one it would stay unreachable until neighbours forget the old."""
    run("ip", "netns", "add", name)
    run("ip", "link", "add", f"{name}v", "type", "veth", "peer", "name", device, *(("address", mac) if mac else ()), "netns", name)
    run("ip", "link", "set", f"{name}v", "master", bridge, "up")
    run("ip", "-n", name, "link", "set", "lo", "up")


def remove(name):
    """Takes a namespace away; its cable first, for the kernel takes a namespace apart only some time after it was deleted."""
    run("ip", "link", "delete", f"{name}v", check=False)
    run("ip", "netns", "delete", name, check=False)


def fresh(net):
    """A new namespace for the container guest. A killed guest leaves its firewall rules and bridges in the old one, where they
    would make a firewall that never loaded look as if it had."""
    remove(net["netns"])
    namespace(net["netns"], "host0", net["bridge"], net["mac_guest"])


def down(net):
    """Takes away what `up` made."""
    run("nft", "delete", "table", "inet", net["table"], check=False)
    for name in (net["netns"], net["netns_vm"]):
        remove(name)
    run("ip", "link", "delete", net["bridge"], check=False)


def route_into_guest(net, prefix):
    """Lets the outside try a subnet behind the guest (Docker's), as a neighbour on the provider's network could."""
    via = net["guest6"] if ":" in prefix else net["guest4"]
    run("ip", "route", "replace", prefix, "via", via, "dev", net["bridge"])
