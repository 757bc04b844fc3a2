import "./style.css";
import { parseAddress } from "./address";
import { BookView } from "./book";
import { el } from "./dom";
import { home } from "./home";
import { Live } from "./live";
import type { View } from "./view";

const lost = el("div", { className: "lost", role: "status", hidden: true }, "Connection lost. Trying again…");
const place = el("div", { className: "place" });
document.body.append(place, lost);

let view: View | undefined;

function route(): void {
  const { book, tab } = parseAddress(location.hash);
  if (view instanceof BookView && book === view.id) {
    void view.open(tab);
    return;
  }
  view?.close();
  view = book === undefined ? home() : new BookView(book, tab);
  place.replaceChildren(view.element);
}

new Live({
  onChange: (change) => view?.change(change),
  onConnection: (connected) => {
    lost.hidden = connected;
    document.documentElement.classList.toggle("offline", !connected);
  },
});
addEventListener("hashchange", route);
route();
