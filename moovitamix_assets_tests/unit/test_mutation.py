"""The mutants themselves: one change each, where it matters, and the tests that may notice it."""

from moovitamix_assets_tests.mutation import ROOT, TESTS, files_testing, mutants

SOURCE = '''"""Docstring: 1 < 2."""

FROM = "SELECT 1 FROM users WHERE changed_on <= $day ORDER BY changed_on DESC"


def chosen(values: list[int], least: int = 3, *, sort: bool = True) -> list[int]:
    """Docstring."""
    if not values:
        raise ValueError(f"{1 + 1} values are too few")
    found = [value for value in values if value > least and value != 7]
    found.append(8)
    return sorted(found, reverse=sort)
'''


def made(tmp_path, lines=None):
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    return list(mutants(path, lines))


def test_each_mutant_changes_one_thing_that_counts(tmp_path):
    changes = [mutant.change.partition(": ")[2] for mutant in made(tmp_path)]
    assert sorted(changes) == sorted(
        [
            "3  ->  4",
            "True  ->  False",
            "not values  ->  values",
            "value > least  ->  value >= least",
            "value != 7  ->  value == 7",
            "7  ->  8",
            "value > least and value != 7  ->  value > least or value != 7",
            "found.append(8)  ->  None",
            "8  ->  9",
            "return sorted(found, reverse=sort)  ->  return None",
            "sorted(found, reverse=sort)  ->  sorted(found)",
            *(change for change in changes if "SELECT" in change),
        ]
    )
    assert sum("changed_on < $day" in change for change in changes) == 1
    assert sum("changed_on ASC" in change for change in changes) == 1


def test_mutants_behave_as_they_say_and_do_not_add_up(tmp_path):
    results = {}
    for mutant in made(tmp_path):
        names = {}
        exec(mutant.code, names)
        try:
            results[mutant.change.partition(": ")[2]] = names["chosen"]([3, 4, 5, 7])
        except ValueError:
            results[mutant.change.partition(": ")[2]] = "refused"
    assert results["3  ->  4"] == [8, 5]
    assert results["True  ->  False"] == [4, 5, 8]
    assert results["value > least  ->  value >= least"] == [8, 5, 4, 3]
    assert results["found.append(8)  ->  None"] == [5, 4]
    assert results["not values  ->  values"] == "refused"
    assert results["return sorted(found, reverse=sort)  ->  return None"] is None


def test_lines_may_be_chosen_and_functions_are_known(tmp_path):
    assert {mutant.change.partition(": ")[2] for mutant in made(tmp_path, {11})} == {
        "found.append(8)  ->  None",
        "8  ->  9",
    }
    assert {mutant.function for mutant in made(tmp_path, {11})} == {6}
    assert {mutant.function for mutant in made(tmp_path, {3})} == {1}


def test_the_mirror_image_of_a_module_is_run_first_then_what_imports_it_and_its_neighbours():
    tests = files_testing(ROOT / "moovitamix_assets" / "training" / "gate" / "promotion.py")
    names = [test.relative_to(ROOT / TESTS / "unit").as_posix() for test in tests]
    assert names[0] == "training/gate/test_promotion.py"
    assert "training/gate/test_candidate.py" in names
    assert "recommendations/test_top_n.py" not in names
    assert len(names) == len(set(names))
    top_n = files_testing(ROOT / "moovitamix_assets" / "recommendations" / "top_n.py")
    assert ROOT / TESTS / "unit" / "recommendations" / "test_top_n.py" in top_n
