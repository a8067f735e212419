import open_clip
import pytest
from open_clip.pretrained import _PRETRAINED

from ood_toolkit.errors import ModelError
from ood_toolkit.models import pretrained
from ood_toolkit.models.pretrained import Hub, architectures, config_of, is_offline, known_tag, tag_config, tags_of


def test_the_table_read_without_open_clip_is_open_clips():
    names = [(a, t) for a in [*architectures(), *_PRETRAINED] for t in tags_of(a)]
    assert set(names) == set(open_clip.list_pretrained())
    assert {a: dict(tags_of(a)) for a in _PRETRAINED} == _PRETRAINED


def test_the_configurations_read_without_open_clip_are_open_clips():
    assert set(architectures()) == set(open_clip.list_models())
    for name in ("ViT-B-32", "ViT-B-16-SigLIP", "RN50-quickgelu"):
        assert config_of(name) == open_clip.get_model_config(name)


def test_tags_are_known_in_both_spellings():
    assert tag_config("ViT-B-32", "laion2b-s34b-b79k") is tags_of("ViT-B-32")["laion2b_s34b_b79k"]
    assert tag_config("ViT-B-32", "none") is None
    assert tag_config("nothing", "openai") is None


def test_files_are_known_by_the_hashes_in_addresses():
    openai = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
    assert known_tag("ViT-B-32", openai) == known_tag("ViT-B-32-quickgelu", openai) == "openai"
    assert known_tag("ViT-B-32", "46683a32" + "0" * 56) == "laion400m_e32"
    assert known_tag("ViT-B-16", openai) is None


def test_an_unknown_architecture_has_a_nearest():
    with pytest.raises(ModelError, match="unknown open_clip architecture 'ViT-B-31'; did you mean 'ViT-B-32'"):
        config_of("ViT-B-31")


def test_the_cache_is_where_the_hub_and_torch_have_it(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pretrained.hub_cache() == tmp_path / ".cache" / "huggingface" / "hub"
    assert pretrained.torch_cache() == tmp_path / ".cache" / "torch" / "hub" / "checkpoints"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert pretrained.hub_cache() == tmp_path / "x" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "h"))
    assert pretrained.hub_cache() == tmp_path / "h" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "c"))
    assert pretrained.hub_cache() == tmp_path / "c"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "t"))
    assert pretrained.torch_cache() == tmp_path / "t" / "hub" / "checkpoints"


def test_a_cached_file_is_found_the_preferred_name_first(hub_cache):
    snapshot = hub_cache("org/repo", {"b.bin": b"", "a.safetensors": b""})
    assert Hub().file("org/repo", ["a.safetensors", "b.bin"], "it", "else") == snapshot / "a.safetensors"
    assert Hub().file("org/repo", ["c", "b.bin"], "it", "else") == snapshot / "b.bin"


def test_nothing_is_downloaded_unasked(hub_cache, monkeypatch):
    with pytest.raises(ModelError, match=r"^it: not on this machine.*pass --download to get it from .*org/repo, or X$"):
        Hub().file("org/repo", ["c"], "it", "X")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
        Hub(download=True).file("org/repo", ["c"], "it", "X")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert not is_offline()
    assert Hub(download=True, fetch=False).file("org/repo", ["c"], "it", "X") is None


def test_a_download_tries_each_name_and_says_why_it_failed(hub_cache, monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    monkeypatch.delenv("HF_HUB_OFFLINE")
    asked = []

    def download(repository, name, cache_dir):
        asked.append((repository, name))
        if name == "a":
            raise EntryNotFoundError("no a")
        if name == "bad":
            raise ConnectionError("no\nroute")
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert Hub(download=True).file("org/repo", ["a", "b"], "it", "X") == tmp_path / "b"
    assert asked == [("org/repo", "a"), ("org/repo", "b")]
    with pytest.raises(ModelError, match="it: cannot be downloaded from org/repo: no route"):
        Hub(download=True).file("org/repo", ["bad"], "it", "X")
    with pytest.raises(ModelError, match="the repository org/repo has none of a"):
        Hub(download=True).file("org/repo", ["a"], "it", "X")
