"""The `marmor` command's last line of defense: an error that nobody expected quotes nothing."""

import pytest

from infra import cli


CANARY = "Jeanne Testeur 1987-05-04"


def test_an_unexpected_error_says_where_and_never_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(arguments: list[str]) -> None:
        try:
            int(CANARY)
        except ValueError as error:
            raise OSError(f"cannot use {CANARY}") from error

    monkeypatch.setattr(cli, "_run", broken)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "OSError" in said.err
    assert "broken" in said.err
    assert CANARY not in said.err + said.out
    assert "Traceback" not in said.err
