"""Bank accounts: add one, list them all. A bank account is never changed."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.bank_accounts import (
    IDENTIFIERS_MAX,
    REF,
    BankAccount,
    BankAccountRefused,
    make_bank_account,
)
from hpts.domain.rejections import FieldError
from hpts.http.administration import Administration, reply_response
from hpts.http.balances import ACCOUNT_CODE
from hpts.http.messages import Request, Response, money_response
from hpts.http.parameters import Parameters
from hpts.http.payloads import CURRENCY, Body, Kind, Misfit
from hpts.http.problems import ProblemRaised
from hpts.store.admin_requests import AdminConnection, AdminReply
from hpts.store.bank_accounts import add_bank_account
from hpts.store.bank_session import Actor, BankSession, BankSessions

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class BankAccountRequest(Body, frozen=True):
    bank_account_ref: str
    account_code: str
    currency: str
    identifiers: (
        Annotated[list[Text], msgspec.Meta(min_length=1, max_length=IDENTIFIERS_MAX)] | UnsetType
    ) = UNSET


class ShownBankAccount(msgspec.Struct, frozen=True):
    bank_account_ref: str
    account_code: str
    currency: str
    identifiers: list[str]


class BankAccountList(msgspec.Struct, frozen=True):
    items: list[ShownBankAccount]


class BankAccountEndpoints:
    """Adding and listing."""

    def __init__(self, administration: Administration, sessions: BankSessions) -> None:
        self._administration = administration
        self._sessions = sessions

    async def post_bank_account(self, request: Request) -> Response:
        """Add a bank account."""
        client, actor = request.client(), actor_of(request)

        async def change(connection: AdminConnection, account: BankAccount) -> AdminReply:
            session = BankSession(connection, client.tenant_id)
            try:
                await add_bank_account(session, account, actor)
            except BankAccountRefused as refused:
                raise _refusal(refused) from refused
            return AdminReply(201, msgspec.json.encode(_shown(account)))

        return reply_response(await self._administration.post(request, ADD_BANK_ACCOUNT, change))

    async def list_bank_accounts(self, request: Request) -> Response:
        """Every bank account of the tenant, by reference."""
        Parameters(request).check()
        async with self._sessions.open(request.client().tenant_id) as session:
            accounts = await session.bank_accounts()
        found = BankAccountList([_shown(account) for account in accounts])
        return money_response(msgspec.json.encode(found))


def actor_of(request: Request) -> Actor:
    """Who asks, for the audit record."""
    return Actor(request.client().actor, request.origin)


def parse_ref(text: str) -> str:
    """A bank account's reference. Raises Misfit."""
    if not REF.fullmatch(text):
        raise Misfit(f"bank_account_ref must match ^{REF.pattern}$")
    return text


def _account(payload: BankAccountRequest) -> BankAccount:
    parse_ref(payload.bank_account_ref)
    if not ACCOUNT_CODE.fullmatch(payload.account_code):
        raise Misfit("account_code must be four digits")
    if not CURRENCY.fullmatch(payload.currency):
        raise Misfit("currency must be three letters")
    names = () if isinstance(payload.identifiers, UnsetType) else payload.identifiers
    try:
        return make_bank_account(
            payload.bank_account_ref, payload.account_code, payload.currency, names
        )
    except BankAccountRefused as refused:
        raise _refusal(refused) from refused


def _refusal(refused: BankAccountRefused) -> ProblemRaised:
    code = "bank_account_invalid"
    return ProblemRaised(code, errors=(FieldError(refused.field, code, refused.message),))


def _shown(account: BankAccount) -> ShownBankAccount:
    return ShownBankAccount(
        account.bank_account_ref,
        f"{account.account_code:04d}",
        account.currency,
        list(account.identifiers),
    )


ADD_BANK_ACCOUNT = Kind("postBankAccount", BankAccountRequest, _account)
