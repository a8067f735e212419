// The gravest errors, with their pictures where the run holds them.
const KINDS = {
  mistakes: ["Most confident mistakes", "ID, class wrong, surest first"],
  rejected: ["ID rejected", "class right where it is known, furthest below the threshold first"],
  missed: ["OOD missed", "accepted, furthest above the threshold first"],
};
const UNDECIDED = {
  rejected: ["ID that scores lowest", "nothing was decided: there was no validation"],
  missed: ["OOD that scores highest", "nothing was decided: there was no validation"],
};

function tile(image, kind) {
  const picture =
    image.picture === null ? null : make("img", { src: data.pictures[image.picture], alt: wordsOf(image, kind) });
  picture?.addEventListener("load", () => picture.classList.toggle("small", picture.naturalWidth < 64));
  const classes = kind === "mistakes" ? `${image.class} → ${image.prediction}` : (image.prediction ?? "");
  return make(
    "li",
    { class: "tile" },
    picture,
    make("span", {}, kind === "missed" && classes ? `as ${classes}` : classes),
    make("small", {}, `score ${score(image.score)}`),
    image.threshold === null ? null : make("small", {}, `threshold ${score(image.threshold)}`),
    make("small", { class: "id" }, image.id),
  );
}

function wordsOf(image, kind) {
  const of = kind === "missed" ? "OOD image" : image.class ? `image of ${image.class}` : "ID image";
  return `${of}${image.prediction === undefined ? "" : `, taken for ${image.prediction}`}`;
}

function showErrors(one) {
  byId("errors-said").textContent = data.noPictures;
  byId("errors-said").hidden = !data.noPictures;
  fill(
    "galleries",
    one.errors.map((found) => {
      const [title, said] = (found.decided ? null : UNDECIDED[found.kind]) ?? KINDS[found.kind];
      const pictured = found.images.some((image) => image.picture !== null);
      const shownOf =
        found.total > found.images.length
          ? `${count(found.images.length)} of ${count(found.total)}`
          : count(found.total);
      return make(
        "section",
        { "data-kind": found.kind },
        make("h4", {}, `${title}: ${shownOf}`, make("small", {}, ` · ${said}`)),
        found.images.length
          ? make(
              "ul",
              { class: pictured ? "tiles" : "tiles plain" },
              found.images.map((image) => tile(image, found.kind)),
            )
          : make("p", { class: "quiet" }, "None."),
      );
    }),
  );
}
