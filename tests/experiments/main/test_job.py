from __future__ import annotations

from striate.experiments.main.job import units_of


def test_a_unit_per_system_and_seed_says_what_it_is_made_of() -> None:
    def run(settings: object, context: object) -> dict[str, float]:
        return {}

    systems = {"auto": {}, "random filters": {"learner": "random"}}
    units = units_of(run, systems, (7, 8), {"architecture": "auto"}, expected_seconds=5.0)
    assert [unit.name for unit in units][:3] == ["auto, seed 7", "auto, seed 8", "random filters, seed 7"]
    assert units[-1].settings == {
        "system": "random filters", "options": {"learner": "random"}, "seed": 8, "architecture": "auto",
    }  # fmt: skip
