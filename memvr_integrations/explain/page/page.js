"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = [...document.querySelectorAll("button.word")];
  const canvases = [...document.querySelectorAll("canvas.heat")];
  const details = document.getElementById("details");
  const strength = document.getElementById("strength");
  let state = data.state, pinned = null, hovered = null;
  document.documentElement.classList.add("scripted");

  const colour = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (data.anchors.length - 1);
    const low = Math.floor(at), high = Math.min(low + 1, data.anchors.length - 1);
    return data.anchors[low].map((one, i) => one + (data.anchors[high][i] - one) * (at - low));
  };
  const paint = (canvas, cells, columns, signed) => {
    const rows = cells.length / columns;
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext("2d"), pixels = context.createImageData(columns, rows);
    cells.forEach((share, i) => {
      const rgb = signed ? (share < 0 ? data.less : data.more) : colour(share);
      const alpha = signed ? Math.abs(share) : 0.12 + 0.88 * Math.max(share, 0);
      pixels.data.set([...rgb, 255 * alpha], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
  };
  const values = (map) => Array.from(atob(map.cells), (one) => {
    const cell = one.charCodeAt(0);
    return cell > 127 ? 0 : cell * map.most / 127;  // a negative byte speaks against the word
  });
  const cells = (shown, image) => {
    const maps = shown.maps;
    if (state !== "difference") return values((maps[state] || maps.on || maps.off)[image]);
    const off = values(maps.off[image]);
    return values(maps.on[image]).map((one, i) => one - off[i]);
  };
  const agreed = (one) => one === null || one === undefined ? "" :
    ` ${data.second} ${one >= 0.8 ? "agrees" : one >= 0.6 ? "agrees in part" : "does not agree"} (${one.toFixed(2)}; .5 is chance).`;

  const draw = () => {
    const number = hovered === null ? pinned : hovered;
    const shown = number === null ? data.whole : data.tokens[number];
    const signed = state === "difference";
    const all = canvases.map((_, image) => cells(shown, image));
    const most = Math.max(...all.flat().map(Math.abs)) || 1;
    canvases.forEach((canvas, image) => {
      const columns = Object.values(shown.maps)[0][image].columns;
      paint(canvas, all[image].map((one) => one / most), columns, signed);
      canvas.style.opacity = strength.value / 100;
      const says = canvas.closest("figure").querySelector(".says");
      says.textContent = shown.flat[image] ? "Nothing stands out here: don't read it as a place." :
        agreed(shown.agreement[image]);
    });
    const bar = document.getElementById("bar");
    paint(bar, Array.from({ length: 256 }, (_, i) => signed ? i / 127.5 - 1 : i / 255), 256, signed);
    document.getElementById("low").textContent = signed ? (-most).toPrecision(2) : "0";
    document.getElementById("high").textContent = most.toPrecision(2);
    words.forEach((word) => {
      const own = Number(word.dataset.token);
      word.setAttribute("aria-pressed", String(own === pinned));
      word.classList.toggle("shown", own === number);
    });
    if (number === null) {
      details.textContent = "The map of the whole answer: its words with content together.";
      return;
    }
    const layers = Object.entries(shown.entropies).map(([layer, one]) => `${layer}: ${one}`).join(", ");
    const scores = Object.entries(shown.score).map(([one, score]) => `${score} with MemVR ${one}`).join(", ");
    details.textContent = `\u201c${shown.text}\u201d: ${shown.spoken}. Explained score: ${scores}.` +
      (layers ? ` Entropy by layer: ${layers}.` : "");
  };

  words.forEach((word, at) => {
    const own = Number(word.dataset.token);
    word.addEventListener("mouseenter", () => { hovered = own; draw(); });
    word.addEventListener("mouseleave", () => { hovered = null; draw(); });
    word.addEventListener("focus", () => { hovered = own; draw(); });
    word.addEventListener("blur", () => { hovered = null; draw(); });
    word.addEventListener("click", () => { pinned = pinned === own ? null : own; draw(); });
    word.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      words[(at + step + words.length) % words.length].focus();
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    pinned = hovered = null;
    if (document.activeElement) document.activeElement.blur();
    draw();
  });
  document.querySelectorAll("input[name=state]").forEach((input) => {
    const missing = input.value !== data.state && !data.tokens.some((one) => one.maps.off && one.maps.on);
    input.disabled = missing;
    input.addEventListener("change", () => { state = input.value; draw(); });
  });
  strength.addEventListener("input", draw);
  draw();
})();
