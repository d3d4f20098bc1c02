"""API keys: made, stored as hashes, read, and needed where others could ask."""

import json

import pytest

from moovitamix_serving.access.keys import ApiKeys, KeysUnusable, add_key, read_keys, require_keys


def test_a_key_is_known_by_its_hash_alone(tmp_path):
    file = tmp_path / "keys.json"
    reader, admin = add_key(file, "page", "read"), add_key(file, "operator", "admin")
    keys = read_keys(file)
    assert (keys.scope_of(reader.encode()), keys.scope_of(admin.encode())) == ("read", "admin")
    assert [keys.scope_of(wrong) for wrong in (b"", reader[:-1].encode(), b"\xff")] == [None] * 3
    assert reader not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_two_keys_have_two_names(tmp_path):
    add_key(tmp_path / "keys.json", "page", "read")
    with pytest.raises(KeysUnusable, match="a key named page"):
        add_key(tmp_path / "keys.json", "page", "admin")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"keys": []}', '{"keys": [{"name": "a"}]}',
     json.dumps({"keys": [{"name": "a", "scope": "all", "digest": "0" * 64}]}),
     json.dumps({"keys": [{"name": "a", "scope": "read", "digest": "plain"}]})],
)  # fmt: skip
def test_a_file_without_usable_keys_lets_nobody_in_in_silence(tmp_path, content):
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(KeysUnusable, match=str(file)):
        read_keys(file)


def test_a_file_that_is_named_and_gone_is_refused(tmp_path):
    with pytest.raises(KeysUnusable, match="MOOVITAMIX_API_KEYS_FILE"):
        read_keys(tmp_path / "keys.json")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_this_machine_needs_no_keys(host):
    require_keys(ApiKeys([]), host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.7", "api.example.org"])
def test_other_machines_need_keys(tmp_path, host):
    with pytest.raises(KeysUnusable, match="moovitamix api-key"):
        require_keys(ApiKeys([]), host)
    add_key(tmp_path / "keys.json", "page", "read")
    require_keys(read_keys(tmp_path / "keys.json"), host)
