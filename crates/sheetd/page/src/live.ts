import type { Change } from "./api";

const RETRY_MS = 1000;

export interface Listener {
  /** What happened; nothing where it is unknown, because events were missed. */
  onChange(change?: Change): void;
  onConnection(connected: boolean): void;
}

/** The stream of changes, kept open: where it breaks it is opened again, and whoever listens reads anew. */
export class Live {
  private source: EventSource | undefined;
  private connected = true;
  private broken = false;

  constructor(private readonly listener: Listener) {
    this.open();
  }

  close(): void {
    this.source?.close();
    this.source = undefined;
  }

  private open(): void {
    const source = new EventSource("/_sheetd/events");
    this.source = source;
    source.addEventListener("open", () => {
      this.say(true);
      if (this.broken) this.listener.onChange();
      this.broken = false;
    });
    source.addEventListener("change", (event) => {
      this.listener.onChange(JSON.parse(event.data as string) as Change);
    });
    source.addEventListener("missed", () => this.listener.onChange());
    source.addEventListener("error", () => {
      source.close();
      this.broken = true;
      this.say(false);
      setTimeout(() => {
        if (this.source === source) this.open();
      }, RETRY_MS);
    });
  }

  private say(connected: boolean): void {
    if (connected !== this.connected) this.listener.onConnection(connected);
    this.connected = connected;
  }
}
