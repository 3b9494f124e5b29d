"""That the other tests would hear what they listen for."""

import pytest

from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_axe_hears_of_a_field_without_a_label(browser, live_server):
    visitor = Visitor(browser, live_server.url, [], bypass_csp=True)
    visitor.go("/admin/login/")
    assert visitor.barriers() == []
    visitor.page.evaluate("document.querySelector('label').remove()")
    assert [finding.split(":")[0] for finding in visitor.barriers()] == ["label (critical)"]
    visitor.context.close()


@pytest.mark.parametrize(
    ("misdeed", "heard"),
    [
        ("document.body.setAttribute('style', 'color: red')", "Content Security Policy"),
        (
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
            "Content Security",
        ),
        ("fetch('http://127.0.0.2:9/').catch(() => 0)", "127.0.0.2:9"),
        (
            "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.2:9/x.png'}))",
            "127.0.0.2:9",
        ),
        ("console.error('Oh no')", "Oh no"),
        ("setTimeout(() => { throw new Error('Oh dear') })", "Oh dear"),
        ("fetch('/nowhere')", "404"),
    ],
)
def test_a_page_that_misbehaves_is_heard(browser, live_server, misdeed, heard):
    complaints = []
    visitor = Visitor(browser, live_server.url, complaints)
    visitor.go("/admin/login/")
    assert complaints == []
    visitor.page.evaluate(misdeed)
    visitor.page.wait_for_timeout(200)
    visitor.context.close()
    assert heard in " ".join(complaints)
