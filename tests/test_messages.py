import pytest

from bayesops._messages import first_line, warn_user


def test_warnings_point_to_the_line_of_the_caller():
    with pytest.warns(UserWarning, match="^something$") as caught:
        warn_user("something")
    assert caught[0].filename == __file__


def test_code_without_a_module_is_warned_as_well():
    with pytest.warns(UserWarning, match="^something$"):
        exec("warn_user('something')", {"warn_user": warn_user})


def test_first_line():
    assert first_line(ValueError("one\ntwo")) == "ValueError: one"
    assert first_line(KeyError()) == "KeyError"
