from __future__ import annotations

from loadtest.profile.reference import markdown
from loadtest.profile.shelf import shipped_profiles


def test_readme_of_the_profiles_holds_the_keys_of_the_schema() -> None:
    readme = (shipped_profiles()["smoke"].parent / "README.md").read_text()
    assert readme.endswith(markdown())


def test_table_names_every_kind_of_fault_and_its_choices() -> None:
    text = markdown()
    assert '### `[[faults]]` with `kind = "command"`' in text
    assert "### `[faults.http]`" in text
    assert '| `strategy` | `"all-at-once"` |' in text
    assert "One of `all-at-once`, `rolling`, `blue-green`." in text
    assert "| `duration` | required |" in text
