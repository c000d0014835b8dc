"""Flask-Session: a session over several requests, its new name, and its end."""

import os

import flask
import redis
from flask_session import Session

app = flask.Flask("session_app")
app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.Redis.from_url(os.environ["APP_URL"]))
Session(app)


@app.get("/count")
def count():
    flask.session["count"] = flask.session.get("count", 0) + 1
    return str(flask.session["count"])


@app.get("/renew")
def renew():
    app.session_interface.regenerate(flask.session)
    return "renewed"


@app.get("/end")
def end():
    flask.session.clear()
    return "ended"


def work():
    client = app.test_client()
    assert [client.get("/count").text for _ in range(3)] == ["1", "2", "3"]
    assert client.get("/renew").text == "renewed" and client.get("/count").text == "4"
    assert client.get("/end").text == "ended" and client.get("/count").text == "1"
