"""What is counted by several statements is counted as it was at one moment."""

import pytest

from journeys.models import Customer
from journeys.reports.one_moment import one_moment
from tests.acting import together
from tests.portfolios import a_customer

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_others_write_meanwhile_is_not_seen_and_they_do_not_wait():
    a_customer()
    with one_moment():
        assert Customer.objects.count() == 1
        assert not [answer for answer in together(a_customer) if isinstance(answer, Exception)]
        assert Customer.objects.count() == 1
    assert Customer.objects.count() == 2


def test_it_ends_where_something_breaks():
    with pytest.raises(LookupError), one_moment():
        raise LookupError
    a_customer()
    assert Customer.objects.count() == 1
