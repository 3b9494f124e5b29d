"""The channel email against mail servers on loopback that accept, refuse, hang and break off."""

import email
import email.policy

import pytest

from journeys.executors import MaybeSent, NotSent, Receipt, send_email
from tests.servers import BREAK, HANG, free_port

PAYLOAD = {
    "recipient": "ops@northwind.example",
    "sender": "Customer Success <success@cjo.example>",
    "reply_to": "desk@cjo.example",
    "subject": "Shall we look at it together? – für Sie",
    "body": "Hello,\n\n.a line that begins with a dot\nEin Gruß\n",
}


def arrived(envelope):
    return email.message_from_bytes(envelope.content, policy=email.policy.default)


def not_sent(payload=PAYLOAD):
    with pytest.raises(NotSent) as caught:
        send_email(payload, "iv-1")
    return caught.value


def test_exactly_what_was_approved_arrives_and_nothing_else(mailbox):
    assert send_email(PAYLOAD, "iv-1") == Receipt("The mail system accepted it.")
    [envelope] = mailbox.envelopes
    assert envelope.mail_from == "success@cjo.example"
    assert envelope.rcpt_tos == ["ops@northwind.example"]
    message = arrived(envelope)
    assert message["From"] == PAYLOAD["sender"]
    assert message["To"] == PAYLOAD["recipient"]
    assert message["Reply-To"] == PAYLOAD["reply_to"]
    assert message["Subject"] == PAYLOAD["subject"]
    assert message.get_content().replace("\r\n", "\n") == PAYLOAD["body"]
    assert not {"Cc", "Bcc"} & set(message.keys())


def test_every_attempt_carries_the_same_message_id(mailbox):
    send_email(PAYLOAD, "iv-1")
    send_email(PAYLOAD, "iv-1")
    send_email(PAYLOAD, "iv-2")
    ids = [arrived(envelope)["Message-ID"] for envelope in mailbox.envelopes]
    assert ids == ["<iv-1@cjo.example>", "<iv-1@cjo.example>", "<iv-2@cjo.example>"]


def test_without_a_reply_to_none_is_set(mailbox):
    send_email(PAYLOAD | {"reply_to": ""}, "iv-1")
    assert arrived(mailbox.envelopes[0])["Reply-To"] is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("subject", "Hello\nBcc: everybody@northwind.example"),
        ("recipient", "ops@northwind.example\nBcc: everybody@northwind.example"),
        ("recipient", "ops@northwind.example, everybody@northwind.example"),
        ("recipient", "nobody at all"),
        ("recipient", "grüße@northwind.example"),
        ("recipient", ""),
        ("reply_to", "desk@cjo.example\r\nX-Other: 1"),
    ],
)
def test_what_cannot_be_addressed_safely_goes_nowhere_for_good(mailbox, field, text):
    refusal = not_sent(PAYLOAD | {field: text})
    assert refusal.permanent
    assert mailbox.envelopes == []


def test_a_server_that_is_not_there_was_sent_nothing(mail_to):
    mail_to(free_port())
    refusal = not_sent()
    assert not refusal.permanent
    assert "not reached" in refusal.detail


@pytest.mark.parametrize("how", [BREAK, HANG, "421 too busy", "554 go away"])
@pytest.mark.parametrize("where", ["GREETING", "EHLO", "MAIL", "RCPT"])
def test_whatever_goes_wrong_before_the_message_nothing_was_sent(bad_mail_server, where, how):
    with bad_mail_server(**{where: how, "HELO": how} if where == "EHLO" else {where: how}) as server:
        refusal = not_sent()
        assert server.messages == []
    # A server that says a final no to this very mail is believed; one that is merely broken is tried again.
    assert refusal.permanent == (how.startswith("554") and where in ("MAIL", "RCPT"))


@pytest.mark.parametrize(
    ("script", "permanent"),
    [
        ({"DATA": "554 no"}, True),
        ({"DATA": "451 later"}, False),
        ({"MESSAGE": "550 it is spam"}, True),
        ({"MESSAGE": "452 the disk is full"}, False),
    ],
)
def test_a_refused_message_was_not_sent(bad_mail_server, script, permanent):
    with bad_mail_server(**script):
        refusal = not_sent()
    assert refusal.permanent is permanent
    assert "refused" in refusal.detail


@pytest.mark.parametrize("how", [BREAK, HANG, "what?", "999 odd", "354 more"])
def test_a_server_that_gives_no_plain_answer_to_the_message_may_have_taken_it(bad_mail_server, how):
    with bad_mail_server(MESSAGE=how) as server, pytest.raises(MaybeSent):
        send_email(PAYLOAD, "iv-1")
    assert len(server.messages) == 1


@pytest.mark.parametrize("how", [BREAK, HANG, "500 what?"])
def test_what_was_accepted_is_sent_even_if_the_server_says_no_good_bye(bad_mail_server, how):
    with bad_mail_server(QUIT=how) as server:
        assert send_email(PAYLOAD, "iv-1")
    assert len(server.messages) == 1


def test_a_login_that_is_refused_is_tried_again_because_it_can_be_mended(mailbox, settings):
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "cjo", "wrong"
    assert not not_sent().permanent
    assert mailbox.envelopes == []


def test_mail_into_files_is_written_whole(settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    send_email(PAYLOAD, "iv-1")
    [file] = tmp_path.iterdir()
    assert b"To: ops@northwind.example" in file.read_bytes()


def test_a_folder_for_mail_that_cannot_be_written_is_a_failure_to_send(settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "file"
    settings.EMAIL_FILE_PATH.write_text("")
    assert not not_sent().permanent
