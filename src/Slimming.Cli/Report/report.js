"use strict";
(() => {
  const { curves, calibration } = JSON.parse(document.getElementById("data").textContent);
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => (value == null ? "-" : value.toPrecision(5));
  const runColors = () => ["--train", "--eval", "--third", "--mean", "--muted"].map(color);

  const axis = () => ({
    stroke: color("--muted"), grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--line"), width: 1 },
    font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
  });

  function curve(run) {
    const series = [{ label: "step" }];
    const data = [run.steps, run.loss];
    series.push({
      label: "train loss", stroke: color("--train"), width: run.mean ? 1 : 1.75, alpha: run.mean ? 0.6 : 1,
      points: { show: run.steps.length < 3 }, spanGaps: true, value: (_, v) => number(v),
    });
    if (run.mean) {
      series.push({
        label: "train loss, mean of " + run.window, stroke: color("--mean"), width: 2, points: { show: false },
        spanGaps: true, value: (_, v) => number(v),
      });
      data.push(run.mean);
    }
    if (run.evalLoss.some((v) => v != null)) {
      series.push({
        label: "eval loss", stroke: color("--eval"), width: 2, dash: [6, 4], spanGaps: true,
        points: { show: true, size: 7, fill: color("--eval") }, value: (_, v) => number(v),
      });
      data.push(run.evalLoss);
    }
    const options = {
      series, scales: { x: { time: false } },
      axes: [
        { ...axis(), label: "step", labelSize: 20, size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] },
        { ...axis(), label: "loss (nats per target)", labelSize: 22, size: 52 },
      ],
    };
    return { options, data };
  }

  // Accuracy against confidence; every run has its own places on the x axis.
  function reliability(runs) {
    const xs = [...new Set([0, 1, ...runs.flatMap((run) => run.points.map((p) => p[0]))])].sort((a, b) => a - b);
    const colors = runColors();
    const series = [
      { label: "confidence", value: (_, v) => number(v) },
      { label: "true", stroke: color("--muted"), width: 1, dash: [5, 5], points: { show: false }, value: (_, v) => number(v) },
    ];
    const data = [xs, xs];
    const bars = [];
    runs.forEach((run, i) => {
      const stroke = colors[i % colors.length];
      const at = new Map(run.points.map((p) => [p[0], p]));
      series.push({
        label: run.run, stroke, width: 2, spanGaps: true, points: { show: true, size: 7, fill: stroke }, value: (_, v) => number(v),
      });
      data.push(xs.map((x) => (at.has(x) ? at.get(x)[1] : null)));
      bars.push({ stroke, points: run.points });
    });
    const intervals = (plot) => {
      const { ctx } = plot;
      ctx.save();
      ctx.lineWidth = devicePixelRatio;
      for (const { stroke, points } of bars) {
        ctx.strokeStyle = stroke;
        ctx.beginPath();
        for (const [x, , low, high] of points) {
          const left = plot.valToPos(x, "x", true);
          ctx.moveTo(left, plot.valToPos(low, "y", true));
          ctx.lineTo(left, plot.valToPos(high, "y", true));
        }
        ctx.stroke();
      }
      ctx.restore();
    };
    const options = {
      series, hooks: { draw: [intervals] },
      scales: { x: { time: false, range: [0, 1] }, y: { range: [0, 1] } },
      axes: [
        { ...axis(), label: "confidence", labelSize: 20, size: 30 },
        { ...axis(), label: "right answers", labelSize: 22, size: 52 },
      ],
    };
    return { options, data };
  }

  const plots = [
    ...curves.map((run, i) => ({
      id: "curve-" + i, make: () => curve(run), height: (width) => Math.round(Math.min(380, Math.max(240, width * 0.45))),
    })),
    ...calibration.map((runs, i) => ({
      id: "calibration-" + i, make: () => reliability(runs), height: (width) => Math.round(Math.min(340, Math.max(240, width * 0.8))),
    })),
  ];

  function draw() {
    for (const plot of plots) {
      plot.chart?.destroy();
      const place = document.getElementById(plot.id);
      const { options, data } = plot.make();
      const width = place.clientWidth;
      place.textContent = "";
      plot.chart = new uPlot({ ...options, width, height: plot.height(width) }, data, place);
    }
  }

  draw();
  // In the next frame: a plot that changes its height here would be observed again at once, of which browsers complain.
  const resized = new ResizeObserver((entries) => requestAnimationFrame(() => {
    for (const { target } of entries) {
      const plot = plots.find((p) => p.id === target.id);
      const width = target.clientWidth;
      if (plot.chart && width > 0 && width !== plot.chart.width) plot.chart.setSize({ width, height: plot.height(width) });
    }
  }));
  plots.forEach((plot) => resized.observe(document.getElementById(plot.id)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // Paper is white: the plots are drawn again in the colours of the print rules, and back afterwards.
  matchMedia("print").addEventListener("change", draw);
  // What is folded on the screen is printed too, but for lists of items, which may be hundreds of pages: those that are open are.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open], .items)")];
    unfolded.forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => unfolded.forEach((d) => { d.open = false; }));
})();
