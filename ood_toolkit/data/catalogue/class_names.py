"""Class folders of sets, in label order, and the prompt names that do not follow from them."""

from __future__ import annotations

from ood_toolkit.data.readers.folders import ClassFolders, readable

__all__ = [
    "CALTECH101",
    "CIFAR10",
    "CIFAR100",
    "DIGIT_NAMES",
    "DTD",
    "EUROSAT",
    "FASHION",
    "FLOWERS",
    "FOOD101",
    "PETS",
    "words",
]


def named(folders: tuple[str, ...], other: dict[str, str] | None = None, ignored: tuple[str, ...] = ()) -> ClassFolders:
    """Name class folders by the rule, `_` to space, but for those in `other`."""
    names = tuple((other or {}).get(folder, readable(folder)) for folder in folders)
    return ClassFolders(folders, names, ignored=ignored)


def words(text: str, between: str | None = None) -> tuple[str, ...]:
    """Split a block of names at blanks, or at another sign."""
    return tuple(" ".join(name.split()) for name in text.split(between))


CIFAR10 = named(("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"))
CIFAR100_FOLDERS = words(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
    lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
    pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
    shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
    television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """
)
"""In the order of fine_labels."""
CIFAR100 = named(CIFAR100_FOLDERS)
DIGIT_NAMES = named(tuple("0123456789"))
FASHION = ClassFolders(
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ("t-shirt or top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
EUROSAT = ClassFolders(
    (
        "AnnualCrop",
        "Forest",
        "HerbaceousVegetation",
        "Highway",
        "Industrial",
        "Pasture",
        "PermanentCrop",
        "Residential",
        "River",
        "SeaLake",
    ),
    (
        "annual crop land",
        "forest",
        "brushland or shrubland",
        "highway or road",
        "industrial buildings or commercial buildings",
        "pasture land",
        "permanent crop land",
        "residential buildings or homes or apartments",
        "river",
        "lake or sea",
    ),
)
FOOD101_FOLDERS = words(
    """
    apple_pie baby_back_ribs baklava beef_carpaccio beef_tartare beet_salad beignets bibimbap bread_pudding
    breakfast_burrito bruschetta caesar_salad cannoli caprese_salad carrot_cake ceviche cheese_plate cheesecake
    chicken_curry chicken_quesadilla chicken_wings chocolate_cake chocolate_mousse churros clam_chowder
    club_sandwich crab_cakes creme_brulee croque_madame cup_cakes deviled_eggs donuts dumplings edamame
    eggs_benedict escargots falafel filet_mignon fish_and_chips foie_gras french_fries french_onion_soup
    french_toast fried_calamari fried_rice frozen_yogurt garlic_bread gnocchi greek_salad
    grilled_cheese_sandwich grilled_salmon guacamole gyoza hamburger hot_and_sour_soup hot_dog huevos_rancheros
    hummus ice_cream lasagna lobster_bisque lobster_roll_sandwich macaroni_and_cheese macarons miso_soup mussels
    nachos omelette onion_rings oysters pad_thai paella pancakes panna_cotta peking_duck pho pizza pork_chop
    poutine prime_rib pulled_pork_sandwich ramen ravioli red_velvet_cake risotto samosa sashimi scallops
    seaweed_salad shrimp_and_grits spaghetti_bolognese spaghetti_carbonara spring_rolls steak
    strawberry_shortcake sushi tacos takoyaki tiramisu tuna_tartare waffles
    """
)
"""In sorted order, as torchvision numbers them."""
FOOD101 = named(FOOD101_FOLDERS)
DTD_FOLDERS = words(
    """
    banded blotchy braided bubbly bumpy chequered cobwebbed cracked crosshatched crystalline dotted fibrous
    flecked freckled frilly gauzy grid grooved honeycombed interlaced knitted lacelike lined marbled matted
    meshed paisley perforated pitted pleated polka-dotted porous potholed scaly smeared spiralled sprinkled
    stained stratified striped studded swirly veined waffled woven wrinkled zigzagged
    """
)
"""In sorted order, as torchvision numbers them."""
DTD = named(DTD_FOLDERS)
CALTECH101_FOLDERS = words(
    """
    Faces Faces_easy Leopards Motorbikes accordion airplanes anchor ant barrel bass beaver binocular bonsai
    brain brontosaurus buddha butterfly camera cannon car_side ceiling_fan cellphone chair chandelier
    cougar_body cougar_face crab crayfish crocodile crocodile_head cup dalmatian dollar_bill dolphin dragonfly
    electric_guitar elephant emu euphonium ewer ferry flamingo flamingo_head garfield gerenuk gramophone
    grand_piano hawksbill headphone hedgehog helicopter ibis inline_skate joshua_tree kangaroo ketch lamp laptop
    llama lobster lotus mandolin mayfly menorah metronome minaret nautilus octopus okapi pagoda panda pigeon
    pizza platypus pyramid revolver rhino rooster saxophone schooner scissors scorpion sea_horse snoopy
    soccer_ball stapler starfish stegosaurus stop_sign strawberry sunflower tick trilobite umbrella watch
    water_lilly wheelchair wild_cat windsor_chair wrench yin_yang
    """
)
"""In sorted order without BACKGROUND_Google, as torchvision numbers them."""
CALTECH101 = named(
    CALTECH101_FOLDERS,
    {
        "Faces": "off-center face",
        "Faces_easy": "centered face",
        "Leopards": "leopard",
        "Motorbikes": "motorbike",
        "airplanes": "airplane",
        "car_side": "side of a car",
        "cougar_body": "body of a cougar cat",
        "cougar_face": "face of a cougar cat",
        "crocodile_head": "head of a crocodile",
        "flamingo_head": "head of a flamingo",
        "snoopy": "snoopy (cartoon beagle)",
        "water_lilly": "water lily",
        "yin_yang": "yin and yang symbol",
    },
    ignored=("BACKGROUND_Google",),
)
PETS_FOLDERS = words(
    """
    Abyssinian american_bulldog american_pit_bull_terrier basset_hound beagle Bengal Birman Bombay boxer
    British_Shorthair chihuahua Egyptian_Mau english_cocker_spaniel english_setter german_shorthaired
    great_pyrenees havanese japanese_chin keeshond leonberger Maine_Coon miniature_pinscher newfoundland Persian
    pomeranian pug Ragdoll Russian_Blue saint_bernard samoyed scottish_terrier shiba_inu Siamese Sphynx
    staffordshire_bull_terrier wheaten_terrier yorkshire_terrier
    """
)
"""In the order of the class numbers in annotations/list.txt."""
PETS = named(PETS_FOLDERS)
FLOWER_NAMES = tuple(
    """
    pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger lily, moon
    orchid, bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king protea, spear thistle,
    yellow iris, globe-flower, purple coneflower, peruvian lily, balloon flower, giant white arum lily, fire
    lily, pincushion flower, fritillary, red ginger, grape hyacinth, corn poppy, prince of wales feathers,
    stemless gentian, artichoke, sweet william, carnation, garden phlox, love in the mist, mexican aster, alpine
    sea holly, ruby-lipped cattleya, cape flower, great masterwort, siam tulip, lenten rose, barbeton daisy,
    daffodil, sword lily, poinsettia, bolero deep blue, wallflower, marigold, buttercup, oxeye daisy, common
    dandelion, petunia, wild pansy, primula, sunflower, pelargonium, bishop of llandaff, gaura, geranium, orange
    dahlia, pink-yellow dahlia?, cautleya spicata, japanese anemone, black-eyed susan, silverbush, californian
    poppy, osteospermum, spring crocus, bearded iris, windflower, tree poppy, gazania, azalea, water lily, rose,
    thorn apple, morning glory, passion flower, lotus, toad lily, anthurium, frangipani, clematis, hibiscus,
    columbine, desert-rose, tree mallow, magnolia, cyclamen, watercress, canna lily, hippeastrum, bee balm, ball
    moss, foxglove, bougainvillea, camellia, mallow, mexican petunia, bromelia, blanket flower, trumpet creeper,
    blackberry lily
    """.replace("\n    ", " ")
    .strip()
    .split(", ")
)
"""In the order of imagelabels.mat."""
FLOWERS = ClassFolders(
    tuple(str(number) for number in range(1, 103)),
    tuple("pink and yellow dahlia" if name == "pink-yellow dahlia?" else name for name in FLOWER_NAMES),
)
"""The folders are the numbers of the classes, counted from 1."""
