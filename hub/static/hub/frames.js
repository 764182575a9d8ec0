// Frames of one charge point as they come. The stream ends by itself; the page gives up after ten minutes unwatched.
(() => {
    "use strict";
    const MOST_ROWS = 500, LONGEST = 10 * 60 * 1000;
    const box = document.getElementById("live-frames");
    const rows = document.getElementById("live-rows");
    const state = document.getElementById("live-state");
    const filter = document.getElementById("live-filter");
    const pause = document.getElementById("live-pause");
    let source = null, ending = null;

    const cell = (text, name) => {
        const made = document.createElement("td");
        made.textContent = text;
        if (name) made.className = name;
        return made;
    };
    const fits = (row) => row.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());
    const add = (frame) => {
        const row = document.createElement("tr");
        const out = frame.direction === "out";
        row.className = out ? "o-out" : "o-in";
        row.append(cell(String(frame.at).slice(11, 23)), cell(out ? "→" : "←"), cell(frame.action || "answer"),
            cell(frame.text === undefined ? JSON.stringify(frame.frame) : frame.text, "o-frame"));
        row.hidden = !fits(row);
        rows.prepend(row);
        while (rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
    };
    const stop = (why) => {
        if (source) source.close();
        source = null;
        clearTimeout(ending);
        state.textContent = why;
        pause.textContent = "Go on";
    };
    const start = () => {
        source = new EventSource(box.dataset.stream + "?timeout=120");
        pause.textContent = "Pause";
        source.onopen = () => { state.textContent = "live"; };
        source.addEventListener("frame", (event) => add(JSON.parse(event.data)));
        source.onerror = () => {
            if (source && source.readyState === EventSource.CLOSED) {
                stop("not live: too many watch already, or you are logged out");
            } else {
                state.textContent = "connecting …";
            }
        };
        ending = setTimeout(() => stop("stopped after ten minutes"), LONGEST);
    };
    pause.addEventListener("click", () => (source ? stop("paused") : start()));
    filter.addEventListener("input", () => { for (const row of rows.children) row.hidden = !fits(row); });
    start();
})();
