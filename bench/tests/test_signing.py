"""The signer of requests that are made ahead."""

from datetime import datetime, timezone

import pytest

from comparison import signing
from comparison.signing import Signer


def test_a_signature_is_that_of_aws_test_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    # The case `get-vanilla` of AWS's Signature Version 4 test suite.
    monkeypatch.setattr(signing, "SERVICE", "service")
    signer = Signer("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "example.amazonaws.com")
    request = signer.request("GET", "/", now=datetime(2015, 8, 30, 12, 36, tzinfo=timezone.utc))
    assert "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n" in request
    assert request.startswith("GET / HTTP/1.1\r\nHost: example.amazonaws.com\r\n")
