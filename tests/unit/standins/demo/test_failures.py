"""What ends a demo is told in the words of whoever noticed it, however many task groups lie between."""

import pytest

from standins.demo.__main__ import _leaves, _told


def test_an_error_inside_of_groups_is_told_once_and_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    inner = ExceptionGroup("tasks", [TimeoutError("nobody said “Hello”"), ExceptionGroup("more", [TimeoutError()])])
    errors = list(_leaves(ExceptionGroup("tasks", [inner, TimeoutError("nobody said “Hello”")])))
    assert _told(errors) == 1
    assert capsys.readouterr().err.splitlines() == [
        "demo: nobody said “Hello”; the logs are under .run",
        "demo: somebody waited in vain; the logs are under .run",
    ]
