import stat

import pytest

from downup.files import remove_parts, replace_file


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, write)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_rights(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")

    def write(temporary):
        temporary.unlink()
        temporary.touch(0o600)

    replace_file(tmp_path / "file", write)

    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_left_over_parts_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".last.safetensors.12.part").touch()
    (tmp_path / "kept.part").touch()
    remove_parts(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["kept.part"]
