"""What comes with the package, registered through the same hooks as any plugin: one line each, imported when used."""

from __future__ import annotations

from ood_toolkit.api.hookspecs import hookimpl


@hookimpl
def register_scorers() -> dict[str, str]:
    """Name the built-in scorers, in the order of the listing."""
    return {
        "classwise": "ood_toolkit.scorers.classwise:Classwise",
        "classwise-entropy": "ood_toolkit.scorers.classwise:ClasswiseEntropy",
        "mean": "ood_toolkit.scorers.mean:Mean",
        "grid": "ood_toolkit.scorers.grid:Grid",
        "msp": "ood_toolkit.scorers.msp:MSP",
        "maxlogit": "ood_toolkit.scorers.maxlogit:MaxLogit",
        "energy": "ood_toolkit.scorers.energy:Energy",
        "entropy": "ood_toolkit.scorers.entropy:Entropy",
        "doctor": "ood_toolkit.scorers.doctor:Doctor",
        "knn": "ood_toolkit.scorers.knn:KNN",
        "mahalanobis": "ood_toolkit.scorers.mahalanobis:Mahalanobis",
        "mahalanobis-pp": "ood_toolkit.scorers.mahalanobis_pp:MahalanobisPP",
        "rmds": "ood_toolkit.scorers.rmds:RMDS",
        "nnguide": "ood_toolkit.scorers.nnguide:NNGuide",
        "residual": "ood_toolkit.scorers.residual:Residual",
        "vim": "ood_toolkit.scorers.vim:ViM",
        "kpca-cop": "ood_toolkit.scorers.kpca:KPCACoP",
        "kpca-corp": "ood_toolkit.scorers.kpca:KPCACoRP",
        "she": "ood_toolkit.scorers.she:SHE",
        "relation": "ood_toolkit.scorers.relation:Relation",
        "nci": "ood_toolkit.scorers.nci:NCI",
        "fdbd": "ood_toolkit.scorers.fdbd:FDBD",
        "ora": "ood_toolkit.scorers.ora:ORA",
        "neco": "ood_toolkit.scorers.neco:NECO",
        "caref": "ood_toolkit.scorers.cadref:CARef",
        "cadref": "ood_toolkit.scorers.cadref:CADRef",
        "pnml": "ood_toolkit.scorers.pnml:PNML",
        "gen": "ood_toolkit.scorers.gen:GEN",
        "odin": "ood_toolkit.scorers.odin:ODIN",
        "temperature": "ood_toolkit.scorers.temperature:Temperature",
        "klm": "ood_toolkit.scorers.klm:KLMatching",
        "weighted-energy": "ood_toolkit.scorers.weighted_energy:WeightedEnergy",
        "openmax": "ood_toolkit.scorers.openmax:OpenMax",
        "gmm": "ood_toolkit.scorers.gmm:GMM",
        "react": "ood_toolkit.scorers.react:ReAct",
        "vra": "ood_toolkit.scorers.vra:VRA",
        "dice": "ood_toolkit.scorers.dice:DICE",
        "ash-p": "ood_toolkit.scorers.ash:ASHP",
        "ash-b": "ood_toolkit.scorers.ash:ASHB",
        "ash-s": "ood_toolkit.scorers.ash:ASHS",
        "scale": "ood_toolkit.scorers.scale:SCALE",
        "lts": "ood_toolkit.scorers.lts:LTS",
        "gradnorm": "ood_toolkit.scorers.gradnorm:GradNorm",
        "mcm": "ood_toolkit.scorers.mcm:MCM",
        "concept-matching": "ood_toolkit.scorers.concept_matching:ConceptMatching",
        "variance": "ood_toolkit.scorers.variance:Variance",
        "logitgap": "ood_toolkit.scorers.logitgap:LogitGap",
        "logitgap-adaptive": "ood_toolkit.scorers.logitgap:LogitGapAdaptive",
        "gl-mcm": "ood_toolkit.scorers.glmcm:GLMCM",
        "l-mcm": "ood_toolkit.scorers.glmcm:LocalMCM",
        "neglabel": "ood_toolkit.scorers.neglabel:NegLabel",
        "csp": "ood_toolkit.scorers.csp:CSP",
        "adaneg": "ood_toolkit.scorers.adaneg:AdaNeg",
        "tanl": "ood_toolkit.scorers.tanl:TANL",
        "clipscope": "ood_toolkit.scorers.clipscope:CLIPScope",
        "clipscope-stream": "ood_toolkit.scorers.clipscope:CLIPScopeStream",
        "oodd": "ood_toolkit.scorers.oodd:OODD",
        "cma": "ood_toolkit.scorers.cma:CMA",
        "cma-mcm": "ood_toolkit.scorers.cma:CMAMCM",
        "eoe": "ood_toolkit.scorers.eoe:EOE",
        "tag": "ood_toolkit.scorers.tag:TAG",
        "negprompt": "ood_toolkit.scorers.negprompt:NegPrompt",
        "lsn": "ood_toolkit.scorers.lsn:LSN",
        "id-like": "ood_toolkit.scorers.id_like:IDLike",
        "lapt": "ood_toolkit.scorers.id_like:LAPT",
        "relative-energy": "ood_toolkit.scorers.relative_energy:RelativeEnergy",
        "prompt-average": "ood_toolkit.scorers.prompt_average:PromptAverage",
        "clipn-ctw": "ood_toolkit.scorers.clipn:CLIPNCompete",
        "clipn-atd": "ood_toolkit.scorers.clipn:CLIPNAgree",
    }


@hookimpl
def register_combiners() -> dict[str, str]:
    """Name the built-in combiners."""
    return {
        "max-confidence": "ood_toolkit.combiners.max_confidence:MaxConfidence",
        "vote": "ood_toolkit.combiners.vote:Vote",
        "mean-score": "ood_toolkit.combiners.mean_score:MeanScore",
        "mean-probability": "ood_toolkit.combiners.mean_probability:MeanProbability",
    }


@hookimpl
def register_datasets() -> dict[str, str]:
    """Name the data sets, the embedded ones first."""
    return {
        "digits": "ood_toolkit.data.catalogue.digits:DIGITS",
        "letters": "ood_toolkit.data.catalogue.letters:LETTERS",
        "patches": "ood_toolkit.data.catalogue.patches:PATCHES",
        "cifar10": "ood_toolkit.data.catalogue.small_sets:CIFAR10",
        "cifar100": "ood_toolkit.data.catalogue.small_sets:CIFAR100",
        "mnist": "ood_toolkit.data.catalogue.small_sets:MNIST",
        "fashion-mnist": "ood_toolkit.data.catalogue.small_sets:FASHION_MNIST",
        "svhn": "ood_toolkit.data.catalogue.small_sets:SVHN",
        "eurosat": "ood_toolkit.data.catalogue.small_sets:EUROSAT",
        "food101": "ood_toolkit.data.catalogue.object_sets:FOOD101",
        "caltech101": "ood_toolkit.data.catalogue.object_sets:CALTECH101",
        "caltech256": "ood_toolkit.data.catalogue.object_sets:CALTECH256",
        "dtd": "ood_toolkit.data.catalogue.object_sets:DTD",
        "textures": "ood_toolkit.data.catalogue.object_sets:TEXTURES",
        "textures-openood": "ood_toolkit.data.catalogue.object_sets:TEXTURES_OPENOOD",
        "flowers102": "ood_toolkit.data.catalogue.object_sets:FLOWERS102",
        "oxford-pets": "ood_toolkit.data.catalogue.object_sets:OXFORD_PETS",
        "stanford-cars": "ood_toolkit.data.catalogue.object_sets:STANFORD_CARS",
        "cub200": "ood_toolkit.data.catalogue.object_sets:CUB200",
        "sun397": "ood_toolkit.data.catalogue.scene_sets:SUN397",
        "places365": "ood_toolkit.data.catalogue.scene_sets:PLACES365",
        "inaturalist": "ood_toolkit.data.catalogue.scene_sets:INATURALIST",
        "sun": "ood_toolkit.data.catalogue.scene_sets:SUN",
        "places": "ood_toolkit.data.catalogue.scene_sets:PLACES",
        "imagenet-1k": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET1K",
        "imagenet-10": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET10",
        "imagenet-20": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET20",
        "imagenet-100": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET100",
        "imagenet-v2": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET_V2",
        "imagenet-a": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET_A",
        "imagenet-r": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET_R",
        "imagenet-o": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET_O",
        "tiny-imagenet": "ood_toolkit.data.catalogue.imagenet_sets:TINY_IMAGENET",
        "ssb-hard": "ood_toolkit.data.catalogue.imagenet_sets:SSB_HARD",
        "ninco": "ood_toolkit.data.catalogue.imagenet_sets:NINCO",
        "openimage-o": "ood_toolkit.data.catalogue.imagenet_sets:OPENIMAGE_O",
        "imagenet-ood": "ood_toolkit.data.catalogue.imagenet_sets:IMAGENET_OOD",
        "imagenet-1k-openood": "ood_toolkit.data.catalogue.openood_sets:IMAGENET1K_OPENOOD",
        "cifar10-openood": "ood_toolkit.data.catalogue.openood_sets:CIFAR10_OPENOOD",
        "cifar100-openood": "ood_toolkit.data.catalogue.openood_sets:CIFAR100_OPENOOD",
        "tiny-imagenet-cifar10": "ood_toolkit.data.catalogue.openood_sets:TINY_IMAGENET_CIFAR10",
        "tiny-imagenet-cifar100": "ood_toolkit.data.catalogue.openood_sets:TINY_IMAGENET_CIFAR100",
        "mnist-openood": "ood_toolkit.data.catalogue.openood_sets:MNIST_OPENOOD",
        "places365-cifar10": "ood_toolkit.data.catalogue.openood_sets:PLACES365_CIFAR10",
        "places365-cifar100": "ood_toolkit.data.catalogue.openood_sets:PLACES365_CIFAR100",
    }


@hookimpl
def register_models() -> dict[str, str]:
    """Name the embedded model and the families of models."""
    return {
        "digits-clip": "ood_toolkit.models.digits_clip:DIGITS_CLIP",
        "open_clip": "ood_toolkit.models.clip:OPEN_CLIP",
        "hf-hub": "ood_toolkit.models.clip:HF_HUB",
        "local-dir": "ood_toolkit.models.clip:LOCAL_DIR",
        "torchvision": "ood_toolkit.models.torchvision_models:TORCHVISION",
        "timm": "ood_toolkit.models.timm_models:TIMM",
        "clipn": "ood_toolkit.models.clipn:CLIPN",
    }
