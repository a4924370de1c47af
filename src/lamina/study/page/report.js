"use strict";
(() => {
  const root = document.documentElement;
  const config = { responsive: true, displayModeBar: false, displaylogo: false, scrollZoom: false };
  const colours = ["paper", "panel", "ink", "muted", "line", "network", "rival", "better", "equal", "worse", "onbetter", "onequal", "onworse"];
  const scheme = () => {
    const style = getComputedStyle(root);
    return Object.fromEntries(colours.map(name => ["$" + name, style.getPropertyValue("--" + name).trim()]));
  };
  const paint = (value, palette) => {
    if (typeof value === "string") return palette[value] ?? value;
    if (Array.isArray(value)) return value.map(item => paint(item, palette));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, paint(item, palette)]));
  };
  const hidden = plot => plot.closest("details:not([open])") !== null;
  const draw = plot => {
    if (hidden(plot)) return;
    const choices = JSON.parse(document.getElementById(plot.dataset.source).textContent);
    const select = document.getElementById(plot.dataset.select ?? "");
    const { data, layout } = paint(choices[select ? select.selectedIndex : 0].figure, scheme());
    Plotly.react(plot, data, layout, config);
  };
  const plots = [...document.querySelectorAll(".plot")];
  const all = () => plots.forEach(draw);
  plots.forEach(plot => document.getElementById(plot.dataset.select ?? "")?.addEventListener("change", () => draw(plot)));
  document.querySelectorAll("details").forEach(box =>
    box.addEventListener("toggle", () => box.open && plots.filter(plot => box.contains(plot)).forEach(draw)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  addEventListener("beforeprint", () => { root.dataset.print = ""; all(); });
  addEventListener("afterprint", () => { delete root.dataset.print; all(); });
  all();
})();
