// Elements made from plain text, numbers written as the rest of oodkit writes them, and where shades begin and end.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** Make an element; texts among the children become text, never markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

function fill(id, ...children) {
  byId(id).replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
}

const given = (value) => value !== null && value !== undefined && !Number.isNaN(Number(value));

/** Write with two decimals, exact ties to even: only multiples of 1/8 can be one. */
function fixed(value) {
  const eighths = value * 8;
  if (!Number.isInteger(eighths) || eighths % 2 === 0) return value.toFixed(2);
  const low = Math.floor(value * 100);
  return ((low % 2 === 0 ? low : low + 1) / 100).toFixed(2);
}

const percent = (share) => (given(share) ? fixed(100 * Number(share)) : "–");
const rate = (part, whole) => (whole > 0 ? fixed((100 * part) / whole) : "–");
const count = (value) => value.toLocaleString("en-US");

/** Write a score in a few digits. */
function score(value, digits = 5) {
  const number = Number(value);
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  const text =
    Math.abs(number) >= 1e6 || (number !== 0 && Math.abs(number) < 1e-4)
      ? number.toExponential(3)
      : String(Number(number.toPrecision(digits)));
  return text.replace("-", "−");
}

const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

const MANY = 8; // more scorers than this show their means first, the best on top, and their outliers apart

/** Where the shades begin and end; among many, a few far worse values do not make all others look the same. */
function endsOf(values) {
  const rising = [...values].sort((a, b) => a - b);
  const quarter = (share) => rising[Math.round(share * (rising.length - 1))];
  const whisker = values.length > MANY ? quarter(0.25) - 1.5 * (quarter(0.75) - quarter(0.25)) : -Infinity;
  return [rising.find((value) => value >= whisker), rising[rising.length - 1]];
}
