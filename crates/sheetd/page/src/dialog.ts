import { el } from "./dom";

/** Asks for a text; nothing where the person thought better of it. */
export function askText(title: string, value: string, lines: boolean): Promise<string | undefined> {
  const field = lines
    ? el("textarea", { value, rows: 5, ariaLabel: title })
    : el("input", { type: "text", value, ariaLabel: title });
  field.addEventListener("keydown", (event) => {
    const pressed = event as KeyboardEvent;
    if (pressed.key === "Enter" && (!lines || pressed.ctrlKey)) {
      event.preventDefault();
      field.closest("dialog")?.close("ok");
    }
  });
  return ask(title, field, "Save").then((ok) => (ok ? field.value : undefined));
}

export function confirm(title: string, text: string, action: string): Promise<boolean> {
  return ask(title, el("p", {}, text), action);
}

function ask(title: string, content: HTMLElement, action: string): Promise<boolean> {
  const dialog = el("dialog", {}, el("h2", {}, title), content);
  const button = (label: string, value: string, className: string): HTMLButtonElement => {
    const made = el("button", { type: "button", className }, label);
    made.addEventListener("click", () => dialog.close(value));
    return made;
  };
  dialog.append(el("div", { className: "actions" }, button("Cancel", "", "quiet"), button(action, "ok", "primary")));
  document.body.append(dialog);
  dialog.showModal();
  if (content instanceof HTMLInputElement) content.select();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "ok");
    });
  });
}
