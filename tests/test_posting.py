"""Posting to addresses that others have named: which are refused, how long it may take, and who gets it."""

import ipaddress
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as some

from approvals import posting
from approvals.mailing import MaybeSent, NotSent
from approvals.posting import is_allowed, post
from tests.servers import BREAK, DRIP, HANG, Receiver, free_port

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
# Addresses that are nobody's, from which no answer would come.
OUTSIDE = ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")
INSIDE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "198.18.0.1", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "fe80::1", "fe80::1%1", "fc00::1", "fd00:ec2::254", "fec0::1",
    "ff02::1", "ff0e::1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2001:0:7f00:1::", "2001:db8::1",
)  # fmt: skip


def to(url, **how):
    arguments = {"timeout": 2, "inside": LOOPBACK, "quote": 20} | how
    return post(url, b'{"a":1}', {"webhook-id": "msg_1"}, **arguments)


def refused(url, error=NotSent, **how):
    with pytest.raises(error) as caught:
        to(url, **how)
    return caught.value


@pytest.fixture
def names(monkeypatch):
    """`names[name] = [answer, ...]`: what each resolution of it gives, each a list of addresses; the last for
    ever. `names.asked` counts. Other names are resolved as they are."""

    class Names(dict):
        asked = 0

    given, resolve = Names(), socket.getaddrinfo

    def look_up(host, port, **how):
        if host not in given:
            return resolve(host, port, **how)
        given.asked += 1
        answers = given[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [found for address in addresses for found in resolve(address, port, **how)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return given


# ---- which addresses


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_the_network_is_refused(address):
    assert not is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_public_internet_is_allowed(address):
    assert is_allowed(ipaddress.ip_address(address), ())


@given(some.ip_addresses(v=4))
def test_wrapping_an_address_into_ipv6_changes_nothing_about_it(address):
    mapped = ipaddress.ip_address(f"::ffff:{address}")
    translated = ipaddress.IPv6Address(int(ipaddress.ip_address("64:ff9b::")) | int(address))
    assert is_allowed(mapped, ()) == is_allowed(translated, ()) == is_allowed(address, ())


@given(some.ip_addresses(v=4))
def test_only_the_networks_that_are_named_are_allowed_beside_the_internet(address):
    network = ipaddress.ip_network("10.20.0.0/16")
    assert is_allowed(address, (network,)) == (is_allowed(address, ()) or address in network)


def test_nothing_is_sent_to_a_receiver_inside_the_network():
    receiver = Receiver()
    with receiver.running() as url:
        refusal = refused(url, inside=())
    assert "127.0.0.1 is inside the network" in refusal.detail
    assert refusal.permanent
    assert receiver.requests == []


@pytest.mark.parametrize("host", ["localhost", "0x7f.1", "2130706433", "0", "[::1]", "[::ffff:127.0.0.1]"])
def test_no_way_of_writing_loopback_reaches_it(host):
    receiver = Receiver()
    with receiver.running() as url:
        refused(url.replace("127.0.0.1", host), inside=())
    assert receiver.requests == []


def test_a_name_with_one_address_inside_is_refused_whatever_its_others(names):
    names["mixed.example"] = [["8.8.8.8", "10.0.0.1"]]
    assert "10.0.0.1 is inside" in refused("https://mixed.example/").detail


def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked(names):
    """DNS rebinding: the first answer passes the check, every later one would not."""
    receiver = Receiver()
    with receiver.running() as url:
        names["rebinding.example"] = [["127.0.0.1"], ["169.254.169.254"]]
        answer = to(url.replace("127.0.0.1", "rebinding.example"))
    assert answer.status == 200
    assert names.asked == 1
    [(_, headers, _)] = receiver.requests
    assert headers["Host"].startswith("rebinding.example:")


def test_without_tls_nothing_goes_to_the_internet(names):
    names["public.example"] = [["8.8.8.8"]]
    assert "without TLS" in refused("http://public.example/").detail


def test_an_address_that_does_not_answer_gives_way_to_the_next(names):
    receiver = Receiver()
    with receiver.running() as url:
        names["two.example"] = [["127.7.7.7", "127.0.0.1"]]
        assert to(url.replace("127.0.0.1", "two.example")).status == 200


# ---- how long


@pytest.mark.parametrize("how", [HANG, DRIP])
def test_all_of_it_together_takes_no_longer_than_its_time(how):
    receiver = Receiver(answer=how)
    with receiver.running() as url:
        began = time.monotonic()
        refused(url, MaybeSent, timeout=0.5)
        assert time.monotonic() - began < 1.5
    assert len(receiver.requests) == 1


def test_a_name_that_is_never_resolved_takes_no_longer_either(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *place, **how: time.sleep(3))
    began = time.monotonic()
    assert "was not resolved in time" in refused("https://slow.example/", timeout=0.2).detail
    assert time.monotonic() - began < 1.5


# ---- what comes back


def test_the_answer_is_quoted_and_not_read_to_its_end():
    receiver = Receiver(says=b"x" * 10_000_000)
    with receiver.running() as url:
        answer = to(url)
    assert (answer.status, answer.excerpt) == (200, b"x" * 20)


def test_a_redirect_is_an_answer_like_any_other():
    receiver = Receiver(answer=307, headers={"Location": "/elsewhere"})
    with receiver.running() as url:
        assert to(url).status == 307
    assert len(receiver.requests) == 1


def test_a_receiver_that_breaks_off_may_have_taken_it():
    receiver = Receiver(answer=BREAK)
    with receiver.running() as url:
        refused(url, MaybeSent)


def test_what_is_not_there_was_sent_nothing():
    assert not refused(f"http://127.0.0.1:{free_port()}/").permanent
    assert not refused("https://no-such-host.invalid/").permanent


# ---- over TLS


@pytest.fixture
def secure(tmp_path, monkeypatch):
    """`with secure(certificate for, trusted=...) as (receiver, port): ...`: a receiver over TLS."""
    if not shutil.which("openssl"):
        pytest.skip("makes its certificates with openssl")

    @contextmanager
    def run(name, *, trusted=True):
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-nodes", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        command += ["-days", "1", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate) if trusted else "/dev/null")
        posting._tls.cache_clear()
        receiver = Receiver(tls=context)
        with receiver.running() as url:
            yield receiver, url.split(":")[2]
        posting._tls.cache_clear()

    return run


def test_over_tls_the_certificate_of_the_name_is_asked_for(secure, names):
    names["hooks.example"] = [["127.0.0.1"]]
    with secure("hooks.example") as (receiver, rest):
        assert to(f"https://hooks.example:{rest}").status == 200
    [(_, headers, _)] = receiver.requests
    assert headers["Host"].startswith("hooks.example:")


def test_a_receiver_whose_certificate_is_of_another_name_gets_nothing(secure, names):
    names["hooks.example"] = [["127.0.0.1"]]
    with secure("other.example") as (receiver, rest):
        refusal = refused(f"https://hooks.example:{rest}")
    assert "certificate" in refusal.detail
    assert receiver.requests == []


def test_a_receiver_whose_certificate_nobody_vouches_for_gets_nothing(secure, names):
    names["hooks.example"] = [["127.0.0.1"]]
    with secure("hooks.example", trusted=False) as (receiver, rest):
        refusal = refused(f"https://hooks.example:{rest}")
    assert "certificate" in refusal.detail
    assert receiver.requests == []


@pytest.mark.parametrize("how", [HANG, DRIP])
def test_over_tls_it_takes_no_longer_either(secure, names, how):
    names["hooks.example"] = [["127.0.0.1"]]
    with secure("hooks.example") as (receiver, rest):
        receiver.answer = how
        began = time.monotonic()
        refused(f"https://hooks.example:{rest}", MaybeSent, timeout=0.5)
        assert time.monotonic() - began < 1.5
