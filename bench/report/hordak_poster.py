"""Posts two-leg transactions through django-hordak, as its documentation shows. Needs no HPTS.

Usage: hordak_poster.py prepare | hordak_poster.py post START_AT SECONDS
The database is the one that PGHOST, PGPORT, PGUSER and PGDATABASE name. START_AT is a Unix time,
so that several processes count the same seconds. Prints one line of JSON.
"""

import json
import os
import sys
import time
from importlib.metadata import version

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="a benchmark signs nothing",
    DEBUG=False,  # or Django would keep every query
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "mptt",
        "hordak",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["PGDATABASE"],
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
            "CONN_MAX_AGE": None,
        }
    },
    DEFAULT_CURRENCY="USD",
    HORDAK_INTERNAL_CURRENCY="USD",
    HORDAK_CURRENCIES=["USD"],
    HORDAK_DECIMAL_PLACES=2,
    HORDAK_MAX_DIGITS=20,
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from hordak.models import Account, AccountType, Leg, Transaction  # noqa: E402
from moneyed import Money  # noqa: E402

CASH, RECEIVABLE = "Cash", "Principal receivable"
TRIGGERS = (
    "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'hordak_leg'::regclass AND NOT tgisinternal"
)


def prepare() -> str:
    """Migrate, make two accounts, and say what this runs on."""
    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS)
        if cursor.fetchone()[0] == 0:
            sys.exit("hordak's migrations made no trigger that checks balances")
    for code, name in enumerate((CASH, RECEIVABLE), start=1):
        Account.objects.create(
            name=name, code=str(code), type=AccountType.asset, currencies=["USD"]
        )
    names = ("django-hordak", "Django", "psycopg")
    return ", ".join(f"{name} {version(name)}" for name in names)


def post(start_at: float, seconds: float) -> int:
    """Post until the time is over; how many transactions."""
    cash = Account.objects.get(name=CASH)
    receivable = Account.objects.get(name=RECEIVABLE)
    amount = Money("1.00", "USD")
    if time.time() > start_at:
        sys.exit("this process was ready too late to count the same seconds as the others")
    time.sleep(start_at - time.time())
    count = 0
    while time.time() < start_at + seconds:
        with transaction.atomic():
            payment = Transaction.objects.create(description="payment")
            Leg.objects.create(transaction=payment, account=receivable, credit=amount)
            Leg.objects.create(transaction=payment, account=cash, debit=amount)
        count += 1
    return count


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        print(prepare())
    elif len(sys.argv) == 4 and sys.argv[1] == "post":
        print(json.dumps({"transactions": post(float(sys.argv[2]), float(sys.argv[3]))}))
    else:
        sys.exit(__doc__)
