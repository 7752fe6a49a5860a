"""The three lists of dependencies agree."""

import re

import pytest
import yaml
from conftest import ROOT


def dependencies_of_the_package():
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
    return re.findall(r'"(.+?)"', block)


def test_requirements_txt_agrees_with_pyproject():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == dependencies_of_the_package()


def test_the_conda_environment_agrees_with_pyproject():
    environment = yaml.safe_load((ROOT / "rsmodel.yaml").read_text())
    assert environment["name"] == "rsmodel"
    assert environment["dependencies"][-1]["pip"] == dependencies_of_the_package()


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "Makefile", ".ci/run"])
def test_what_a_newcomer_looks_for_is_there(name):
    assert (ROOT / name).stat().st_size > 0
