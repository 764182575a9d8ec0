"use strict";

// Asks for the state each second and draws it. Text only ever becomes text nodes, never markup.

const PAUSE = 1000; // ms

const TONES = {
    CONNECTED: "good", AVAILABLE: "good", match: "good", REGISTERED: "good",
    CHARGING: "busy", ACTIVE: "busy", PLANNED: "busy", RESERVED: "busy", INVITED: "busy", "": "busy",
    OFFLINE: "bad", SUSPENDED: "bad", PAUSED: "bad", OUTOFORDER: "bad", INOPERATIVE: "bad", BLOCKED: "bad",
    mismatch: "bad",
};

function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
        if (value !== undefined && value !== null) {
            element.setAttribute(name, value);
        }
    }
    for (const child of children) {
        if (child !== null && child !== undefined && child !== "") {
            element.append(child instanceof Node ? child : String(child));
        }
    }
    return element;
}

function badge(word, tone) {
    return make("span", { class: `badge ${tone || TONES[word] || "odd"}` }, word);
}

function time(text) {
    return new Date(text).toLocaleTimeString([], { hour12: false });
}

function duration(from, to) {
    const seconds = Math.max(0, Math.floor((new Date(to) - new Date(from)) / 1000));
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    const two = (number) => String(number).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

function money(cost, currency) {
    return cost === null ? "–" : `${Number(cost).toFixed(2)} ${currency || ""}`;
}

function energy(kwh) {
    return kwh === null ? "–" : `${Number(kwh).toFixed(3)} kWh`;
}

function platformCard(platform) {
    const waiting = [];
    if (platform.pending) {
        waiting.push(`${platform.pending} pending`);
    }
    if (platform.marks) {
        waiting.push(`${platform.marks} marks`);
    }
    const connection = platform.state === "REGISTERED" ? platform.connection : platform.state;
    return make(
        "article", { class: "card" },
        make("h3", {}, platform.name), badge(connection),
        make("p", {}, platform.roles.join(", ") || "no approved roles"),
        make("p", { class: "quiet" }, [
            platform.version && `OCPI ${platform.version}`,
            platform.ms !== null && `${platform.ms} ms`,
            waiting.join(", "),
        ].filter(Boolean).join(" · ")),
    );
}

function tile(evse) {
    const label = `${evse.location} ${evse.uid}: ${evse.status}`;
    return make("div", { class: `tile ${evse.status.toLowerCase()}`, title: label }, make("b", {}, evse.uid), evse.status);
}

function row(...cells) {
    return make("tr", {}, ...cells.map((cell) => (
        cell && cell.number !== undefined ? make("td", { class: "n" }, cell.number) : make("td", {}, cell)
    )));
}

function table(heads, rows, empty) {
    if (!rows.length) {
        return make("p", { class: "note" }, empty);
    }
    return make("div", { class: "scroll" }, make(
        "table", {},
        make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { class: head.startsWith("#") ? "n" : null }, head.replace("#", ""))))),
        make("tbody", {}, ...rows),
    ));
}

function charging(state, now) {
    const total = state.statuses.reduce((sum, one) => sum + one.number, 0);
    const owner = state.side === "cpo";
    const sessions = state.sessions.map((one) => row(
        one.id, owner ? null : one.party, one.evse, one.token, duration(one.start, now),
        { number: energy(one.kwh) }, { number: money(one.cost, one.currency) },
    ));
    const cdrs = state.cdrs.map((one) => row(
        one.id, owner ? null : one.party, time(one.start), { number: energy(one.kwh) },
        { number: money(one.cost, one.currency) },
        one.verdict === null ? null : badge(one.verdict || "checking", TONES[one.verdict]),
    ));
    return [
        make("section", {},
            make("h2", {}, owner ? "Our EVSEs" : "EVSEs we know", " ", make("small", {}, total)),
            make("p", { class: "counts" }, ...state.statuses.map((one) => make("span", {}, badge(one.status), ` ${one.number}`))),
            make("div", { class: "tiles" }, ...state.evses.map(tile)),
            total > state.evses.length ? make("p", { class: "note" }, `the first ${state.evses.length} of ${total}`) : null),
        make("section", {},
            make("h2", {}, "Active sessions ", make("small", {}, state.sessions.length)),
            table(["session", owner ? "" : "CPO", "EVSE", "token", "for", "#energy", "#cost excl. VAT"], sessions, "Nobody is charging right now.")),
        make("section", {},
            make("h2", {}, "CDRs ", make("small", {}, state.cdr_number)),
            table(["CDR", owner ? "" : "CPO", "start", "#energy", "#total excl. VAT", owner ? "" : "verdict"], cdrs, "No CDRs yet.")),
    ];
}

function message(one) {
    const good = one.status !== null && one.status < 400 && (one.code === null || one.code < 2000);
    const answer = one.status === null ? one.error || "no answer" : [one.status, one.code].filter(Boolean).join(" / ");
    return row(
        time(one.at), one.direction === "IN" ? "→ us" : "us →", one.platform, `${one.method} ${one.what}`,
        badge(answer, good ? "good" : "bad"), { number: one.ms === null ? "" : one.ms.toFixed(1) },
    );
}

// What has not changed is not drawn again, so that text can be selected and scrolled tables stay where they are.
const drawn = new Map();

function draw(name, target, content, build) {
    const key = JSON.stringify(content);
    if (drawn.get(name) !== key) {
        drawn.set(name, key);
        const places = [...target.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
        target.replaceChildren(...build());
        target.querySelectorAll(".scroll").forEach((one, index) => { one.scrollLeft = places[index] || 0; });
    }
}

// A bar a minute, as high as the busiest one; what failed is red.
function traffic(minutes) {
    const most = Math.max(1, ...minutes.map(([number]) => number));
    const height = (number) => (number ? Math.max(1, Math.round((60 * number) / most)) : 0);
    const svg = (tag, attributes, ...children) => {
        const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
        Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
        element.append(...children);
        return element;
    };
    return minutes.map(([number, failed], index) => svg(
        "g", {},
        svg("title", {}, `${minutes.length - 1 - index} min ago: ${number} messages, ${failed} failed`),
        svg("rect", { class: "room", x: index * 12, y: 0, width: 9, height: 60 }),
        svg("rect", { class: "bar", x: index * 12, y: 60 - height(number), width: 9, height: height(number) }),
        svg("rect", { class: "failed", x: index * 12, y: 60 - height(failed), width: 9, height: height(failed) }),
    ));
}

function showTraffic(state, find) {
    const picture = find("#traffic svg");
    const total = state.traffic.reduce((sum, [number]) => sum + number, 0);
    picture.setAttribute("viewBox", `0 0 ${state.traffic.length * 12} 60`);
    find("#traffic small").textContent = total.toLocaleString("en");
    draw("traffic", picture, state.traffic, () => traffic(state.traffic));
}

function showPlatforms(state, find) {
    const total = state.connections.reduce((sum, one) => sum + one.number, 0);
    find("#platforms small").textContent = total;
    find("#platforms > .note").textContent = total > state.platforms.length
        ? `the first ${state.platforms.length} of ${total}, those in trouble before all others` : "";
    draw("connections", find("#platforms .counts"), state.connections, () => (
        total > 1 ? state.connections.map((one) => make("span", {}, badge(one.status), ` ${one.number}`)) : []));
    draw("platforms", find("#platforms .cards"), state.platforms, () => (
        state.platforms.length ? state.platforms.map(platformCard) : [make("p", { class: "note" }, "No platforms yet.")]));
}

function show(state) {
    const find = (selector) => document.querySelector(selector);
    find("#clock").textContent = time(state.at);
    find("#clock").className = "";
    find("#parties").textContent = state.parties.join(", ");
    showTraffic(state, find);
    showPlatforms(state, find);
    find("#objects").hidden = !state.sides.includes("hub");
    draw("objects", find("#objects .cards"), state.objects, () => (
        state.objects.length
            ? state.objects.map((one) => make("article", { class: "card figure" }, make("b", {}, one.number), one.module))
            : [make("p", { class: "note" }, "Nothing was broadcast yet.")]));
    const running = state.charging.some((side) => side.sessions.length);
    draw("charging", find("#charging"), [state.charging, running ? state.at : ""], () => (
        state.charging.flatMap((side) => charging(side, state.at))));
    draw("exchanges", find("#exchanges tbody"), state.exchanges, () => state.exchanges.map(message));
}

async function poll() {
    const url = document.body.dataset.state;
    try {
        const answer = await fetch(url, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(10000) });
        if (answer.status === 403) {
            window.location.reload();
            return;
        }
        if (!answer.ok) {
            throw new Error(`HTTP ${answer.status}`);
        }
        show(await answer.json());
    } catch (error) {
        const clock = document.querySelector("#clock");
        clock.textContent = `no answer (${error.message})`;
        clock.className = "away";
    }
    window.setTimeout(poll, document.hidden ? 5 * PAUSE : PAUSE);
}

poll();
