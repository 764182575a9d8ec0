// Shows an operation and how it ends: asks the operation API, which answers once it has ended or after some seconds.
"use strict";

(() => {
    const card = document.getElementById("operation");
    const shown = (name) => card.querySelector(`[data-show="${name}"]`);
    const open = new Set(["QUEUED", "SENT"]);
    const tones = {ANSWERED: "o-good", QUEUED: "o-busy", SENT: "o-busy"};

    function show(operation) {
        for (const name of ["created_at", "dispatched_at", "ended_at", "effect", "error"]) {
            shown(name).textContent = operation[name] ?? "–";
        }
        for (const name of ["payload", "answer"]) {
            const value = operation[name];
            shown(name).textContent = value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value, null, 2);
        }
        const state = shown("state");
        state.textContent = operation.state;
        state.className = `o-badge ${tones[operation.state] ?? "o-bad"}`;
    }

    async function follow() {
        let query = "";
        for (;;) {
            let pause = 200;
            try {
                const answer = await fetch(card.dataset.api + query, {headers: {Accept: "application/json"}});
                const told = await answer.json();
                shown("told").textContent = answer.ok ? "" : told.message;
                if (answer.ok) {
                    show(told);
                    if (!open.has(told.state) && told.effect !== "PENDING") return;
                    query = open.has(told.state) ? "?wait_for=ended&timeout=10" : "";
                    if (told.effect === "PENDING") pause = 3000;
                } else {
                    pause = 3000;
                }
                if (answer.status === 401 || answer.status === 403) return;
            } catch (error) {
                shown("told").textContent = `no answer: ${error.message}`;
                pause = 3000;
            }
            await new Promise((resolve) => setTimeout(resolve, pause));
        }
    }

    follow();
})();
