// Curves over the positions of the threshold, with the point of each rule and a ring where the threshold stands.
const SHAPES = [
  ["circle", "●"],
  ["square", "■"],
  ["triangle-up", "▲"],
  ["diamond", "◆"],
  ["cross", "✚"],
  ["triangle-down", "▼"],
  ["triangle-right", "▶"],
];

/** Count what is accepted at a position. */
function acceptedAt(one, place) {
  const at = (name) => one.positions.accepted[name]?.[place] ?? 0;
  const [right, wrong, unknown, ood] = [at("right"), at("wrong"), at("unknown"), at("ood")];
  return { right, wrong, unknown, ood, id: right + wrong + unknown };
}

const inAll = (one) => {
  const { right, wrong, unknown, ood } = one.sizes;
  return { id: right + wrong + unknown, known: right + wrong, ood };
};

function pointsOf(one) {
  const all = inAll(one);
  return one.positions.t.map((_, place) => {
    const { id, right, wrong, ood } = acceptedAt(one, place);
    return {
      place,
      tpr: id / all.id,
      fpr: ood / all.ood,
      precision: id + ood ? id / (id + ood) : null,
      coverage: all.known ? (right + wrong) / all.known : null,
      risk: right + wrong ? wrong / (right + wrong) : null,
    };
  });
}

function rulesOf(one) {
  const all = inAll(one);
  return one.positions.rules.map((rule, place) => ({
    shape: SHAPES[place % SHAPES.length][0],
    tpr: rule.id / all.id,
    fpr: rule.ood / all.ood,
    precision: rule.id + rule.ood ? rule.id / (rule.id + rule.ood) : null,
  }));
}

/** A line through all positions; `marks` are points of their own. */
function curveSpec(points, marks, x, y, start, more = []) {
  const values = points.filter((point) => point[x.field] !== null && point[y.field] !== null);
  const shapes = {
    field: "shape",
    type: "nominal",
    legend: null,
    scale: { domain: SHAPES.map(([name]) => name), range: SHAPES.map(([name]) => name) },
  };
  return {
    params: [
      { name: "nowX", value: start[0] },
      { name: "nowY", value: start[1] },
    ],
    layer: [
      ...more,
      {
        data: { values },
        mark: { type: "line", color: colour("accent"), strokeWidth: 2, interpolate: "linear" },
        encoding: { x, y, order: { field: "place", type: "quantitative" } },
      },
      {
        data: { values: marks },
        mark: {
          type: "point",
          filled: true,
          size: 62,
          color: colour("ink"),
          stroke: colour("paper"),
          strokeWidth: 1,
          opacity: 1,
        },
        encoding: { x, y, shape: shapes },
      },
      {
        data: { values: [{}] },
        mark: { type: "point", filled: false, size: 190, color: colour("accent"), strokeWidth: 2.5, opacity: 1 },
        encoding: {
          x: { datum: { expr: "nowX" }, type: "quantitative" },
          y: { datum: { expr: "nowY" }, type: "quantitative" },
        },
      },
    ],
  };
}

const levelled = (value) => ({
  data: { values: [{}] },
  mark: { type: "rule", color: colour("quiet"), strokeDash: [3, 3] },
  encoding: { y: { datum: value, type: "quantitative" } },
});

function drawCurves(one, place) {
  const points = pointsOf(one);
  const marks = rulesOf(one);
  const now = points[place];
  const all = inAll(one);
  const named = `${blockOf(one).label} on ${one.ood}`;
  const diagonal = {
    data: {
      values: [
        { fpr: 0, tpr: 0 },
        { fpr: 1, tpr: 1 },
      ],
    },
    mark: { type: "line", color: colour("quiet"), strokeDash: [3, 3], strokeWidth: 1 },
    encoding: { x: share("fpr", "OOD accepted (FPR)"), y: share("tpr", "ID accepted (TPR)") },
  };
  const prevalence = all.id / (all.id + all.ood);
  draw(
    "roc",
    `ROC curve of ${named}, with the point of each rule for FPR95`,
    curveSpec(
      points,
      marks,
      share("fpr", "OOD accepted (FPR)"),
      share("tpr", "ID accepted (TPR)"),
      [now.fpr, now.tpr],
      [diagonal],
    ),
    280,
  );
  draw(
    "pr",
    `Precision against recall of ${named}, ID positive; chance is ${percent(prevalence)} %`,
    curveSpec(
      points,
      marks,
      share("tpr", "ID accepted (recall)"),
      share("precision", "ID among accepted (precision)"),
      [now.tpr, now.precision ?? 1],
      [levelled(prevalence)],
    ),
    280,
  );
  byId("risk-part").hidden = !all.known;
  if (!all.known) return;
  const most = Math.max(...points.map((point) => point.risk ?? 0), 1e-3);
  const risk = {
    field: "risk",
    type: "quantitative",
    title: "wrong among accepted (risk)",
    scale: { domain: [0, Math.min(1, most * 1.08)] },
    axis: { format: ".1%", tickCount: 5, grid: true },
  };
  draw(
    "risk",
    `Risk against coverage of ${blockOf(one).label}: over all ID images the risk is ${percent(one.sizes.wrong / all.known)} %`,
    curveSpec(
      points,
      [],
      share("coverage", "ID accepted (coverage)"),
      risk,
      [now.coverage, now.risk ?? 0],
      [levelled(one.sizes.wrong / all.known)],
    ),
    240,
  );
}

function moveCurves(one, place) {
  const now = pointsOf(one)[place];
  signal("roc", { nowX: now.fpr, nowY: now.tpr });
  signal("pr", { nowX: now.tpr, nowY: now.precision ?? 1 });
  if (now.coverage !== null) signal("risk", { nowX: now.coverage, nowY: now.risk ?? 0 });
}

/** The rules as a table that is the legend of their points, too. */
function showRules(one) {
  const rows = one.positions.rules.map((rule, place) =>
    make(
      "tr",
      { class: rule.ours ? "ours" : null },
      make(
        "th",
        { class: "text", scope: "row" },
        make("span", { class: "shape", "aria-hidden": "true" }, SHAPES[place % SHAPES.length][1]),
        rule.protocols.join(", "),
        make("small", {}, rule.rule),
      ),
      make("td", {}, rule.metric === "fpr95_id" ? "ID" : "OOD"),
      make("td", {}, percent(rule.value)),
      make(
        "td",
        { class: "go" },
        rule.at === null
          ? "between two"
          : make(
              "button",
              {
                type: "button",
                onclick: () => moveTo(rule.at),
                "aria-label": `set the threshold to where ${rule.protocols[0]} reads its FPR95`,
              },
              "set",
            ),
      ),
    ),
  );
  fill(
    "rules",
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        ...[["rule of", "text"], ["positive"], ["FPR95 (%)"], ["threshold", "go"]].map(([words, kind]) =>
          make("th", { class: kind, scope: "col" }, words),
        ),
      ),
    ),
    make("tbody", {}, rows),
  );
}
