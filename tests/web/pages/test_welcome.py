"""The first page: the tutorial's story, told from the service's own findings."""

import re

from flask.testing import FlaskClient

OWN = {"Origin": "http://localhost"}


def test_a_newcomer_sees_the_story_and_is_led_to_the_first_step(client: FlaskClient) -> None:
    text = client.get("/").text
    marked = re.findall(r'class="node \w+ (\w+)[^"]*" role="listitem" data-node="(\w)"', text)
    assert dict((node, verdict) for verdict, node in marked) == dict.fromkeys("fd", "origin") | dict.fromkeys(
        "abce", "inherited"
    )
    assert "was taken for" in text
    led = client.post("/tutorial", headers=OWN)
    assert led.status_code == 303
    assert led.headers["Location"].endswith("#step=1")
    again = client.post("/tutorial", headers=OWN)  # what is there is not made twice
    assert again.headers["Location"] == led.headers["Location"]
    assert led.headers["Location"] in client.get("/").text
