"""The cases: which commands are run one after another in one folder, and what of it is looked at afterwards."""

from __future__ import annotations

from dataclasses import dataclass

LISTS = ("scorers", "combiners", "datasets", "models", "plugins", "published", "negatives")
FORMATS = ("table", "json", "csv", "markdown", "latex")
PROTOCOLS = ("openood-v1.5", "pytorch-ood", "mcm", "clipn", "knn-ood", "vim")
VECTORS = "shared/embeddings/openai_clip_vit_b32"
LOGITS = "shared/logits/resnet_cifar10"
LIBRARY = ("names", "outputs", "numbers", "scorers", "benches", "detectors", "conformance", "errors")
TINY = "digits-clip:weights=tiny.safetensors"


@dataclass(frozen=True)
class Case:
    """Commands with one record: `oodkit ...`, `library CASE`, or `python -m ...`."""

    name: str
    steps: tuple[str, ...]
    shows: tuple[str, ...] = ()
    """Files and folders whose content is part of the record."""
    plugins: str = ""
    """Folders of plugins, relative ones being of the inputs; `installed` for those of this project."""
    fresh: bool = False
    """Whether its commands are always processes from their start: they are light, or stand for all others."""
    needs_data: bool = False
    """Whether it reads the folder of real data."""


def case(name: str, *steps: str, **more: object) -> Case:
    """Make a case of command lines of `oodkit`, unless a line begins with another program."""
    whole = tuple(step if step.startswith(("library ", "python ")) else f"oodkit {step}" for step in steps)
    return Case(name, whole, **more)  # type: ignore[arg-type]


LISTINGS = (
    case("listings", *(f"{name}{form}" for name in LISTS for form in ("", " --json")), fresh=True),
    case("listings-with-plugins", "plugins", "plugins --json", "scorers", "models", "combiners --json", "--help",
         plugins="installed", fresh=True),
    case("listings-of-sets", *(f"datasets show {name}" for name in ("digits", "letters --json", "cifar10",
         "imagenet-1k", "folder:pictures", "npz:images.npz", "webdataset:shard.tar", "only:digits:one+two"))),
    case("published", "published ust-etri", "published imagenet1k-mos --method gl-mcm", "published imagenet-o --json",
         "published preset.toml", "published openood-imagenet1k --method nothing", fresh=True),
    case("other-modules", "python -m ood_toolkit.train.digits_clip --help", "python -m ood_toolkit.train.shapes --help",
         "--version", "store path", fresh=True),
)  # fmt: skip
EMBEDDED = (
    case("bench-default", "bench --output run-default", "bench", shows=("run-default",), fresh=True),
    case("reports", *(f"report run-default --format {form}" for form in FORMATS),
         *(f"report run-default --protocol {name}" for name in PROTOCOLS),
         "report run-default --ci --ci-replicates 50 --paired",
         "report run-default --paired --against best --format json", fresh=True),
    case("bench-all", "bench --scorers all --limit 120 --format json --output run-all", "report run-all",
         shows=("run-all",)),
    case("bench-formats", *(f"bench --scorers msp,classwise --limit 40 --format {form}" for form in FORMATS[2:])),
    case("bench-groups", "bench --scorers clip --limit 50 --ood near=letters --ood far=patches,letters --format json"),
    case("bench-intervals", "bench --scorers msp,mcm,classwise --limit 90 --ci --ci-replicates 60 --paired "
         "--against mcm --output run-ci", "report run-ci --format json", shows=("run-ci",)),
    case("bench-tune", "bench --scorers knn,gen,odin --tune patches --ood letters --limit 80 --format json"),
    case("bench-full-spectrum", "bench --scorers msp,classwise,adaneg --csid folder:negatives --ood letters --limit 60 "
         "--model digits-clip --negatives words.txt --output run-csid", shows=("run-csid",)),
    case("bench-combiners", "bench --id only:digits:one+two+three --id without:digits:one+two+three "
         "--scorers msp,classwise --combiners all --ood letters --limit 90 --output run-pair", shows=("run-pair",)),
    case("bench-models", f"bench --model digits-clip --model {TINY} --scorers msp,mcm --limit 30 --output run-models",
         "compare run-models --against msp --ci-replicates 40", shows=("run-models",)),
    case("bench-texts", "bench --scorers neglabel:share=0.5:groups=2,csp,cma,tanl,adaneg --negatives words.txt "
         "--limit 40 --format json", "bench --scorers eoe,lsn,negprompt --texts outliers=words.txt "
         "--texts negatives=words.txt --limit 40", "negatives", "negatives --json"),
    case("bench-prompts", "bench --scorers msp,mcm --prompts prompts.txt --recipe mean-then-normalise --limit 30",
         "bench --scorers msp,classwise --prompts own --recipe average-scores --limit 30 --seed 3",
         "bench --scorers msp --prompts openai --val-split 0 --limit 20 --batch-size 8",
         "bench --id folder:pictures --ood patches --model local-dir:clip --precision bf16 --scorers msp --limit 8"),
    case("bench-preset", "bench --preset preset.toml --output run-preset", "report run-preset --protocol native",
         shows=("run-preset",)),
    case("bench-seminar", "bench --preset ust-etri --on embedded --output run-seminar",
         "report run-seminar", "report run-seminar --format markdown", shows=("run-seminar/result.json",)),
    case("compare", "bench --scorers msp,mcm --seed 1 --limit 100 --output run-1",
         "bench --scorers msp,mcm --seed 1 --limit 100 --prompts simple --output run-2",
         *(f"compare run-1 run-2 --ci-replicates 40 --format {form}" for form in FORMATS),
         "compare run-1 run-2 --spread", "compare run-1 run-2 --spread --protocol mcm --format json",
         "compare run-1 --against mcm --scorers msp", "compare run-1 run-default"),
    case("score", "score classwise --id digits --limit 20", "score knn:k=3 --id digits --split val --limit 9",
         "score mcm --id digits --limit 12 --output scores.csv", shows=("scores.csv",)),
)  # fmt: skip
PICTURES = (
    case("encode", "encode digits letters --split all --limit 30", "encode digits --keep local --keep pre_projection "
         "--texts-of digits --limit 10", "encode digits letters --split all --limit 30",
         "encode folder:torn --model digits-clip", "encode folder:torn --model digits-clip --strict"),
    case("places", "bench --id folder:pictures --ood imglist:pictures/list.txt --model digits-clip --scorers msp",
         "score msp --id webdataset:shard.tar --model digits-clip",
         "bench --id folder:pictures --ood npz:images.npz,folder:torn --model local-dir:clip --scorers all "
         "--keep local --format json"),
    case("models", "models show digits-clip", "models show digits-clip --json", f"models show {TINY}",
         "models show local-dir:clip --json"),
    case("classifiers", *(f"bench --id folder:pictures --ood folder:negatives --model {name} --limit 8 --scorers all"
         for name in ("timm:test_resnet:weights=timm.safetensors:classes=shapes.txt",
                      "torchvision:shufflenet_v2_x0_5:weights=torchvision.safetensors:classes=shapes.txt"))),
    case("store", "store list", "store list --json", "store show digits-clip", "store show digits-clip --json",
         "store verify", "store gc --dry-run", "store gc --dry-run --model digits-clip",
         "datasets --json", "models"),
)  # fmt: skip
TRAINED = (
    case("train-head", "train head --id digits --limit 150 --output heads --plot",
         "bench --id digits --head heads --model digits-clip --ood letters --limit 60 --scorers msp,mcm,knn",
         "train head --id digits --preset adamw --limit 60 --epochs 3 --weight-decay 0.01 --output heads-adamw --json",
         "train head --id only:digits:one+two --id without:digits:one+two --preset ust-etri --limit 60 --output pair",
         shows=("heads/digits/head.safetensors", "heads/digits/training.json", "heads/digits/epochs.csv",
                "heads-adamw", "pair")),
    case("train-prompts", "train prompts --id digits --model digits-clip --shots 2 --epochs 2 --batch 5 --no-crop "
         "--output learnt", "score mcm --id digits --model digits-clip:context=learnt/context.npz --limit 6",
         "train prompts --id folder:pictures --model local-dir:clip --method locoop --context 4 --topk 1 --epochs 2 "
         "--batch 4 --output learnt-locoop", shows=("learnt", "learnt-locoop")),
    case("train-clipn", "train clipn --id only:digits:one+two+three --model digits-clip --limit 24 --epochs 1 "
         "--batch 8 --output no", "bench --model clipn:digits-clip/no/epoch_1.pt --id only:digits:one+two+three "
         "--ood patches --limit 20 --scorers clipn-ctw,clipn-atd",
         f"train clipn --pairs pictures/pairs.csv --model {TINY} --hand-crafted --epochs 1 --batch 7 --output no-tiny",
         shows=("no", "no-tiny")),
    case("train-cma", f"train cma --id digits --model {TINY} --limit 40 --epochs 2 --batch 10 --warmup 2 --lambda 0 "
         "--lambda 0.1 --output cma", "train cma --pairs shard.tar --model local-dir:clip --epochs 1 --batch 4 "
         "--warmup 1 --json --output cma-clip", "score mcm --id folder:pictures --model local-dir:cma-clip/model",
         shows=("cma", "cma-clip/training.json", "cma-clip/epochs.csv")),
    case("discover", "discover --id without:digits:zero+four+seven --among digits --ood letters --limit 200 "
         "--words names.txt --output found", "discover --id without:digits:zero+four+seven --among digits --limit 100 "
         "--method hdbscan --scorer msp --accept 1 --output found-2",
         shows=("found/clusters.json", "found/head.safetensors", "found/training.json", "found/sheet.png",
                "found-2/clusters.json")),
)  # fmt: skip
TOYS = ("import toys toys.npz --text toys-text.npz --texts candidates=candidates.npz --store own",
        "import toys toys-train.npz --text toys-text.npz --split train --store own",
        "import strange strange.npz --store own")  # fmt: skip
IMPORTED = (
    case("import", *TOYS, "bench --scorers all --id toys --ood strange --store own --output run-toys",
         "bench --scorers tanl,adaneg:count=10,neglabel:share=0.5 --id toys --ood strange --store own --format csv",
         "score classwise:rule=conformal --id toys --store own --val-split 0.5", "datasets --store own",
         "models --store own --json", "store list --store own", "store verify --store own", "negatives --json",
         "train head --id toys --folds 3 --output toy-heads --store own",
         "import toys strange.npz --store own", "import toys strange.npz --store own --replace",
         "store gc --dry-run --store own", shows=("run-toys", "toy-heads")),
    case("import-heads", "import toys toys-linear.npz --head head.npz --model net --store own",
         "import toys toys-train-linear.npz --head head.npz --split train --model net --store own",
         "import odd strange-linear.npz --model net --store own",
         "bench --model net --id toys --ood odd --scorers all --store own --format json",
         "import ready logits.npz --model ready --store own",
         "bench --model ready --id ready --ood ready --scorers msp --store own",
         "import good scores.npz --scores --model mine --store own",
         "import bad scores.npz --scores --model mine --store own",
         "import low scores.npz --scores --model mine --key ood_bad --lower-is-id --store own",
         "bench --model mine --id good --ood near=bad,low --store own --ci --ci-replicates 30"),
    case("real-vectors", f"import cifar10 {VECTORS}/image_cifar10_test500.npz --text {VECTORS}/text_cifar10_a.npz "
         "--model vit --store real", *(f"import food101 {VECTORS}/image_food101_10classes_{name}.npz "
         f"--text {VECTORS}/text_food10_a.npz --model vit --store real {split}" for name, split in
         (("test500", ""), ("train2000", "--split train"))),
         f"import coco {VECTORS}/image_coco128.npz --model vit --store real",
         "bench --scorers all --id food101 --ood cifar10,coco --store real --format json",
         "bench --scorers classwise,msp --combiners all --id cifar10 --id food101 --ood coco --store real",
         "score logitgap --id cifar10 --store real", "bench --preset ust-etri --on "
         f"{VECTORS} --store real", needs_data=True),
    case("real-logits", f"import cifar10 {LOGITS}/resnet20_cifar10_test500_lossless.npz --head "
         f"{LOGITS}/resnet20_head.npz --model resnet20 --store real",
         f"import dtd {LOGITS}/resnet20_dtd10.npz --model resnet20 --store real",
         "bench --model resnet20 --scorers all --id cifar10 --ood dtd --store real --protocol openood-v1.5",
         "import imagenet1k shared/scores/setar_imagenet1k/clip_base_Vanilla_MCM.npz --scores --lower-is-id "
         "--model mcm-b16 --store real",
         "import sun shared/scores/setar_imagenet1k/clip_base_Vanilla_MCM.npz --scores --lower-is-id "
         "--model mcm-b16 --store real --key OOD_Sun",
         "bench --model mcm-b16 --id imagenet1k --ood sun --protocol mcm --store real --format csv", needs_data=True),
    case("real-pictures", "bench --id folder:shared/images/dtd_10classes_8pc --ood folder:shared/images/caltech101_8pc "
         "--model digits-clip --limit 40 --scorers msp,mcm --format json", needs_data=True),
)  # fmt: skip
WRONG = (
    case("wrong-names", "nothing", "bench --nothing", "bench --id nothing", "bench --ood nothing", "bench --model gpt",
         "bench --scorers mps", "bench --scorers msp:q=1", "bench --scorers knn:k=many", "bench --scorers 'knn:(k=3'",
         "bench --scorers ''", "bench --combiners vot --id only:digits:one+two --id only:digits:six+nine",
         "bench --combiners vote", "bench --protocol nativ", "bench --preset nothing", "bench --format html",
         "datasets show nothing", "models show nothing", "models show ViT-B-32/openai", "models show ViT-B-32/nothing",
         "store show nothing", "negatives nothing", "published nothing", "bench --recipe nothing"),
    case("wrong-numbers", "bench --limit 0", "bench --seed -1", "bench --val-split 1", "bench --batch-size 3",
         "bench --ci-replicates 0", "bench --precision fp8", "bench --precision bf16",
         "bench --device cuda:9", "score", "score msp", "compare",
         "import toys", "train head", "train head --id digits --folds 3 --val-split 0.2 --output x",
         "train cma --model digits-clip --output x", "train clipn --model digits-clip --output x",
         "train prompts --id digits --topk 2 --output x", "discover --id digits --output x", "bench --on embedded"),
    case("wrong-files", "report nowhere", "report broken-run", "report empty", "compare run-1", "compare run-1 nowhere",
         "bench --preset broken.toml", "bench --preset unknown-key.toml", "bench --preset nowhere.toml",
         "bench --prompts blank.txt", "bench --prompts nobraces", "bench --head nowhere",
         "bench --head tiny.safetensors",
         "bench --texts negatives", "bench --texts negatives=nowhere.txt --scorers neglabel",
         "bench --negatives nowhere.txt --scorers neglabel", "bench --negatives blank.txt --scorers neglabel",
         "bench --store words.txt", "bench --output run-default --limit 20",
         "bench --model digits-clip:weights=nowhere",
         "bench --model local-dir:empty --limit 20", "bench --preset imagenet1k-mos --model digits-clip",
         "bench --id cifar10 --ood svhn --model digits-clip", "train prompts --id digits --output learnt"),
    case("wrong-pictures", "encode folder:nowhere --model digits-clip", "encode folder:empty --model digits-clip",
         "encode imglist:bad-list.txt --model digits-clip", "encode npz:toys.npz --model digits-clip",
         "encode webdataset:words.txt --model digits-clip", "encode hf:nothing --model digits-clip",
         "bench --id folder:torn --ood letters --model digits-clip", "encode letters --split train",
         "encode digits --keep local --limit 5 --store fresh", "train head --id letters --output x",
         "train cma --pairs no-column.csv --model digits-clip --output x",
         "train clipn --pairs no-picture.csv --model digits-clip --output x",
         "bench --id digits --ood digits --limit 10", "bench --id digits --ood letters --csid letters"),
    case("wrong-arrays", *(f"import bad {name}.npz --store bad" for name in ("nan", "none", "flat", "words", "short",
         "outside", "nothing", "pickled", "text", "nowhere")),
         "import bad toys.npz --text one-class-text.npz --store bad", "import bad narrow.npz --text toys-text.npz "
         "--store bad", "import bad scores.npz --scores --key nothing --store bad",
         "import bad toys.npz --head toys-text.npz --store bad", "import bad toys.npz --split other --store bad",
         "import one one-class.npz --text one-class-text.npz --store bad",
         "import thin narrow.npz --store bad", "bench --id one --ood thin --store bad",
         "import wide strange.npz --store bad", "bench --scorers msp,classwise --id one --ood wide --store bad",
         "bench --scorers msp --id wide --ood one --store bad", "train head --id one --output x --store bad"),
)  # fmt: skip
PLUGINS = (
    case("plugin-of-ones-own", "plugins", "scorers", "bench --scorers msp,top-gap --limit 40 --format csv",
         "score top-gap --id digits --limit 5", plugins="plugins"),
    case("plugins-of-the-project", "bench --scorers msp,sklearn --limit 40", "models", plugins="installed"),
)  # fmt: skip
CASES = (
    *LISTINGS, *EMBEDDED, *PICTURES, *TRAINED, *IMPORTED, *WRONG, *PLUGINS,
    *(case(f"library-{name}", f"library {name}") for name in LIBRARY),
)  # fmt: skip
