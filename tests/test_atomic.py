"""Files that are written whole or not at all."""

import os

import pytest

from sightline.atomic import whole_file, write_text


def test_a_file_appears_whole_with_its_folders(tmp_path):
    write_text(tmp_path / "a" / "b" / "note.txt", "grüße\n")
    assert (tmp_path / "a" / "b" / "note.txt").read_text(encoding="utf-8") == "grüße\n"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["note.txt"]


def test_after_an_error_the_old_file_stays_and_nothing_is_left_over(tmp_path):
    write_text(tmp_path / "note.txt", "old")

    def write_half():
        with whole_file(tmp_path / "note.txt") as partial:
            partial.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert (tmp_path / "note.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_may_be_read_by_whom_the_system_lets_even_if_its_writer_replaced_it(tmp_path):
    (tmp_path / "plain").touch()
    with whole_file(tmp_path / "note.txt") as partial:
        other = tmp_path / "other"
        other.touch(mode=0o600)
        other.replace(partial)
    assert (tmp_path / "note.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode
