"""What is installed, and what a newcomer looks for."""

from importlib.metadata import requires

import pytest
import yaml
from conftest import ROOT


def test_installing_brings_what_requirements_txt_lists():
    lines = {line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")}
    assert lines == {line for line in requires("plidenet") if "extra ==" not in line}


def test_the_conda_environment_has_the_name_that_the_readme_activates_and_installs_the_same():
    environment = yaml.safe_load((ROOT / "rsmodel.yaml").read_text())
    assert (environment["name"], environment["dependencies"][-1]) == ("rsmodel", {"pip": ["-r requirements.txt"]})


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "Makefile", ".ci/run"])
def test_what_a_newcomer_looks_for_is_there(name):
    assert (ROOT / name).stat().st_size > 0
