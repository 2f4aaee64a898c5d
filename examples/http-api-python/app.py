"""A small JSON API behind a function URL: routes, query strings, bodies, cookies."""

import base64
import json
from urllib.parse import unquote

GREETINGS = {"de": "Guten Tag", "en": "Good day", "fr": "Bonjour", "zh": "你好"}


def answer(status, document, cookies=()):
    """An HTTP answer with a JSON body."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json; charset=utf-8"},
        "cookies": list(cookies),
        "body": json.dumps(document, ensure_ascii=False),
    }


def index(event):
    """GET /: what there is."""
    return answer(200, {"routes": [f"{method} {path}" for method, path in ROUTES]})


def greet(event, name):
    """GET /greet/{name}?language=fr"""
    language = event.get("queryStringParameters", {}).get("language", "en")
    if language not in GREETINGS:
        return answer(400, {"error": f"language must be one of {', '.join(sorted(GREETINGS))}"})
    return answer(200, {"greeting": f"{GREETINGS[language]}, {name}!"})


def total(event):
    """POST /sum with {"numbers": [...]}"""
    body = event.get("body", "")
    text = base64.b64decode(body) if event["isBase64Encoded"] else body
    try:
        numbers = json.loads(text)["numbers"]
        return answer(200, {"sum": sum(numbers), "count": len(numbers)})
    except (KeyError, TypeError, ValueError):
        return answer(400, {"error": 'the body must be {"numbers": [1, 2, …]}'})


def visits(event):
    """GET /visits: counts in a cookie, for instances come and go."""
    known = dict(cookie.split("=", 1) for cookie in event.get("cookies", []) if "=" in cookie)
    count = int(known["visits"]) + 1 if known.get("visits", "").isdigit() else 1
    return answer(200, {"visits": count}, [f"visits={count}; Path=/; HttpOnly; SameSite=Lax"])


ROUTES = {
    ("GET", "/"): index,
    ("GET", "/greet/{name}"): greet,
    ("POST", "/sum"): total,
    ("GET", "/visits"): visits,
}


def match(pattern, path):
    """The values of a pattern's labels, or None when the path does not fit."""
    wanted, given = pattern.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    pairs = list(zip(wanted, given, strict=True))
    if any(expected != found for expected, found in pairs if not expected.startswith("{")):
        return None
    return [unquote(found) for expected, found in pairs if expected.startswith("{")]


def handler(event, context):
    """Finds the route of a request (payload format 2.0) and answers."""
    method = event["requestContext"]["http"]["method"]
    methods = []
    for (known, pattern), route in ROUTES.items():
        labels = match(pattern, event["rawPath"])
        if labels is not None and known == method:
            return route(event, *labels)
        if labels is not None:
            methods.append(known)
    if methods:
        return answer(405, {"error": f"use {', '.join(methods)}"})
    return answer(404, {"error": f"no such path: {event['rawPath']}"})
