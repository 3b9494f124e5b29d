"""What a token can be made for. Each app registers its scopes, with what each one lets a program do; a scope
that is not registered is refused."""

_SCOPES: dict[str, str] = {}


def register(scopes: dict[str, str]) -> None:
    _SCOPES.update(scopes)


def known() -> dict[str, str]:
    """Every scope with its sentence, by name."""
    return dict(sorted(_SCOPES.items()))


DECIDE = "approvals:decide"

register(
    {
        "approvals:read": "read requests with their evidence, and decisions",
        DECIDE: "approve, reject, claim and revoke, in a person's own name",
        "audit:read": "read the trail",
    }
)
