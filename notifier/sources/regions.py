"""Where CSS lives: the endpoint of each region.

Huawei (SDK 3.1.219, ``CssRegion``): the host is ``css.<region>.myhuaweicloud.com``, except in two old regions. Elsewhere (Open
Telekom Cloud, a private cloud) the endpoint has to be given.
"""

from difflib import get_close_matches

_OLD_HOSTS = frozenset({"cn-north-1", "cn-east-2"})

REGIONS = _OLD_HOSTS | {
    "ae-ad-1",
    "af-north-1",
    "af-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "cn-east-3",
    "cn-east-4",
    "cn-east-5",
    "cn-north-11",
    "cn-north-12",
    "cn-north-2",
    "cn-north-4",
    "cn-north-9",
    "cn-south-1",
    "cn-south-2",
    "cn-south-4",
    "cn-southwest-2",
    "cn-southwest-3",
    "eu-west-101",
    "la-north-2",
    "la-south-2",
    "me-east-1",
    "my-kualalumpur-1",
    "na-mexico-1",
    "ru-moscow-1",
    "sa-brazil-1",
    "tr-west-1",
}


class UnknownRegionError(ValueError):
    """A region whose endpoint is not known here. ``matches`` are the known ones that look like it."""

    def __init__(self, region: str) -> None:
        self.matches = tuple(get_close_matches(region.strip().lower(), sorted(REGIONS), n=3, cutoff=0.75))
        meant = f": did you mean {' or '.join(self.matches)}?" if self.matches else "."
        super().__init__(f"unknown region {region!r}{meant} For a region that is not known here, give its `endpoint`")


def endpoint_of(region: str) -> str:
    """The URL of CSS in a region, without a closing slash.

    Raises:
        UnknownRegionError: It is not in the table; a configuration can always give the endpoint itself.
    """
    if region not in REGIONS:
        raise UnknownRegionError(region)
    service = "es" if region in _OLD_HOSTS else "css"
    return f"https://{service}.{region}.myhuaweicloud.com"
