"""The proof of confinement."""

import pytest

from comparison.wuwei import NAMESPACES, NotConfinedError, check_confinement, namespace_of


def seen(**changed: str) -> dict[str, object]:
    status = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0000000000000000"} | changed
    lines = "".join(f"{name}:\t{value}\n" for name, value in status.items())
    return {"status": lines, "namespaces": {kind: f"{kind}:[1]" for kind in NAMESPACES}}


def test_a_confined_function_passes_the_probe() -> None:
    check_confinement("f", seen())


@pytest.mark.parametrize(("name", "value"), [("Seccomp", "0"), ("NoNewPrivs", "0"), ("CapEff", "000001ffffffffff")])
def test_a_function_that_lacks_one_part_of_its_sandbox_ends_the_run(name: str, value: str) -> None:
    with pytest.raises(NotConfinedError, match=f"`f` is not confined: {name} is {value}"):
        check_confinement("f", seen(**{name: value}))


@pytest.mark.parametrize("kind", NAMESPACES)
def test_a_function_in_a_namespace_of_the_host_ends_the_run(kind: str) -> None:
    probed = seen()
    probed["namespaces"] |= {kind: namespace_of("self", kind)}  # type: ignore[operator]
    with pytest.raises(NotConfinedError, match=f"its {kind} namespace is the host's"):
        check_confinement("f", probed)
