"""Why a document cannot be priced: one exception that carries a code."""


class NotPriceable(Exception):
    """A CDR or Session, or its Tariff, is such that no price can be given.

    Codes: `invalid_input`, `no_tariff`, `no_valid_tariff`, `unknown_tariff_id`, `currency_mismatch`,
    `time_zone_unknown`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid(field: str, rule: str) -> NotPriceable:
    """Return the error for a member that breaks a rule."""
    return NotPriceable("invalid_input", f"{field}: {rule}")
