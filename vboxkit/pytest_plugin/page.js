"use strict";
// Hides what does not have all words of the filter; draws the timeline for what is left.
(function () {
  var form = document.getElementById("filter");
  var input = form.querySelector("input");
  var count = form.querySelector("output");
  var rows = Array.from(document.querySelectorAll("[data-row]"), function (element) {
    var words = element.textContent + " " + (element.getAttribute("data-words") || "");
    return { element: element, text: words.toLowerCase() };
  });
  var lanes = document.querySelector(".lanes");

  function asked() {
    var found = /[#&]search=([^&]*)/.exec(location.hash);
    if (!found) return null;
    try {
      return decodeURIComponent(found[1].replace(/\+/g, " "));
    } catch (error) {
      return found[1];
    }
  }

  function zoom() {
    if (!lanes) return;
    var from = Infinity, to = -Infinity, all = parseFloat(lanes.getAttribute("data-span"));
    lanes.querySelectorAll("tr[data-from]:not([hidden])").forEach(function (row) {
      from = Math.min(from, parseFloat(row.getAttribute("data-from")));
      to = Math.max(to, parseFloat(row.getAttribute("data-to")));
    });
    if (!input.value.trim() || !(from < to)) { from = 0; to = all; }
    lanes.style.setProperty("--from", from);
    lanes.style.setProperty("--span", to - from);
    var scale = lanes.querySelector(".scale"), step = Math.pow(10, Math.floor(Math.log10(to - from)));
    [5, 2, 1, 0.5, 0.2].some(function (factor) {
      if ((to - from) / (step * factor) < 4) return false;
      step *= factor;
      return true;
    });
    scale.textContent = "";
    for (var at = Math.ceil(from / step) * step; at < to - (to - from) * 0.05; at += step) {
      var tick = document.createElement("i");
      tick.style.setProperty("--t", at);
      tick.textContent = parseFloat(at.toFixed(2)) + " s";
      scale.appendChild(tick);
    }
  }

  function apply() {
    var words = input.value.toLowerCase().split(/\s+/).filter(Boolean), left = 0;
    rows.forEach(function (row) {
      row.element.hidden = !words.every(function (word) { return row.text.includes(word); });
      if (!row.element.hidden) left += 1;
    });
    document.querySelectorAll("tbody").forEach(function (body) {
      var head = body.querySelector("tr.group");
      if (head) head.hidden = !body.querySelector("[data-row]:not([hidden])");
    });
    document.querySelectorAll("section").forEach(function (section) {
      var note = section.querySelector(".nothing");
      if (note) note.hidden = !words.length || !!section.querySelector("[data-row]:not([hidden])");
    });
    count.textContent = words.length ? left + " of " + rows.length : "";
    zoom();
  }

  function take() {
    var words = asked();
    if (words !== null && words !== input.value) input.value = words;
    if (words !== null) window.scrollTo(0, 0);
    apply();
  }

  // Of what ends with the failure, its end.
  function toEnd(box) {
    box.querySelectorAll("pre.end").forEach(function (pre) { pre.scrollTop = pre.scrollHeight; });
  }

  document.querySelectorAll("details").forEach(function (box) {
    toEnd(box);
    box.addEventListener("toggle", function () { toEnd(box); });
  });
  form.hidden = false;
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  input.addEventListener("input", function () {
    apply();
    try {
      var words = encodeURIComponent(input.value);
      history.replaceState(null, "", words ? "#search=" + words : "#");
    } catch (error) { /* a viewer that forbids it: the filter works all the same */ }
  });
  window.addEventListener("hashchange", take);
  take();
})();
