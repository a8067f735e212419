// Classes: where their scores lie against their thresholds, and how much of each is accepted.
const PAGE = 20;
const classView = { page: 0 };

function classRows(one) {
  const side = blockOf(one).classes;
  const other = one.classes;
  const names = data.names[blockOf(one).names];
  const theta = (place) => (Array.isArray(side.theta) ? side.theta[place] : side.theta);
  const at = (found, i, place) => (found ? found.quantiles[i][place] : null);
  return names.map((name, place) => ({
    name,
    place,
    n: side.n[place],
    accepted: side.accepted[place],
    theta: theta(place),
    share: side.n[place] ? side.accepted[place] / side.n[place] : null,
    oodN: other ? other.n[place] : 0,
    oodShare: other && other.n[place] ? other.accepted[place] / other.n[place] : null,
    q05: at(side, 0, place),
    q25: at(side, 1, place),
    q50: at(side, 2, place),
    q75: at(side, 3, place),
    q95: at(side, 4, place),
    o05: at(other, 0, place),
    o50: at(other, 1, place),
    o95: at(other, 2, place),
  }));
}

function classOrder(rows) {
  const last = (value, none) => (given(value) ? Number(value) : none);
  const keys = {
    accepted: (row) => last(row.share, 2),
    missed: (row) => -last(row.oodShare, -1),
    theta: (row) => -last(row.theta, -Infinity),
    n: (row) => -row.n,
    name: () => 0,
  };
  const key = keys[byId("class-order").value];
  return rows.sort((a, b) => key(a) - key(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.place - b.place));
}

function showClasses(one) {
  const side = blockOf(one).classes;
  byId("classes-part").hidden = !side;
  if (!side) return;
  const part = byId("class-filter").value.trim().toLowerCase();
  const all = classOrder(classRows(one)).filter((row) => row.name.toLowerCase().includes(part));
  const pages = Math.max(1, Math.ceil(all.length / PAGE));
  classView.page = Math.min(classView.page, pages - 1);
  const rows = all.slice(classView.page * PAGE, (classView.page + 1) * PAGE).map((row, i) => ({ ...row, key: `${i}` }));
  byId("class-page").textContent =
    all.length > PAGE
      ? `${count(classView.page * PAGE + 1)} to ${count(classView.page * PAGE + rows.length)} of ${count(all.length)}`
      : plural(all.length, "class").replace("classs", "classes");
  byId("class-before").disabled = classView.page === 0;
  byId("class-after").disabled = classView.page >= pages - 1;
  const margin = blockOf(one).margin;
  byId("class-scores-h").textContent = margin ? "Score before the class's threshold is taken off" : "Score";
  byId("classes-said").textContent =
    `By predicted class, at ${margin ? "the threshold of each class" : "the scorer's own threshold"}: the bar is the middle half of the ID scores, the thin line 5 to 95 %, the stroke the median, the upright mark the threshold; below, in the second colour, 5 to 95 % of OOD and its median.`;
  const height = rows.length * 27 + 8;
  draw(
    "class-scores",
    `Scores of ${plural(rows.length, "class").replace("classs", "classes")} against their thresholds`,
    classScoresSpec(rows),
    height,
  );
  draw(
    "class-accepted",
    "Share of ID and OOD images that is accepted, by predicted class",
    classAcceptedSpec(rows),
    height,
  );
}

/** An axis of classes, by number, so that two of one name stay two. */
function classAxis(rows) {
  return {
    field: "key",
    type: "ordinal",
    title: null,
    sort: null,
    scale: { domain: rows.map((row) => row.key), paddingInner: 0.15 },
    axis: {
      labelExpr: "names[datum.value]",
      labelLimit: byId("class-scores").clientWidth > 420 ? 150 : 100,
      ticks: false,
      domain: false,
      labelOverlap: false,
    },
  };
}

/** Layers of marks, each of those classes alone that have its value. */
function classLayers(rows, x, marks) {
  const y = classAxis(rows);
  const layers = marks.map(([field, mark, end]) => ({
    data: { values: rows.filter((row) => given(row[field]) && Number.isFinite(Number(row[field]))) },
    mark,
    encoding: { y, x: x(field), ...(end ? { x2: { field: end } } : {}) },
  }));
  const labels = Object.fromEntries(rows.map((row) => [row.key, row.name]));
  return { params: [{ name: "names", value: labels }], layer: layers.filter((layer) => layer.data.values.length) };
}

function classScoresSpec(rows) {
  const scale = { zero: false };
  const axis = { tickCount: 5, grid: true };
  const x = (field) => ({ field, type: "quantitative", title: null, scale, axis });
  const [inside, outside] = [
    { color: colour("right"), yOffset: -4 },
    { color: colour("ood"), yOffset: 6 },
  ];
  return classLayers(rows, x, [
    ["q05", { type: "rule", strokeWidth: 1.5, ...inside }, "q95"],
    ["q25", { type: "bar", height: 8, opacity: 0.55, ...inside }, "q75"],
    ["q50", { type: "tick", thickness: 2.5, size: 10, ...inside }],
    ["o05", { type: "rule", strokeWidth: 1.5, ...outside }, "o95"],
    ["o50", { type: "tick", thickness: 2.5, size: 7, ...outside }],
    ["theta", { type: "tick", thickness: 2, size: 22, color: colour("mark") }],
  ]);
}

function classAcceptedSpec(rows) {
  const point = { type: "point", filled: true, size: 70, opacity: 1 };
  return classLayers(rows, (field) => share(field, null), [
    ["share", { type: "bar", height: 8, color: colour("right"), opacity: 0.3, yOffset: -4 }],
    ["share", { ...point, shape: "circle", color: colour("right"), yOffset: -4 }],
    ["oodShare", { ...point, shape: "diamond", color: colour("ood"), yOffset: 6 }],
  ]);
}

function startClasses() {
  const again = () => showClasses(current());
  const turned = (step) => () => {
    classView.page += step;
    again();
  };
  byId("class-order").addEventListener("change", () => {
    classView.page = 0;
    again();
  });
  byId("class-filter").addEventListener("input", () => {
    classView.page = 0;
    again();
  });
  byId("class-before").addEventListener("click", turned(-1));
  byId("class-after").addEventListener("click", turned(1));
}
