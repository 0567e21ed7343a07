from infra.http import paths


def test_no_two_names_stand_for_one_path() -> None:
    named = {name: value for name, value in vars(paths).items() if name.isupper()}
    assert len(set(named.values())) == len(named) >= 6
    assert all(path.startswith("/") and not path.endswith("/") for path in named.values())
