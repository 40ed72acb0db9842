"""Where the program can be looked at, and by whom."""

from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import SecretStr, model_validator

from notifier.config.fields import Endpoint, Shape, Token
from notifier.config.part import Part
from notifier.config.refusals import refused


class HttpSettings(Part):
    """Where the status page, the API and the metrics are. Without a token they are on loopback only.

    Attributes:
        token: Who has it may do everything.
        read_token: Who has it may look and change nothing.
        url: Under which people reach the status page, behind a proxy say; messages link to it if it is given.
    """

    listen: Annotated[str, Shape(r"(?:\[[0-9a-fA-F:.]+\]|[^:\s/]*):\d{1,5}", "host:port such as 127.0.0.1:8080")] = (
        "127.0.0.1:8080"
    )
    token: Token | None = None
    read_token: Token | None = None
    url: Endpoint | None = None

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen.rpartition(":")[0].strip("[]") or "0.0.0.0"  # noqa: S104 - only with a token, see below

    @property
    def port(self) -> int:
        """The port; 0 takes any."""
        return int(self.listen.rpartition(":")[2])

    @property
    def tokens(self) -> tuple[str | None, str | None]:
        """The token and the read token, in the clear."""
        return _clear(self.token), _clear(self.read_token)

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.port > 65535:  # noqa: PLR2004 - the largest there is
            raise refused("there is no port above 65535")
        try:
            local = self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            local = False
        if not local and self.token is None:
            raise refused("others can reach this address, so it needs a token", 'write token: "${NOTIFIER_TOKEN}" beside it')
        if self.read_token is not None and self.token is None:
            raise refused("read_token goes with token", 'write token: "${NOTIFIER_TOKEN}" beside it')
        if self.read_token is not None and self.read_token == self.token:
            raise refused("read_token is the same as token", "give it a value of its own, or leave it out")
        return self


def _clear(token: SecretStr | None) -> str | None:
    return None if token is None else token.get_secret_value()
