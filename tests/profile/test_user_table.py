from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.errors import UsageError
from loadtest.profile.user_table import UserTable


def test_rows_are_taken_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text('\ufefftoken, name\nt0,"Ada, L."\n\nt1,Bob\n', encoding="utf-8")
    table = UserTable.read(path)
    assert table.columns == ("token", "name")
    assert len(table) == 2
    assert table.row(0) == {"token": "t0", "name": "Ada, L."}
    assert table.row(3) == {"token": "t1", "name": "Bob"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 rows"),
        (b"token\n", "1 rows"),
        (b"token,token\na,b\n", 'column "token"'),
        (b"index\n1\n", "taken by a built-in"),
        (b"a b\n1\n", 'column "a b"'),
        (b"a,b\n1,2\n3\n", "row 3 has 1 values; the header names 2"),
        (b"\xff\xff\n", "cannot read"),
        (b'a\n"unclosed\n', "cannot read"),
    ],
)
def test_tables_that_make_no_sense_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "users.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        UserTable.read(path)
    assert said in str(caught.value)
    assert "users.csv" in str(caught.value)


def test_missing_table_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.csv: No such file"):
        UserTable.read(tmp_path / "absent.csv")
