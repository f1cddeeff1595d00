"use strict";
// Reads values off the charts under the pointer. Without it the page says the same, only less exactly. What it
// knows of a chart stands in the chart: data-plot holds the plot's x, y, width and height in the units of the
// view box, data-x and data-y an axis each: low, high, logarithmic, in per cent.
(() => {
  const numbers = (text) => text.split(" ").map(Number);

  const value = ([low, high, logarithmic], share) =>
    logarithmic ? low * (high / low) ** share : low + share * (high - low);

  const write = (v, percent) => {
    const shown = percent ? 100 * v : v;
    const size = Math.abs(shown);
    const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? shown.toExponential(2) : String(Number(shown.toPrecision(4)));
    return percent ? text + "%" : text;
  };

  // The points of a path of the form "M12 34l0 0 5-6 7 8".
  const points = (path) => {
    const out = [];
    for (const part of path.getAttribute("d").split("M").slice(1)) {
      const [x, y, ...rest] = part.match(/-?\d+/g).map(Number);
      let at = [x, y];
      for (let i = 0; i < rest.length; i += 2) {
        at = [at[0] + rest[i], at[1] + rest[i + 1]];
        out.push(at);
      }
    }
    return out;
  };

  const nearest = (line, x) =>
    line.reduce((best, at) => (Math.abs(at[0] - x) < Math.abs(best[0] - x) ? at : best), line[0]);

  for (const chart of document.querySelectorAll("svg.chart")) {
    const lines = [...chart.querySelectorAll("path.line")];
    if (lines.length === 0) continue;
    const [left, top, width, height] = numbers(chart.dataset.plot);
    const x_axis = numbers(chart.dataset.x);
    const y_axis = numbers(chart.dataset.y);
    const names = [...document.querySelectorAll("#curves .legend li")].map((item) => item.textContent.trim());
    const figure = chart.closest("figure");
    const readout = document.createElement("div");
    const cross = lines[0].cloneNode(false);
    readout.className = "readout";
    cross.setAttribute("class", "cross");
    let parsed = null;

    const hide = () => {
      readout.remove();
      cross.remove();
    };

    const show = (event) => {
      parsed ??= lines.map(points);
      const box = chart.getBoundingClientRect();
      const unit = chart.viewBox.baseVal.width / box.width;
      const pointer = (event.clientX - box.left) * unit;
      if (pointer < left - 100 || pointer > left + width + 100) return hide();
      const x = nearest(parsed[0], pointer)[0];
      cross.setAttribute("d", `M${x} ${top}v${height}`);
      readout.replaceChildren(
        `${chart.dataset.name} ${write(Math.round(value(x_axis, (x - left) / width)), x_axis[3])}`);
      parsed.forEach((line, i) => {
        const y = nearest(line, x)[1];
        const swatch = document.createElement("i");
        swatch.setAttribute("class", lines[i].getAttribute("class").replace("line", ""));
        readout.append("\n", swatch,
          `${write(value(y_axis, 1 - (y - top) / height), y_axis[3])}${names[i] ? "  " + names[i] : ""}`);
      });
      chart.append(cross);
      figure.append(readout);
      const outer = figure.getBoundingClientRect();
      const at = box.left - outer.left + x / unit;
      readout.style.top = `${box.top - outer.top + 4}px`;
      readout.style.left = at < outer.width / 2 ? `${at + 10}px` : `${at - 10 - readout.offsetWidth}px`;
    };

    chart.addEventListener("pointermove", show);
    chart.addEventListener("pointerdown", show);
    chart.addEventListener("pointerleave", hide);
  }
})();
