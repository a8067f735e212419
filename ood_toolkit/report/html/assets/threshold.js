// The threshold of the chosen case: a slider whose every stop has exact counts, and all that follows from it.
const state = { case: null, place: 0, spread: false };
let saidLater = 0;

const current = () => data.cases[state.case];
const thresholdAt = (one, place) => Number(one.positions.t[place]);

function share4(one, place) {
  const now = acceptedAt(one, place);
  const all = inAll(one);
  const uncertain = { hit: one.sizes.wrong - now.wrong, false: one.sizes.right - now.right, miss: now.wrong };
  return {
    now,
    all,
    accepted: rate(now.id, all.id),
    detected: rate(all.ood - now.ood, all.ood),
    fpr: rate(now.ood, all.ood),
    precision: rate(now.id, now.id + now.ood),
    f1: rate(2 * uncertain.hit, 2 * uncertain.hit + uncertain.false + uncertain.miss),
  };
}

function moveTo(place) {
  const one = current();
  state.place = Math.min(Math.max(place, 0), one.positions.t.length - 1);
  byId("threshold").value = String(state.place);
  showThreshold(one);
}

function showThreshold(one) {
  const place = state.place;
  const cut = thresholdAt(one, place);
  const { now, all, accepted, detected, fpr, precision, f1 } = share4(one, place);
  const own = place === one.positions.own ? ", the scorer's own" : "";
  byId("threshold-said").textContent = Number.isFinite(cut) ? `${score(cut)}${own}` : `above all scores${own}`;
  byId("threshold").setAttribute(
    "aria-valuetext",
    `${score(cut)}: ${accepted} % of ID accepted, ${detected} % of OOD detected`,
  );
  signal("histogram", { cut: whereOf(one, place) });
  moveCurves(one, place);
  const big = (key, words, value, said) => [
    make(
      "div",
      {},
      make("dt", {}, words),
      make("dd", { "data-rate": key }, value === "–" ? value : `${value} %`, make("small", {}, said)),
    ),
  ];
  fill(
    "rates",
    big("accepted", "ID accepted", accepted, `${count(now.id)} of ${count(all.id)}`),
    big("detected", "OOD detected", detected, `${count(all.ood - now.ood)} of ${count(all.ood)}`),
    big("fpr", "FPR", fpr, `${count(now.ood)} OOD accepted`),
    big("precision", "Precision", precision, "ID among accepted"),
    all.known ? big("f1", "F1(uncertain)", f1, "rejected = “wrong”") : [],
  );
  const line = (name, words) => {
    const n = one.sizes[name];
    return n
      ? make(
          "tr",
          { "data-group": name },
          make(
            "th",
            { class: "text", scope: "row" },
            make("span", { class: `key ${name}${all.known ? "" : " all"}` }),
            words,
          ),
          make("td", { "data-count": "accepted" }, count(now[name])),
          make("td", { "data-count": "rejected" }, count(n - now[name])),
          make("td", {}, rate(now[name], n)),
        )
      : null;
  };
  fill(
    "confusion",
    make("caption", {}, "Images at this threshold"),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        ...["images", "accepted", "uncertain", "accepted (%)"].map((words, i) =>
          make("th", { scope: "col", class: i ? null : "text" }, words),
        ),
      ),
    ),
    make("tbody", {}, ...GROUPS.map(([name, words]) => line(name, words)).filter(Boolean)),
  );
  clearTimeout(saidLater);
  saidLater = setTimeout(() => {
    byId("live").textContent =
      `Threshold ${score(cut)}: ID accepted ${accepted} %, OOD detected ${detected} %, FPR ${fpr} %, precision ${precision} %`;
  }, 600);
  showJumps(one);
}

function showJumps(one) {
  const { own, rules } = one.positions;
  const jump = (words, place) =>
    make(
      "button",
      { type: "button", "aria-pressed": String(place === state.place), onclick: () => moveTo(place) },
      words,
    );
  const ours = rules.filter((rule) => rule.ours && rule.at !== null);
  fill(
    "jumps",
    own === null ? [] : jump("the scorer's own", own),
    ours.map((rule) => jump(rule.metric === "fpr95_id" ? "95 % of ID accepted" : "95 % of OOD detected", rule.at)),
  );
}

function startThreshold() {
  byId("threshold").addEventListener("input", (event) => moveTo(Number(event.target.value)));
}
