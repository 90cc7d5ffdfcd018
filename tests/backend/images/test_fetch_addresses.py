"""From a host's name to an address: the public ones alone, and each resolved once."""

import socket

import pytest
from web import HOSTS, PUBLIC, Web, redirect, reply

from memvr_integrations.backend.images import fetch
from memvr_integrations.backend.images.fetch import is_public
from memvr_integrations.errors import ImageError


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254"),
        *("ff02::1", "ff0e::1", "fec0::1", "2001:db8::1", "::127.0.0.1", "100::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::"),
        *("2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    ],
)
def test_addresses_that_are_not_public_are_never_dialled(address):
    assert not is_public(address)
    for addresses in ([address], [PUBLIC, address], [address, PUBLIC]):
        web = Web(names={"img.example.org": addresses})
        message = web.refuses("https://img.example.org/", "not a public address")
        assert address in message
        assert not web.dialled


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_dialled(address):
    assert Web(reply(), names={"img.example.org": [address]}).get("https://img.example.org/")


def test_dns_rebinding_cannot_move_the_connection():
    web = Web(reply(), names={"img.example.org": [[PUBLIC], ["127.0.0.1"]]})
    web.get("https://img.example.org/")
    assert web.resolved == ["img.example.org"]
    assert web.dialled[0][0] == PUBLIC


def test_dns_rebinding_between_redirects_is_caught():
    web = Web(
        redirect("https://img.example.org/b"), names={"img.example.org": [[PUBLIC], ["127.0.0.1"]]}
    )
    web.refuses("https://img.example.org/a", "not a public address")
    assert len(web.dialled) == 1


def test_the_second_address_is_tried_when_the_first_is_dead():
    web = Web(
        ConnectionRefusedError(), reply(b"abc"), names={"img.example.org": ["8.8.8.8", PUBLIC]}
    )
    assert web.get("https://img.example.org/") == b"abc"
    assert [address for address, _, _ in web.dialled] == ["8.8.8.8", PUBLIC]


def test_the_resolver_gives_every_address(monkeypatch):
    answers = [(2, 1, 6, "", (PUBLIC, 443)), (10, 1, 6, "", ("::1", 443, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert fetch.resolve_host("img.example.org", 443, timeout=1) == [PUBLIC, "::1"]


@pytest.mark.parametrize("problem", [socket.gaierror("unknown"), UnicodeError("label too long")])
def test_a_failing_resolver_is_an_image_error(monkeypatch, problem):
    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ImageError, match="could not be downloaded"):
        fetch.download("https://img.example.org/", HOSTS)


def test_a_host_without_addresses_is_an_image_error():
    Web(names={"img.example.org": []}).refuses("https://img.example.org/", "has no address")
