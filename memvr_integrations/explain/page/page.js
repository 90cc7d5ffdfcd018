"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = [...document.querySelectorAll("button.word")];
  const canvases = [...document.querySelectorAll("canvas.heat")];
  const [details, layers, low, high, scale, bar, strength, against] =
    ["details", "layers", "low", "high", "scale", "bar", "strength", "against"].map((id) => document.getElementById(id));
  let state = data.state, pinned = null, over = null, focused = null;
  document.documentElement.classList.add("scripted");

  const colour = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (data.anchors.length - 1);
    const first = Math.floor(at), next = Math.min(first + 1, data.anchors.length - 1);
    return data.anchors[first].map((one, i) => one + (data.anchors[next][i] - one) * (at - first));
  };
  const paint = (canvas, shares, columns, signed) => {
    const rows = shares.length / columns;
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext("2d"), pixels = context.createImageData(columns, rows);
    shares.forEach((share, i) => {
      const rgb = !signed ? colour(share) : share < 0 ? data.less : data.more;
      const alpha = signed ? Math.abs(share) * data.strong : data.faint + Math.max(share, 0) * (data.strong - data.faint);
      pixels.data.set([...rgb, 255 * alpha], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
  };

  const frame = (box, place) => {
    box.style.display = place === null ? "none" : "block";
    if (place === null) return;
    const [left, top, right, bottom] = place;
    Object.assign(box.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
  };

  const both = () => against !== null && against.checked;
  const values = (map) => Array.from(atob(map.cells), (one) => {
    const byte = one.charCodeAt(0), cell = byte > 127 ? byte - 256 : byte;
    return (both() ? cell : Math.max(cell, 0)) * map.most / 127;
  });
  const added = (tokens, image, own) => {
    const maps = tokens.map((at) => values(data.tokens[at].maps[own][image]));
    return maps[0].map((_, i) => maps.reduce((sum, one) => sum + one[i], 0));
  };
  const cells = (tokens, image) => {
    if (state !== "difference") return added(tokens, image, state);
    const off = added(tokens, image, "off");
    return added(tokens, image, "on").map((one, i) => one - off[i]);
  };
  const write = (element, text) => {  // what says the same again is not read out again
    if (element.textContent !== text) element.textContent = text;
  };

  const drawLayers = (shown) => {
    layers.replaceChildren(...(shown.entropies || []).map(([layer, entropy]) => {
      const one = document.createElement("span"), limit = document.createElement("i");
      one.dataset.layer = layer;
      one.style.setProperty("--share", Math.min(Math.max(entropy, 0), 1));
      one.classList.toggle("trigger", layer === shown.trigger);
      if (data.threshold !== null) {
        limit.style.bottom = `${100 * Math.min(data.threshold, 1)}%`;
        one.append(limit);
      }
      return one;
    }));
  };
  const drawScale = (most, signed) => {
    paint(bar, Array.from({ length: 256 }, (_, i) => signed ? i / 127.5 - 1 : i / 255), 256, signed);
    const [from, to] = [signed ? (-most).toPrecision(2) : "0", most.toPrecision(2)];
    write(low, from);
    write(high, to);
    scale.setAttribute("aria-label", `Scale from ${from} to ${to}: ${document.getElementById("unit").textContent}`);
  };
  const draw = () => {
    const number = over ?? focused ?? pinned;
    const shown = number === null ? data.whole : data.tokens[number];
    const signed = state === "difference" || both();
    const all = canvases.map((_, image) => cells(number === null ? shown.tokens : [number], image));
    const most = all.flat().reduce((so, one) => Math.max(so, Math.abs(one)), 0);
    const like = (number === null ? data.tokens[shown.tokens[0]] : shown).maps[data.state];
    canvases.forEach((canvas, image) => {
      paint(canvas, all[image].map((one) => one / (most || 1)), like[image].columns, signed);
      const figure = canvas.closest("figure");
      write(figure.querySelector(".says"), shown.says[state][image]);
      frame(figure.querySelector(".box"), state === data.state ? shown.boxes[image] : null);
    });
    drawScale(most, signed);
    drawLayers(shown);
    write(details, shown.details);
    words.forEach((word) => {
      const own = Number(word.dataset.token);
      word.setAttribute("aria-pressed", String(own === pinned));
      word.classList.toggle("shown", own === number);
    });
  };
  const fade = () => canvases.forEach((canvas) => { canvas.style.opacity = strength.value / 100; });

  words.forEach((word, at) => {
    const own = Number(word.dataset.token);
    word.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse") return;  // a finger chooses, it can't hover
      over = own;
      draw();
    });
    word.addEventListener("pointerleave", () => { over = null; draw(); });
    word.addEventListener("focus", () => {
      if (!word.matches(":focus-visible")) return;
      focused = own;
      draw();
    });
    word.addEventListener("blur", () => { focused = null; draw(); });
    word.addEventListener("click", () => {
      pinned = pinned === own ? null : own;
      if (pinned === null) over = focused = null;
      draw();
    });
    word.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
      if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      words[(to + words.length) % words.length].focus();
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    pinned = over = focused = null;
    draw();
  });
  document.querySelectorAll("input[name=state]").forEach((input) => {
    input.addEventListener("change", () => { state = input.value; draw(); });
  });
  if (against !== null) against.addEventListener("change", draw);
  strength.addEventListener("input", fade);
  fade();
  draw();
})();
