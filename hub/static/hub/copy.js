// Copies what a button names to the clipboard; without a secure page the browser only lets a selection be copied.
document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    event.preventDefault();
    const source = document.getElementById(button.dataset.copy);
    let copied = false;
    try {
        await navigator.clipboard.writeText(source.textContent);
        copied = true;
    } catch {
        const selection = window.getSelection();
        selection.selectAllChildren(source);
        copied = document.execCommand("copy");
    }
    const words = button.textContent;
    button.textContent = copied ? "Copied" : "Select it and copy";
    setTimeout(() => { button.textContent = words; }, 1500);
});
