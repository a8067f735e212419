// Two scorers on the same images, and what all scorers cost against how good they are.
const against = { block: null };

/** Pairs of values of one image, where both scorers have a number that can be drawn. */
function pairsOf(mine, other, groups) {
  return mine.scores
    .map((y, place) => ({ x: other.scores[place], y, group: groups(place) }))
    .filter(({ x, y }) => x !== null && y !== null);
}

/** The blocks of other scorers whose images are those of this case, each with its own case of the same OOD set. */
function comparable(one) {
  const mine = blockOf(one);
  return data.cases.filter(
    (other) =>
      other !== one &&
      other.ood === one.ood &&
      mine.sample &&
      blockOf(other).sample?.images === mine.sample.images &&
      other.sample.images === one.sample.images,
  );
}

function showAgainst(one) {
  const others = comparable(one);
  byId("against-part").hidden = !others.length;
  if (!others.length) return;
  const other = others.find((found) => found.block === against.block) ?? others[0];
  const option = (found) => make("option", { value: found.block, selected: found === other }, blockOf(found).label);
  fill("against", others.map(option));
  const [mine, theirs] = [blockOf(one), blockOf(other)];
  const inside = pairsOf(mine.sample, theirs.sample, (place) => GROUPS[Number(mine.sample.groups[place])][0]);
  const points = [...pairsOf(one.sample, other.sample, () => "ood"), ...inside];
  const drawn = GROUPS.filter(([name]) => points.some((point) => point.group === name));
  const axis = (field, block) => ({
    field,
    type: "quantitative",
    title: block.label,
    scale: { zero: false },
    axis: { tickCount: 6, grid: true },
  });
  const line = (channel, block) =>
    given(block.cut) && Number.isFinite(Number(block.cut))
      ? [
          {
            data: { values: [{}] },
            mark: { type: "rule", color: colour("mark"), strokeWidth: 1.5 },
            encoding: { [channel]: { datum: Number(block.cut), type: "quantitative" } },
          },
        ]
      : [];
  const colours = {
    field: "group",
    type: "nominal",
    legend: null,
    scale: { domain: drawn.map(([name]) => name), range: drawn.map(([name]) => colourOf(one, name)) },
  };
  draw(
    "scatter",
    `Scores of ${mine.label} against ${theirs.label} on ${plural(points.length, "image")}`,
    {
      layer: [
        {
          data: { values: points },
          mark: { type: "point", filled: true, size: 16, opacity: 0.55 },
          encoding: { x: axis("x", theirs), y: axis("y", mine), color: colours },
        },
        ...line("x", theirs),
        ...line("y", mine),
      ],
    },
    320,
  );
  fill(
    "against-said",
    drawn.map(([name, words]) =>
      make("span", {}, make("span", { class: `key ${name}${inAll(one).known ? "" : " all"}` }), words),
    ),
    make("span", {}, `${plural(points.length, "image")}, evenly drawn; the lines are the thresholds.`),
  );
}

/** The best value that each scorer has at its cost: the mean over all sets, or that of the only one. */
function costs(key) {
  const rows = data.rows.filter((row) => row.kind !== "misclassification" && valueOf(row, key) !== null);
  const all = rows.filter((row) => row.ood === "mean");
  const used = all.length ? all : rows.filter((row) => row.ood === rows[0].ood);
  return used.map((row) => ({
    label: data.blocks[row.block].label,
    seconds: Math.max(Number(row.seconds), 1e-4),
    value: valueOf(row, key),
  }));
}

/** Name the points that no other beats at less cost, as far as their names do not lie over each other. */
function named(points, lower, width) {
  const better = (a, b) => (lower ? a < b : a > b);
  const front = [...points]
    .sort((a, b) => a.seconds - b.seconds)
    .filter((point, place, order) => order.slice(0, place).every((other) => better(point.value, other.value)));
  const logs = points.map((point) => Math.log(point.seconds));
  const values = points.map((point) => point.value);
  const span = (numbers) => [Math.min(...numbers), Math.max(Math.max(...numbers) - Math.min(...numbers), 1e-9)];
  const [[x0, dx], [y0, dy]] = [span(logs), span(values)];
  const kept = [];
  for (const point of [...front].reverse()) {
    const at = {
      x: ((Math.log(point.seconds) - x0) / dx) * width,
      y: ((point.value - y0) / dy) * 240,
      wide: point.label.length * 7.5 + 12,
    };
    if (
      kept.every(
        (other) => Math.abs(other.at.y - at.y) > 16 || Math.abs(other.at.x - at.x) > Math.max(other.at.wide, at.wide),
      )
    )
      kept.push({ ...point, at, left: at.x > width * 0.7 });
  }
  return kept;
}

function showCost() {
  const column = data.columns[0];
  const all = column ? costs(column.key) : [];
  byId("cost-part").hidden = all.length < 3;
  if (all.length < 3) return;
  byId("cost-h").textContent = `${column.label} against cost`;
  const sign = column.lower ? -1 : 1;
  const [worst] = endsOf(all.map((point) => sign * point.value));
  const points = all.filter((point) => sign * point.value >= worst);
  const left = all.length - points.length;
  byId("cost-said").textContent =
    "Seconds to fit and score all sets, beside what several scorers share. Named are those that no other one beats at less cost." +
    (left
      ? ` ${plural(left, "scorer")} that ${left === 1 ? "is" : "are"} far worse ${left === 1 ? "is" : "are"} not drawn.`
      : "");
  const tens = points.map((point) => Math.log10(point.seconds));
  const first = Math.floor(Math.min(...tens));
  const powers = Array.from({ length: Math.ceil(Math.max(...tens)) - first + 1 }, (_, i) => 10 ** (first + i));
  const x = {
    field: "seconds",
    type: "quantitative",
    title: "seconds",
    scale: { type: "log", domain: [powers[0], powers[powers.length - 1]] },
    axis: { format: "~g", values: powers, grid: true },
  };
  const y = {
    field: "value",
    type: "quantitative",
    title: `${column.label} (%)`,
    scale: { zero: false, padding: 16 },
    axis: { tickCount: 5, grid: true, labelExpr: "format(100 * datum.value, '~g')" },
  };
  const names = named(points, column.lower, byId("cost").clientWidth - 60);
  const text = (values, align) =>
    values.length
      ? [
          {
            data: { values },
            mark: { type: "text", align, dx: align === "left" ? 8 : -8, dy: -7, fontSize: 12, color: colour("ink") },
            encoding: { x, y, text: { field: "label", type: "nominal" } },
          },
        ]
      : [];
  draw(
    "cost",
    `${column.label} of ${plural(points.length, "scorer")} against their seconds`,
    {
      layer: [
        {
          data: { values: points },
          mark: { type: "point", filled: true, size: 50, color: colour("accent"), opacity: 0.8 },
          encoding: { x, y },
        },
        ...text(
          names.filter((point) => !point.left),
          "left",
        ),
        ...text(
          names.filter((point) => point.left),
          "right",
        ),
      ],
    },
    260,
  );
}

function startScatter() {
  byId("against").addEventListener("change", (event) => {
    against.block = Number(event.target.value);
    showAgainst(current());
  });
  showCost();
}
