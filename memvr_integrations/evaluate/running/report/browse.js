"use strict";
(() => {
  const asked = [...document.querySelectorAll(".asked")];
  const cards = [...document.querySelectorAll(".card")];
  const controls = [...document.querySelectorAll(".controls [name]")];
  const count = document.getElementById("count");
  const links = [...document.querySelectorAll("nav.pages a")];
  const texts = asked.map((one) => `${one.closest(".card").querySelector(".pictures").textContent} ${one.textContent}`.toLowerCase());
  document.documentElement.classList.add("scripted");

  const control = (name) => controls.find((one) => one.name === name);
  const ticked = (name) => Boolean(control(name) && control(name).checked);
  const value = (name) => control(name) ? control(name).value : "";
  const among = (one, name, whose) => {
    const strategies = one.dataset[name].split(" ").filter(Boolean);
    return whose === "" ? strategies.length > 0 : strategies.includes(whose);
  };
  const unsure = (one, whose, limit) => one.dataset.unsure.split(" ").some((share, strategy) =>
    share !== "-" && (whose === "" || whose === String(strategy)) && Number(share) > limit);

  const kept = () => {
    const state = new URLSearchParams();
    for (const one of controls) {
      const now = one.type === "checkbox" ? (one.checked ? "1" : "") : one.value;
      if (now !== (one.type === "range" ? one.defaultValue : "")) state.set(one.name, now);
    }
    return state.toString();
  };
  const show = () => {
    const whose = value("whose"), flipped = value("flipped"), limit = Number(value("limit"));
    const words = value("words").toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    asked.forEach((one, number) => {
      const fits = (!ticked("wrong") || among(one, "wrong", whose))
        && (!ticked("failed") || among(one, "failed", whose))
        && (!ticked("unsure") || unsure(one, whose, limit))
        && (flipped === "" || among(one, "flipped", flipped))
        && words.every((word) => texts[number].includes(word));
      one.hidden = !fits;
      left += fits ? 1 : 0;
    });
    for (const card of cards) card.hidden = !card.querySelector(".asked:not([hidden])");
    count.textContent = `${left} of the ${asked.length} questions on this page`;
    const shown = document.getElementById("shown-limit");
    if (shown) shown.textContent = limit.toFixed(2);
    const state = kept();
    for (const link of links) link.hash = state;
    try { history.replaceState(null, "", `#${state}`); } catch { /* the address stays as it is */ }
  };
  const read = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const one of controls) {
      if (one.type === "checkbox") one.checked = state.get(one.name) === "1";
      else one.value = state.get(one.name) ?? (one.type === "range" ? one.defaultValue : "");
      if (one.tagName === "SELECT" && one.selectedIndex < 0) one.value = "";
    }
    show();
  };
  for (const one of controls) one.addEventListener("input", show);
  addEventListener("hashchange", read);
  read();
})();
