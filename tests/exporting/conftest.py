"""The networks of `export_parts`, each exported once for all tests here."""

import pytest
from export_parts import ARCHITECTURES, KINDS, export, export_kind


@pytest.fixture(scope="session", params=ARCHITECTURES)
def exported(request):
    return export(request.param)


@pytest.fixture(scope="session")
def small():
    return export("small")


@pytest.fixture(scope="session", params=KINDS)
def kind(request):
    return export_kind(request.param)
