"""The page: made from what a run kept, and from nothing else."""

import json
from pathlib import Path
from typing import Any

from comparison import report
from comparison.arms import Block, Label, Measured

DOCS = Path(__file__).resolve().parents[2] / "docs"


def group() -> Measured:
    labels = [Label("python", "bare", False, None), Label("wuwei-python", "wuwei", True, None)]
    labels.append(Label("wuwei-python-after-pause", "wuwei, after 200 ms", True, None))
    found = Measured("cold-python", "Cold start: Python", "A note.", "python", "p50_ns", labels)
    told = ["queue=10us;init=1ms"]
    found.blocks = {
        "python": [Block.of_samples([10_000_000, 11_000_000, 12_000_000])] * 3,
        "wuwei-python": [Block.of_samples([1_000_000, 2_000_000, 9_000_001], 5.0, told)] * 3,
        "wuwei-python-after-pause": [Block.of_samples([3_300_000] * 3, 5.0, told)] * 3,
    }
    return found


def document(*, whole: bool) -> dict[str, Any]:
    return {
        "quick": False,
        "facts": {"Date": "today"},
        "patience_s": 30,
        "notes": "",
        "absent": {"peer": "not installed"},
        "memory": [["wuwei: server", 1048576]],
        "syscalls": [{"side": "server", "total": 3.0, "by_name": [["read", 2.0], ["write", 1.0]]}],
        "groups": [group().raw(whole=whole)],
    }


def test_the_page_is_the_same_with_and_without_the_single_times() -> None:
    pages = {report.page(json.loads(json.dumps(document(whole=whole)))) for whole in (True, False)}
    assert len(pages) == 1
    assert len(json.dumps(document(whole=False))) < len(json.dumps(document(whole=True)))


def test_the_table_of_goals_is_computed_from_the_sections() -> None:
    page = report.page(document(whole=False))
    assert (
        "| Python cold invoke over HTTP ÷ `python3 -I -S -c pass` | ≤ 0.35 | ≤ 0.1 | 0.300 (after 200 ms) "
        "| 0.300-0.300 | **yes** | no |" in page
    )
    assert "| ≤ 0.2 | ≤ 0.08 | `cold-node` was not part of the run |  | ? | ? |" in page


def test_a_section_has_its_ratios_tails_and_phases() -> None:
    page = report.page(document(whole=False))
    assert "| wuwei | 2.00 ms | 9.01 ms | 0.182 (0.181-0.182) | 5.00 ns |" in page
    assert "|  | queue | init |" in page and "| wuwei | 10.0 µs | 1.00 ms |" in page


def test_the_published_page_is_that_of_its_data() -> None:
    for data in DOCS.glob("benchmarks*.json"):
        assert data.with_suffix(".md").read_text() == report.page(json.loads(data.read_text()))
