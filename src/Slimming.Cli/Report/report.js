"use strict";
(() => {
  const runs = JSON.parse(document.getElementById("curves").textContent);
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => (value == null ? "-" : value.toPrecision(5));
  const height = (width) => Math.round(Math.min(380, Math.max(240, width * 0.45)));
  const charts = [];

  function build(run, place) {
    const width = place.clientWidth;
    const axis = () => ({
      stroke: color("--muted"), grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--line"), width: 1 },
      font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
    });
    const series = [{ label: "step" }];
    series.push({
      label: "train loss", stroke: color("--train"), width: run.mean ? 1 : 1.75, alpha: run.mean ? 0.6 : 1,
      points: { show: run.steps.length < 3 }, spanGaps: true, value: (_, v) => number(v),
    });
    if (run.mean) {
      series.push({
        label: "train loss, mean of " + run.window, stroke: color("--mean"), width: 2, points: { show: false },
        spanGaps: true, value: (_, v) => number(v),
      });
    }
    if (run.evalLoss.some((v) => v != null)) {
      series.push({
        label: "eval loss", stroke: color("--eval"), width: 2, dash: [6, 4], spanGaps: true,
        points: { show: true, size: 7, fill: color("--eval") }, value: (_, v) => number(v),
      });
    }
    const data = [run.steps, run.loss];
    if (run.mean) data.push(run.mean);
    if (series.some((s) => s.label === "eval loss")) data.push(run.evalLoss);
    const options = {
      width, height: height(width), series,
      scales: { x: { time: false } },
      axes: [
        { ...axis(), label: "step", labelSize: 20, size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] },
        { ...axis(), label: "loss (nats per target)", labelSize: 22, size: 52 },
      ],
    };
    place.textContent = "";
    return new uPlot(options, data, place);
  }

  function draw() {
    for (const chart of charts.splice(0)) chart.destroy();
    runs.forEach((run, i) => charts.push(build(run, document.getElementById("curve-" + i))));
  }

  draw();
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = charts[Number(target.id.slice("curve-".length))];
      const width = target.clientWidth;
      if (chart && width !== chart.width) chart.setSize({ width, height: height(width) });
    }
  });
  runs.forEach((_, i) => resized.observe(document.getElementById("curve-" + i)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // Paper is white: the curves are drawn again in the colours of the print rules, and back afterwards.
  matchMedia("print").addEventListener("change", draw);
  // Settings that are folded on the screen are printed too.
  const folded = [...document.querySelectorAll("details:not([open])")];
  addEventListener("beforeprint", () => folded.forEach((d) => { d.open = true; }));
  addEventListener("afterprint", () => folded.forEach((d) => { d.open = false; }));
})();
