"""Learned context vectors against the transformer fed by hand, and the files they come in."""

import numpy as np
import pytest
import torch
from open_clip import SimpleTokenizer
from safetensors.torch import save_file
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from ood_toolkit.api.scorer import Prompts
from ood_toolkit.encode.images import identity
from ood_toolkit.encode.texts import text_identity
from ood_toolkit.errors import ModelError
from ood_toolkit.models.clip import check_local_dir, load_local_dir
from ood_toolkit.models.names import find_model

WIDTH, N = 16, 3
NAMES = ["tench", "great_white shark"]
VECTORS = torch.randn(N, WIDTH, generator=torch.Generator().manual_seed(2))


class Warm(LRScheduler):
    """A scheduler that holds another, as Dassl's do; its state holds that object and the optimizer behind it."""

    def __init__(self, optimizer, successor):
        self.successor = successor
        super().__init__(optimizer)

    def get_lr(self):
        return [0.1]


def dassl(path, vectors=VECTORS, **others):
    """Write a checkpoint as Dassl's trainers do, with all they leave beside the vectors."""
    learned = torch.nn.Parameter(vectors.clone())
    optimizer = torch.optim.SGD([learned], lr=0.1, momentum=0.9)
    learned.sum().backward()
    optimizer.step()
    scheduler = Warm(optimizer, CosineAnnealingLR(optimizer, 5))
    held = {"ctx": vectors, "token_prefix": torch.zeros(7, 1, WIDTH), "token_suffix": torch.zeros(7, 73, WIDTH)}
    torch.save(
        {
            "state_dict": held | others,
            "epoch": 50,
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "val_result": np.float64(3.0),
        },
        path,
    )
    return path


@pytest.fixture
def plain(folder, tiny):
    path, net = folder(tiny())
    return str(path), net


def by_hand(net, name, vectors, ending="."):
    """Put vectors between the start token and those of the name, and run the network's own transformer on them."""
    inside = SimpleTokenizer().encode(name.replace("_", " ") + ending)
    learned = len(vectors)
    tokens = torch.tensor([49406, *inside, 49407])
    embedded = net.token_embedding(tokens)
    rows = torch.cat(
        [embedded[:1], vectors, embedded[1:], net.token_embedding(torch.zeros(75 - learned - len(inside)).long())]
    )
    x = net.transformer((rows + net.positional_embedding)[None], attn_mask=net.attn_mask)
    return net.ln_final(x)[0, 1 + learned + len(inside)] @ net.text_projection


def test_texts_are_the_vectors_and_the_class_name(plain, tmp_path, registry):
    path, net = plain
    file = dassl(tmp_path / "model.pth.tar-50")
    model = find_model(f"local-dir:{path}:context={file}", registry).load()
    with torch.inference_mode():
        found = model.encode_texts(NAMES)
        for i, name in enumerate(NAMES):
            torch.testing.assert_close(found[i], by_hand(net, name, VECTORS), rtol=1e-4, atol=1e-5)
    assert (model.templates, model.learned_prompt) == (("{}",), True)
    assert model.name == f"local-dir:{path}:context={file}"


def test_vectors_of_the_words_of_a_prompt_are_that_prompt(plain, tmp_path):
    path, net = plain
    words = net.token_embedding(torch.tensor(SimpleTokenizer().encode("a photo of a"))).detach()
    np.savez(tmp_path / "ctx.npz", ctx=words.numpy())
    learned = load_local_dir(path, context=str(tmp_path / "ctx.npz")).encode_texts(["tench"])
    torch.testing.assert_close(learned, load_local_dir(path).encode_texts(["a photo of a tench."]))


@pytest.mark.parametrize("kind", ["bare", "npz", "safetensors", "parameter", "state", "whole model", "half"])
def test_files_that_hold_the_same_vectors(plain, tmp_path, kind):
    path, _ = plain
    file = tmp_path / "ctx.pt"
    match kind:
        case "bare":
            torch.save(VECTORS, file)
        case "npz":
            file = tmp_path / "ctx.npz"
            np.savez(file, ctx=VECTORS.numpy())
        case "safetensors":
            file = tmp_path / "ctx.safetensors"
            save_file({"ctx": VECTORS}, file)
        case "parameter":
            torch.save({"ctx": torch.nn.Parameter(VECTORS)}, file)
        case "state":
            torch.save({"state_dict": {"module.ctx": VECTORS}}, file)
        case "whole model":
            torch.save({"state_dict": {"prompt_learner.ctx": VECTORS, "prompt_learner.token_prefix": VECTORS}}, file)
        case "half":
            torch.save({"ctx": VECTORS.half()}, file)
    found = load_local_dir(path, context=str(file)).encode_texts(NAMES)
    wanted = load_local_dir(path, context=str(dassl(tmp_path / "model-best.pth.tar"))).encode_texts(NAMES)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-2 if kind == "half" else 0)


def test_vectors_of_each_class_go_by_its_name(plain, tmp_path):
    path, net = plain
    each = torch.stack([VECTORS, -VECTORS, 2 * VECTORS])
    file = tmp_path / "ctx.pt"
    torch.save({"ctx": each, "class_names": ["hen", "great white shark", "tench"]}, file)
    model = load_local_dir(path, context=str(file))
    with torch.inference_mode():
        found = model.encode_texts(NAMES)
        torch.testing.assert_close(found[0], by_hand(net, NAMES[0], each[2]), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[1], by_hand(net, NAMES[1], each[1]), rtol=1e-4, atol=1e-5)
    written = model.context.vectors_of(["Great-White_shark", "TENCH", "hen"])
    torch.testing.assert_close(written, torch.stack([-VECTORS, 2 * VECTORS, VECTORS]), rtol=0, atol=0)
    with pytest.raises(ModelError, match=r"its vectors are of 3 classes, and 'cat' is none of them \(1 of 2 are not\)"):
        model.encode_texts(["hen", "cat"])


def test_negprompts_positives_end_without_a_full_stop(plain, tmp_path):
    path, net = plain
    file = tmp_path / "ctx.pt"
    torch.save({"ctx_positive": VECTORS[None], "ctx_negative": torch.zeros(2, N, WIDTH)}, file)
    with torch.inference_mode():
        found = load_local_dir(path, context=str(file)).encode_texts(NAMES[:1])[0]
        torch.testing.assert_close(found, by_hand(net, NAMES[0], VECTORS, ending=""), rtol=1e-4, atol=1e-5)


def test_images_keep_their_key_and_texts_get_another(plain, tmp_path):
    path, _ = plain
    prompts = Prompts(("{}",))
    without = load_local_dir(path)
    keys = [text_identity(without, NAMES, prompts)]
    for place, vectors in enumerate((VECTORS, VECTORS + 1e-3)):
        torch.save(vectors, tmp_path / f"{place}.pt")
        model = load_local_dir(path, context=str(tmp_path / f"{place}.pt"))
        assert identity(model, "features") == identity(without, "features")
        keys.append(text_identity(model, NAMES, prompts))
    assert len({str(key) for key in keys}) == 3


class Runs:
    def __reduce__(self):
        return (print, ("something in a file was run",))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (
            {"ctx": torch.ones(3, 8)},
            r"has vectors \(3, 8\); expected \(n, 16\), or \(classes, n, 16\) with class_names",
        ),
        ({"ctx": torch.ones(WIDTH)}, r"expected 2 or 3 or 4 dimensions, got shape \(16,\)"),
        ({"ctx": torch.ones(75, WIDTH)}, r"expected from 1 to 74 vectors, for texts have 77 tokens"),
        ({"ctx": torch.ones(0, WIDTH)}, "expected from 1 to 74 vectors"),
        ({"ctx": torch.full((2, WIDTH), torch.nan)}, "vectors that are not finite"),
        ({"ctx": torch.ones(2, 3, WIDTH)}, "expected 2 different class_names in the file, got none"),
        ({"ctx": torch.ones(2, 3, WIDTH), "classes": ["a", "a"]}, r"2 different class_names .* got 2 \(1 different\)"),
        ({"ctx_positive": torch.ones(2, WIDTH)}, r"expected ctx_positive \(1, n, w\) or \(classes, 1, n, w\)"),
        ({"weights": torch.ones(2, 3)}, "expected one of ctx and ctx_positive in .*, got weights"),
        ({}, "expected one of ctx and ctx_positive in .*, got nothing"),
        (
            {"ctx": torch.ones(2, WIDTH), "meta_net.linear1.weight": torch.ones(2)},
            r"holds 1 keys beside ctx \(first meta_net.linear1.weight\); expected vectors that alone decide",
        ),
        ({"ctx": Runs()}, "holds more than tensors"),
        ({"ctx": torch.ones(2, WIDTH), "epoch": Runs()}, "holds more than tensors"),
        ({"ctx": [["a"]]}, "expected an array of numbers"),
        (3.0, "expected 2 or 3 or 4 dimensions"),
    ],
)
def test_files_that_hold_no_such_vectors(plain, tmp_path, held, message, capsys):
    torch.save(held, tmp_path / "ctx.pt")
    with pytest.raises(ModelError, match=rf"^context: [^\n]*{message}[^\n]*$"):
        load_local_dir(plain[0], context=str(tmp_path / "ctx.pt"))
    assert capsys.readouterr().out == ""


def test_a_missing_file_is_refused_before_torch(plain, tmp_path):
    with pytest.raises(ModelError, match=r"^context: no file .*none.pt; give the path of"):
        check_local_dir(plain[0], context=str(tmp_path / "none.pt"))
    (tmp_path / "ctx.txt").write_text("x")
    with pytest.raises(ModelError, match=r"^context: expected a file that ends in .*\.npz, got"):
        check_local_dir(plain[0], context=str(tmp_path / "ctx.txt"))


def test_other_text_towers_are_refused(folder, tiny, tmp_path):
    path, _ = folder(tiny(text={"pool_type": "last"}))
    torch.save(VECTORS, tmp_path / "ctx.pt")
    with pytest.raises(ModelError, match="context= is for text towers like OpenAI's CLIP, which this one is not"):
        load_local_dir(str(path), context=str(tmp_path / "ctx.pt"))
