"""Encoders that every test of this folder may use, each built once."""

import pytest
import tiny_encoders


@pytest.fixture(scope="session")
def dino(tmp_path_factory):
    return str(tiny_encoders.dinov2(tmp_path_factory.mktemp("dino")))


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    return str(tiny_encoders.bert(tmp_path_factory.mktemp("bert")))
