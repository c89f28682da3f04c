// The picture of how a lot's price came about: admitted bids as steps, refused ones beside them, read from the public
// API and continued with each new head.

import { instant, moment, money, word } from "./words.js";

const figure = document.getElementById("chart");
const plot = figure.querySelector(".chart-plot");
const says = figure.querySelector(".chart-says");
const bids = [];
let axis = "order";
let chart = null;
let reading = false;
let asked = false;

const token = (name) => getComputedStyle(figure).getPropertyValue(`--${name}`).trim();
const yuan = (fen) => Number(fen) / 100;

async function read() {
  const path = `/v1/lots/${figure.dataset.lot}/bids`;
  let grown = false;
  for (;;) {
    const answer = await fetch(`${path}?after=${bids.at(-1)?.index ?? -1}`);
    if (!answer.ok) break;
    const page = await answer.json();
    if (!page.length) break;
    bids.push(...page);
    grown = true;
  }
  return grown;
}

// uPlot wants one shared, rising x: log order counts all bids, time repeats where bids share a batch.
function columns() {
  const x = bids.map((bid, at) => (axis === "order" ? at + 1 : Number(bid.time_us) / 1e6));
  let price = null;
  const standing = bids.map((bid) => (price = bid.reason === null ? yuan(bid.price_fen) : price));
  const admitted = bids.map((bid) => (bid.reason === null ? yuan(bid.price_fen) : null));
  const refused = bids.map((bid) => (bid.reason === null ? null : yuan(bid.price_fen)));
  return [x, standing, admitted, refused];
}

function level(u, value, colour, dash) {
  const y = u.valToPos(value, "y", true);
  if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
  u.ctx.save();
  u.ctx.strokeStyle = colour;
  u.ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  u.ctx.lineWidth = devicePixelRatio;
  u.ctx.beginPath();
  u.ctx.moveTo(u.bbox.left, y);
  u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
  u.ctx.stroke();
  u.ctx.restore();
}

function marks(u) {
  level(u, yuan(figure.dataset.startFen), token("ink-3"), [2, 4]);
  if (figure.dataset.ceilingFen) level(u, yuan(figure.dataset.ceilingFen), token("amber"), [8, 4]);
}

function tellPoint(at) {
  const bid = bids[at ?? bids.length - 1];
  if (!bid) return;
  const values = { order: bids.indexOf(bid) + 1, time: instant(bid.time_us), code: bid.code, price: money(bid.price_fen) };
  says.textContent = word(bid.reason === null ? "chart.point" : "chart.point_refused", values);
}

function options(width) {
  const grid = { stroke: token("line"), width: 1 };
  const ink = { stroke: token("ink-2"), font: `12px ${token("sans")}`, grid, ticks: { ...grid, size: 4 } };
  const dots = (stroke, fill, size) => ({ show: true, size, stroke, fill, width: 2 });
  return {
    width,
    height: Math.round(Math.min(340, Math.max(220, width * 0.45))),
    legend: { show: false },
    cursor: { y: false, points: { size: 9 } },
    scales: {
      x: { time: axis === "time", range: (u, low, high) => { const pad = Math.max((high - low) * 0.03, 0.5); return [low - pad, high + pad]; } },
      y: { range: (u, low, high) => {
        const least = Math.min(low ?? Infinity, yuan(figure.dataset.startFen));
        const pad = Math.max((high - least) * 0.12, least * 0.02);
        return [Math.max(0, least - pad), high + pad];
      } },
    },
    axes: [
      { ...ink, ...(axis === "order" ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000] } : {}),
        ...(axis === "time" ? { values: (u, ticks) => ticks.map((tick) => (ticks.at(-1) - ticks[0] > 21600 ? moment(tick * 1e6) : instant(tick * 1e6, true))), space: 100 } : {}) },
      { ...ink, values: (u, ticks) => ticks.map((tick) => money(tick * 100).replace(/\.00$/, "")), size: 78 },
    ],
    series: [
      {},
      { stroke: token("cinnabar"), width: 2, paths: uPlot.paths.stepped({ align: 1 }), fill: token("cinnabar-soft"), points: { show: false } },
      { stroke: token("cinnabar"), paths: () => null, points: dots(token("cinnabar"), token("surface"), 7) },
      { stroke: token("ink-3"), paths: () => null, points: dots(token("ink-3"), token("surface"), 6) },
    ],
    hooks: { drawAxes: [marks], setCursor: [(u) => tellPoint(u.cursor.idx)] },
  };
}

function draw() {
  if (!bids.length) {
    says.textContent = says.dataset.empty;
    figure.dataset.empty = "true";
    return;
  }
  delete figure.dataset.empty;
  chart?.destroy();
  chart = new uPlot(options(plot.clientWidth), columns(), plot);
  tellPoint();
}

async function refresh() {
  asked = true;
  if (reading) return;
  reading = true;
  try {
    while (asked) {
      asked = false; // a head that comes while we read asks again
      if (!(await read())) continue;
      if (chart === null) draw();
      else chart.setData(columns());
      tellPoint();
    }
  } catch {
    // The connection is gone; the next head, once it is back, brings what was missed.
  } finally {
    reading = false;
  }
}

for (const button of document.querySelectorAll("[data-axis]"))
  button.addEventListener("click", () => {
    axis = button.dataset.axis;
    for (const each of document.querySelectorAll("[data-axis]")) each.setAttribute("aria-pressed", String(each === button));
    draw();
  });

new ResizeObserver(() => chart && chart.width !== plot.clientWidth && draw()).observe(plot);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
document.body.addEventListener("head", refresh);
draw();
refresh();
