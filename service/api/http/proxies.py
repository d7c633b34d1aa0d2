"""Whom a request comes from, and at which address it was asked: what a proxy says of both, if it is one of ours.

Anybody can send `X-Forwarded-Host`, and a proxy hands on what it was sent unless it is told otherwise. So the headers
count only from the addresses that the setting GRADBOOK_PROXIES lists.
"""

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.middleware.proxy_fix import ProxyFix

from service.settings import Network

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication


def believe(application: "WSGIApplication", proxies: tuple[Network, ...]) -> "WSGIApplication":
    """The application, told by these proxies what the client, the scheme and the host are, by each the last of them."""
    if not proxies:
        return application
    told = ProxyFix(application, x_for=1, x_proto=1, x_host=1)

    def choose(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        chosen = told if _is_among(environ["REMOTE_ADDR"], proxies) else application
        return chosen(environ, start_response)

    return choose


def _is_among(client: str, proxies: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address  # a socket of IPv6 says ::ffff:127.0.0.1
    return any(plain in network for network in proxies)
