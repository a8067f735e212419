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
  const labels = Object.fromEntries(rows.map((row) => [row.key, row.name]));
  draw(
    "class-scores",
    `Scores of ${plural(rows.length, "class").replace("classs", "classes")} against their thresholds`,
    classScoresSpec(rows, labels),
    height,
  );
  draw(
    "class-accepted",
    "Share of ID and OOD images that is accepted, by predicted class",
    classAcceptedSpec(rows, labels),
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

function classScoresSpec(rows, labels) {
  const y = classAxis(rows);
  const x = (field) => ({
    field,
    type: "quantitative",
    title: null,
    scale: { zero: false },
    axis: { tickCount: 5, grid: true },
  });
  const drawn = rows.map((row) => ({
    ...row,
    theta: given(row.theta) && Number.isFinite(Number(row.theta)) ? Number(row.theta) : null,
  }));
  const layer = (mark, encoding, offset = -4) => ({ mark: { yOffset: offset, ...mark }, encoding: { y, ...encoding } });
  const known = (field) => [{ filter: `isValid(datum.${field})` }];
  return {
    params: [{ name: "names", value: labels }],
    data: { values: drawn },
    layer: [
      {
        ...layer({ type: "rule", color: colour("right"), strokeWidth: 1.5 }, { x: x("q05"), x2: { field: "q95" } }),
        transform: known("q05"),
      },
      {
        ...layer(
          { type: "bar", color: colour("right"), height: 8, opacity: 0.55 },
          { x: x("q25"), x2: { field: "q75" } },
        ),
        transform: known("q25"),
      },
      {
        ...layer({ type: "tick", color: colour("right"), thickness: 2.5, size: 10 }, { x: x("q50") }),
        transform: known("q50"),
      },
      {
        ...layer({ type: "rule", color: colour("ood"), strokeWidth: 1.5 }, { x: x("o05"), x2: { field: "o95" } }, 6),
        transform: known("o05"),
      },
      {
        ...layer({ type: "tick", color: colour("ood"), thickness: 2.5, size: 7 }, { x: x("o50") }, 6),
        transform: known("o50"),
      },
      {
        ...layer({ type: "tick", color: colour("mark"), thickness: 2, size: 22 }, { x: x("theta") }, 0),
        transform: known("theta"),
      },
    ],
  };
}

function classAcceptedSpec(rows, labels) {
  const y = classAxis(rows);
  const x = (field) => share(field, null);
  const point = (field, name, shape, offset) => ({
    transform: [{ filter: `isValid(datum.${field})` }],
    mark: { type: "point", filled: true, size: 70, shape, color: colour(name), opacity: 1, yOffset: offset },
    encoding: { y, x: x(field) },
  });
  return {
    params: [{ name: "names", value: labels }],
    data: { values: rows },
    layer: [
      {
        transform: [{ filter: "isValid(datum.share)" }],
        mark: { type: "bar", height: 8, color: colour("right"), opacity: 0.3, yOffset: -4 },
        encoding: { y, x: x("share") },
      },
      point("share", "right", "circle", -4),
      point("oodShare", "ood", "diamond", 6),
    ],
  };
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
