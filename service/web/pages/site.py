"""All pages, so that whoever serves them finds them in one place."""

from service.web.pages import guide, runs, sign_in, welcome
from service.web.pages.page import register

__all__ = ["guide", "register", "runs", "sign_in", "welcome"]
