"""All pages, so that whoever serves them finds them in one place."""

from service.web.pages import administration, comparisons, guide, operations, runs, sign_in, welcome
from service.web.pages.page import register

__all__ = ["administration", "comparisons", "guide", "operations", "register", "runs", "sign_in", "welcome"]
