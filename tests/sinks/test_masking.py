"""What is secret shows in nothing that a sink says of its receiver."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from notifier.sinks.posting import Mask, secrets_of

ANY = st.text(st.characters(exclude_categories=()))


@given(secret=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=4, max_size=40), before=ANY, after=ANY)
def test_a_secret_is_hidden_wherever_it_is_repeated(secret: str, before: str, after: str) -> None:
    shown = Mask([secret])(f"{before.replace(secret, '')}{secret}{after.replace(secret, '')}", 500)
    assert secret == "*" * len(secret) or secret not in shown


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-123-AbC",
        "xapp-1-A0-f00",
        "https://hooks.slack.com/services/T0/B0/x",
        "whsec_MfKQ9r8G+/=",
        "Bearer ey.J-x_y",
        "basic dXNlcg==",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "HPUAABCDEFGHIJKLMNOP",
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123",
    ],
)
def test_what_looks_like_a_secret_is_hidden_although_it_is_not_ours(secret: str) -> None:
    shown = Mask([])(f"no {secret} here", 200)
    assert secret not in shown
    assert "***" in shown
    assert Mask([])("the cluster search-prod is not known", 200) == "the cluster search-prod is not known"


def test_all_behind_a_urls_host_is_secret() -> None:
    url = URL("https://hooks.example.test/services/T0000000/B000000%201/s3cr3t-path?key=s3cr3t-query#part")
    mask = Mask(secrets_of(url))
    shown = mask(f"{url} {url.path} {url.raw_path_qs} only s3cr3t-path and s3cr3t-query, B000000 1", 500)
    assert "s3cr3t" not in shown
    assert "B000000" not in shown
