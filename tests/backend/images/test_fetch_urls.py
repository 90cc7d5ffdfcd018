"""Which URLs are downloaded at all, and the request that they become."""

import pytest
from web import PUBLIC, Web, reply

from memvr_integrations.backend.images.fetch import shown_url
from memvr_integrations.errors import ConfigError
from memvr_integrations.types.image_policy import ImagePolicy


def test_download_pins_the_checked_address_and_sends_a_plain_request():
    web = Web(reply(b"abc"))
    assert (
        web.get("https://IMG.example.org./a b.png".replace(" ", "%20") + "?x=1&y=é#top") == b"abc"
    )
    assert web.dialled == [(PUBLIC, 443, "img.example.org")]
    request = web.requests[0].split("\r\n")
    assert request[0] == "GET /a%20b.png?x=1&y=%C3%A9 HTTP/1.1"
    assert "Host: img.example.org" in request
    assert "Accept-Encoding: identity" in request
    assert not [line for line in request if line.startswith(("Cookie", "Authorization"))]


def test_environment_proxies_are_not_used(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
    web = Web(reply())
    web.get("https://img.example.org/")
    assert web.dialled == [(PUBLIC, 443, "img.example.org")]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/",
        "https://evil-img.example.org/",
        "https://img.example.org.evil.com/",
        "https://example.net/",
        "https://notexample.net/",
        "https://93.184.216.34/",
        "https://[::1]/",
        "https://2130706433/",
        "https://img.example.org:8443/",
        "https://img.example.org:22/",
        "https://img.example.org:80443/",
        "https://img.example.org:x/",
        "https://user@img.example.org/",
        "https://user:secret@img.example.org/",
        "https://evil.com\\@img.example.org/",
        "https://img.example.org\t/",
        "https://img.example.org/a b",
        "https://img.example.org/\r\nX: y",
        "https://exämple.net/",
        "https://ä.example.net/",
        "https://img.example.org\uff0f@evil.com/",
        "https://img.example.org/\udc80",
        "https:///a.png",
        "https:a.png",
        "https://[::1",
        "https://" + "a" * 70 + ".example.org/",
        "http://img.example.org/",
        "ftp://img.example.org/",
        "file:///etc/passwd",
        "gopher://img.example.org/",
        "",
    ],
)
def test_refused_urls_are_neither_resolved_nor_dialled(url):
    web = Web()
    message = web.refuses(url, "URL|http|scheme|user name|allowed_hosts")
    assert not web.resolved
    assert not web.dialled
    assert "secret" not in message
    assert "could not be downloaded" not in message


def test_refusals_say_how_to_allow():
    off = Web().refuses("https://img.example.org/a.png", "allowed_hosts", ImagePolicy())
    assert "ImagePolicy(allowed_hosts=['img.example.org'])" in off
    port = Web().refuses("https://img.example.org:8443/a.png", "allowed_hosts")
    assert "'img.example.org:8443'" in port
    assert "allow_http=True" in Web().refuses("http://img.example.org/", "plain http")


def test_messages_hide_query_and_password():
    assert shown_url("https://me:pw?x@h.org/a.png?token=1#f") == "'https://h.org/a.png'"
    assert shown_url("https://h.org/a@b") == "'https://h.org/a@b'"
    assert len(shown_url("https://h.org/" + "a" * 10_000)) < 130


@pytest.mark.parametrize(
    ("entry", "url", "dialled"),
    [
        (".example.net", "https://a.b.example.net/", ("a.b.example.net", 443)),
        ("img.example.org:8443", "https://img.example.org:8443/", ("img.example.org", 8443)),
        ("IMG.example.org", "https://img.example.org/", ("img.example.org", 443)),
        (".example.net:8443", "https://a.example.net:8443/", ("a.example.net", 8443)),
        ("[2606:4700::1]", "https://[2606:4700::1]/", ("2606:4700::1", 443)),
        ("img.example.org", "https://img.example.org:80/", ("img.example.org", 80)),
    ],
)
def test_allowed_entries(entry, url, dialled):
    web = Web(reply(), names={dialled[0]: [PUBLIC]})
    web.get(url, ImagePolicy(allowed_hosts=(entry,)))
    assert web.dialled == [(PUBLIC, dialled[1], dialled[0])]


def test_a_star_allows_every_public_host_and_no_other():
    policy = ImagePolicy(allowed_hosts=("*",))
    web = Web(reply(b"abc"), names={"anything.example": [PUBLIC]})
    assert web.get("https://anything.example/a.png", policy) == b"abc"
    inside = Web(names={"inside.example": ["10.0.0.1"]})
    inside.refuses("https://inside.example/a.png", "10.0.0.1|public|private", policy)
    Web().refuses("https://anything.example:8443/", "allowed_hosts", policy)


def test_an_entry_with_a_port_allows_that_port_alone():
    policy = ImagePolicy(allowed_hosts=("img.example.org:8443",))
    Web().refuses("https://img.example.org/", "allowed_hosts", policy)


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_hosts": "img.example.org"},
        {"allowed_hosts": "localhost"},
        {"allowed_hosts": ("",)},
        {"allowed_hosts": (".",)},
        {"allowed_hosts": ("*.example.org",)},
        {"allowed_hosts": ("https://example.org",)},
        {"allowed_hosts": ("example.org/path",)},
        {"allowed_hosts": ("user@example.org",)},
        {"allowed_hosts": ("example.org:port",)},
        {"allowed_hosts": ("exa mple.org",)},
        {"max_bytes": 0},
        {"max_pixels": -1},
        {"max_aspect": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_redirects": -1},
    ],
)
def test_policies_that_can_only_surprise_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        ImagePolicy(**settings)


def test_a_url_without_a_host_is_refused():
    Web().refuses("https:///a.png", "not a plain URL")


def test_a_host_longer_than_dns_has_is_refused_in_few_words():
    message = Web().refuses(f"https://{'a' * 5000}.example.org/", "not a plain URL")
    assert len(message) < 500


def test_plain_http_needs_its_switch_and_gets_no_tls():
    policy = ImagePolicy(allowed_hosts=("img.example.org",), allow_http=True)
    web = Web(reply(b"abc"))
    assert web.get("http://img.example.org/", policy) == b"abc"
    assert web.dialled == [(PUBLIC, 80, None)]
