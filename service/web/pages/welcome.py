"""The first page."""

from flask import render_template

from service.web.pages.page import page


@page("GET", "/")
def welcome() -> str:
    """Welcome a newcomer with the tutorial's story, and others with their graphs"""
    return render_template("welcome.html")
