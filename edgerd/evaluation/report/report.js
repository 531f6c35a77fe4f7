"use strict";

// Rates as in rates.py: the same rules and roundings, for another threshold.

function percent(share) {
  return (Math.floor(1000 * share + 0.5) / 10).toFixed(1) + " %";
}

function wilsonInterval(count, n, z) {
  const share = count / n, extra = z * z / n;
  const middle = (share + extra / 2) / (1 + extra);
  const half = z * Math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra);
  return [count === 0 ? 0 : Math.max(0, middle - half), count === n ? 1 : Math.min(1, middle + half)];
}

function showRate(element, count, n, isPoor, z) {
  const bar = element.querySelector(".bar i");
  if (bar) bar.style.width = n ? `${100 * count / n}%` : "0";
  element.classList.toggle("poor", n > 0 && isPoor(count / n, wilsonInterval(count, n, z)[0]));
  if (!n) return;
  const [low, high] = wilsonInterval(count, n, z);
  element.querySelector(".share").textContent = percent(count / n);
  element.querySelector(".counted").textContent = `${count} of ${n}`;
  element.querySelector(".interval").textContent = `${percent(low)} to ${percent(high)}`;
}

// A class of pictures: its mistakes stand in one list, the others in another. Both together are sorted so that the
// mistakes are the beginning at any threshold. So a change moves only the pictures between the old and the new one.
class PictureClass {
  constructor(wrong, right) {
    this.lists = { wrong, right };
    this.pictures = [...wrong.element.children, ...right.element.children].map((figure) => (
      { figure, score: Number(figure.dataset.score), defect: figure.dataset.defect }
    ));
    this.nWrong = wrong.element.children.length;
  }

  place(nWrong) {
    while (this.nWrong < nWrong) this.mark(this.pictures[this.nWrong++], "wrong");
    while (this.nWrong > nWrong) this.mark(this.pictures[--this.nWrong], "right");
    for (const { element } of Object.values(this.lists)) {
      document.querySelector(`[data-count-of="${element.id}"]`).textContent = element.children.length;
    }
  }

  mark({ figure }, side) {
    const { element, word } = this.lists[side];
    if (side === "wrong") element.append(figure);
    else element.prepend(figure);
    const tag = figure.querySelector(".tag");
    tag.className = `tag ${side}`;
    tag.textContent = word;
  }
}

function list(name, word) {
  return { element: document.getElementById(name), word };
}

// Moves a group of a chart by as much as its values change from the ones it was drawn at; charts.py says how.
function moveInChart(group, from, to) {
  const along = (axis) => {
    const [first, last, start, end] = group.dataset[axis].split(" ").map(Number);
    return axis in to ? (to[axis] - from[axis]) / (last - first) * (end - start) : 0;
  };
  group.setAttribute("transform", `translate(${along("x")} ${along("y")})`);
}

function setUpThreshold(start) {
  const defective = new PictureClass(list("missed", "missed"), list("found", "found"));
  const good = new PictureClass(list("alarms", "false alarm"), list("passed", "OK"));
  const [field, slider, reset] = ["threshold", "slider", "reset"].map((id) => document.getElementById(id));
  const step = (start.high - start.low) / start.steps;
  const decimals = Math.min(100, Math.max(0, Math.ceil(-Math.log10(step))));
  const positionOf = (value) => Math.round((value - start.low) / step);
  const isAbove = (threshold) => (picture) => picture.score > threshold;
  const atStart = rates(start.threshold);

  function rates(threshold) {
    const above = (pictures) => pictures.filter(isAbove(threshold)).length;
    return { found: above(defective.pictures), alarms: above(good.pictures) };
  }

  function poorRecall(share) {
    return share < start.poorRecall;
  }

  function poorAlarms(share, low) {
    return low > start.askedFalseAlarmRate;
  }

  function showRates(threshold, { found, alarms }) {
    for (const element of document.querySelectorAll("[data-rate]")) {
      const { rate, kind } = element.dataset;
      const ofKind = defective.pictures.filter((picture) => picture.defect === kind);
      if (rate === "recall") showRate(element, found, defective.pictures.length, poorRecall, start.z);
      else if (rate === "alarms") showRate(element, alarms, good.pictures.length, poorAlarms, start.z);
      else showRate(element, ofKind.filter(isAbove(threshold)).length, ofKind.length, poorRecall, start.z);
    }
  }

  function showCharts(threshold, { found, alarms }) {
    const line = document.querySelector(".moves-to-threshold");
    moveInChart(line, { x: start.threshold }, { x: threshold });
    line.querySelector("text").textContent = `threshold ${Number(threshold.toPrecision(4))}`;
    const point = document.querySelector(".moves-to-rates");
    const share = (one) => ({ x: one.alarms / good.pictures.length, y: one.found / defective.pictures.length });
    if (point) moveInChart(point, share(atStart), share({ found, alarms }));
  }

  function showPanel(threshold, { found, alarms }) {
    const isStart = threshold === start.threshold;
    const outcome = `${found} of ${defective.pictures.length} defective parts found, ` +
      `${alarms} of ${good.pictures.length} good parts called NG`;
    document.getElementById("headline").textContent =
      `${outcome}${isStart ? "" : `, if the threshold were ${threshold}`}.`;
    document.getElementById("outcome").textContent = outcome;
    const command = document.createElement("code");
    command.textContent = `edgerd run ${isStart ? "" : `--threshold ${threshold} `}${start.runOptions}`;
    document.getElementById("typed").replaceChildren(
      isStart ? "The bundle's own threshold: " : "What if. To use this threshold: ", command,
    );
    document.getElementById("panel").classList.toggle("moved", !isStart);
    reset.disabled = isStart;
    field.value = Number(threshold.toPrecision(6));
    slider.value = positionOf(threshold);
    slider.setAttribute("aria-valuetext", `${Number(threshold.toPrecision(6))}: ${outcome}`);
  }

  function judge(threshold) {
    const counts = rates(threshold);
    defective.place(defective.pictures.length - counts.found);
    good.place(counts.alarms);
    showRates(threshold, counts);
    showCharts(threshold, counts);
    showPanel(threshold, counts);
  }

  slider.addEventListener("input", () => {
    const position = Number(slider.value);
    const value = Number((start.low + position * step).toFixed(decimals));
    judge(position === positionOf(start.threshold) ? start.threshold : value);
  });
  field.addEventListener("change", () => {
    judge(Number.isFinite(field.valueAsNumber) ? field.valueAsNumber : start.threshold);
  });
  reset.addEventListener("click", () => {
    judge(start.threshold);
    slider.focus();
  });
  showPanel(start.threshold, atStart);
}

// A picture in the whole window, with its heatmap and mask beside it.

function setUpLargePictures(dialog) {
  const views = dialog.querySelector(".views");
  let current = null;

  function view(source, name, title) {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    const image = document.createElement("img");
    image.src = source;
    image.alt = `${name} of ${title}`;
    caption.textContent = name;
    figure.append(image, caption);
    return figure;
  }

  function show(figure) {
    const link = figure.querySelector("a"), title = figure.querySelector("figcaption b").textContent;
    const shown = [["Picture", link.dataset.plain], ["Heatmap", link.getAttribute("href")], ["Mask", link.dataset.mask]];
    views.replaceChildren(...shown.filter(([, source]) => source).map(([name, source]) => view(source, name, title)));
    dialog.querySelector("#large-name").textContent = title;
    dialog.querySelector(".about").replaceChildren(
      ...[...figure.querySelectorAll("figcaption span")].map((span) => span.cloneNode(true)),
    );
    current = figure;
  }

  function go(by) {
    const figures = [...document.querySelectorAll("figure.picture")];
    const next = figures[figures.indexOf(current) + by];
    if (next) show(next);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("figure.picture a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link.closest("figure"));
    dialog.showModal();
  });
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) {
      event.preventDefault();
      go(by);
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.querySelector(".back").addEventListener("click", () => go(-1));
  dialog.querySelector(".on").addEventListener("click", () => go(1));
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    const link = current.querySelector("a");
    link.scrollIntoView({ block: "nearest" });
    link.focus();
  });
}

const whatIf = document.getElementById("what-if");
if (whatIf) {
  document.body.classList.add("can-move");
  setUpThreshold(JSON.parse(whatIf.textContent));
}
setUpLargePictures(document.getElementById("large"));
