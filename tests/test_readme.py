"""The two READMEs say the same: the same commands, the same settings, the same sections."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGLISH = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()


def commands(text: str) -> list[str]:
    """Lines of the shell blocks, without their comments."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [re.sub(r"\s+#.*$", "", line).strip() for line in lines]


def test_both_show_the_same_commands() -> None:
    assert len(commands(ENGLISH)) > 8
    assert commands(CHINESE) == commands(ENGLISH)


def test_both_have_the_same_sections_and_tables() -> None:
    def shape(text: str) -> list[str]:
        return re.findall(r"^(?:#+|\|---)", text, re.MULTILINE)

    assert shape(CHINESE) == shape(ENGLISH)


def test_both_name_the_same_settings_variables_and_files() -> None:
    def names(text: str) -> set[str]:
        return set(re.findall(r"`((?:[a-z]+_[a-z_]+|[A-Z]+_[A-Z_]+|--[a-z-]+(?:=\w+)?))`", text))

    assert {"keep_alive_s", "WUWEI_DATA_DIR"} <= names(ENGLISH)
    assert names(CHINESE) == names(ENGLISH)
