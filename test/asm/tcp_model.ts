/**
 * TCP connection tracking in the plainest words: what nf_conntrack does with liberal windows, from
 * its documentation in tables and rules, without regard to speed or size.
 *
 * @module
 */

const STATES = [
  "NONE",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT",
  "CLOSE_WAIT",
  "LAST_ACK",
  "TIME_WAIT",
  "CLOSE",
  "SYN_SENT2",
] as const;
/** States by their names. */
export type State = (typeof STATES)[number];

type Class = "syn" | "synack" | "fin" | "ack" | "rst";

/** By direction and class: the next state by the old one; `-` invalid, `=` ignored. */
const NEXT: readonly Readonly<Record<Class, string>>[] = [
  {
    syn: "SS SS = = = = = SS SS S2",
    synack: "- - SR - - - - - - SR",
    fin: "- - FW FW LA LA LA TW CL -",
    ack: "ES - ES ES CW CW TW TW CL -",
    rst: "- CL CL CL CL CL CL CL CL CL",
  },
  {
    syn: "- S2 - - - - - SS - S2",
    synack: "- SR = = = = = = = SR",
    fin: "- - FW FW LA LA LA TW CL -",
    ack: "- = SR ES CW CW TW TW CL =",
    rst: "- CL CL CL CL CL CL CL CL CL",
  },
];
const SHORT = ["NO", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2"];

const TIMEOUTS: Readonly<Record<State, number>> = {
  NONE: 0,
  SYN_SENT: 120_000,
  SYN_RECV: 60_000,
  ESTABLISHED: 432_000_000,
  FIN_WAIT: 120_000,
  CLOSE_WAIT: 60_000,
  LAST_ACK: 30_000,
  TIME_WAIT: 120_000,
  CLOSE: 10_000,
  SYN_SENT2: 120_000,
};
/** The longest while something is doubtful. */
const DOUBTFUL = 300_000;
const CLOSING: readonly State[] = ["FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE"];

/** A segment; `direction` 0 is the client's. Numbers are modulo 2^32. */
export interface Segment {
  readonly direction: 0 | 1;
  readonly class: Class;
  readonly seq: number;
  /** Absent when it has no ACK flag. */
  readonly ack?: number;
  readonly payload: number;
  readonly window: number;
}

/** What one side has sent, as far as it was seen. */
interface Side {
  end?: number;
  /** The end that the other side's first ACK speaks of, until the side itself is heard. */
  guess?: number;
  /** Highest acknowledgment that it sent. */
  maxAck?: number;
  unacknowledged: boolean;
  closedFirst: boolean;
}

function after(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

function freshSide(): Side {
  return { unacknowledged: false, closedFirst: false };
}

function endOf({ class: kind, seq, payload }: Segment): number {
  const one = kind === "syn" || kind === "synack" || kind === "fin" ? 1 : 0;
  return (seq + payload + one) >>> 0;
}

/** One tracked connection. */
export class TcpModel {
  state: State = "NONE";
  assured = false;
  expiresAt = 0;
  #answered = false;
  #sides: [Side, Side] = [freshSide(), freshSide()];
  #last: { class?: Class; direction: number; end?: number } = { direction: 0 };
  /** The last plain ACK, or what was ignored since. */
  #lastAck?: { seq: number; ack: number; end: number; window: number };
  #repeated = 0;
  #challengeExpected = false;
  #simultaneous = false;

  /** What becomes of a segment: "new": the connection begins anew with it. */
  handle(segment: Segment, now: number): "accept" | "invalid" | "new" | "last" {
    const { direction, class: kind } = segment;
    const old = this.state;
    const symbol = NEXT[direction][kind].split(" ")[STATES.indexOf(old)];
    if (symbol === "-") return "invalid";
    if (old === "NONE") return this.#begin(segment, symbol, now);
    let next = symbol === "=" ? null : STATES[SHORT.indexOf(symbol)];
    let from: State = old;
    if (next === "SYN_SENT" && (old === "TIME_WAIT" || old === "CLOSE")) {
      const over = this.#sides.some((side) => side.closedFirst) ||
        (this.#last.class === "rst" && this.#last.direction === direction);
      if (over) return "new";
      next = null;
    }
    if (next === null) {
      if (!this.#answersIgnoredSyn(segment)) {
        this.#ignore(segment, old);
        return "accept";
      }
      this.#sides[1 - direction] = { ...freshSide(), end: this.#last.end };
      this.#sides[direction] = freshSide();
      this.#challengeExpected = this.#simultaneous = false;
      from = "SYN_SENT";
      next = "SYN_RECV";
    }
    const last = this.#last;
    if (
      next === "TIME_WAIT" && old === "LAST_ACK" && kind === "ack" && this.#challengeExpected &&
      last.class === "syn" && last.direction !== direction
    ) {
      this.#challengeExpected = false;
      return "accept";
    }
    if (next === "SYN_SENT2") this.#simultaneous = true;
    if (next === "SYN_RECV" && kind === "ack" && direction === 1 && this.#simultaneous) {
      next = "ESTABLISHED";
    }
    if (kind === "rst") {
      const judged = this.#judgeReset(segment, from);
      if (judged === null) return "invalid";
      next = judged;
    }
    this.#follow(segment, from);
    this.#last = {
      class: kind,
      direction,
      end: kind === "ack" ? endOf(segment) : this.#last.end,
    };
    this.state = next;
    if (next === "FIN_WAIT" && from !== next) this.#sides[direction].closedFirst = true;
    return this.#refresh(segment, from, now);
  }

  /** To be told of an accepted segment of the server's. */
  answered(): void {
    this.#answered = true;
  }

  #begin(segment: Segment, symbol: string, now: number): "accept" {
    this.state = STATES[SHORT.indexOf(symbol)];
    this.#follow(segment, this.state);
    const end = segment.class === "ack" ? endOf(segment) : undefined;
    this.#last = { class: segment.class, direction: 0, end };
    const timeout = TIMEOUTS[this.state];
    this.expiresAt = now + (this.state === "ESTABLISHED" ? Math.min(timeout, DOUBTFUL) : timeout);
    return "accept";
  }

  #answersIgnoredSyn({ class: kind, direction, ack }: Segment): boolean {
    return kind === "synack" && this.#last.class === "syn" && this.#last.direction !== direction &&
      ack === (this.#last.end ?? 0);
  }

  #ignore(segment: Segment, old: State): void {
    const { class: kind, direction, seq, ack = 0, window } = segment;
    const end = endOf(segment);
    this.#last = { class: kind, direction, end };
    this.#lastAck = { seq, ack, end, window };
    if (kind === "syn" && direction === 0) {
      this.#challengeExpected = old === "LAST_ACK";
      this.#simultaneous = false;
    }
  }

  /** The state after a reset, or null when it is too old to be true. */
  #judgeReset({ direction, seq }: Segment, old: State): State | null {
    if (CLOSING.includes(old)) return "CLOSE";
    const { maxAck } = this.#sides[1 - direction];
    if (maxAck === undefined || this.#last.class === "syn") return "CLOSE";
    if (seq === 0 && old !== "ESTABLISHED") return "CLOSE";
    if (after(maxAck, seq)) return null;
    if (old !== "ESTABLISHED" || seq === maxAck) return "CLOSE";
    const endsTrain = this.#last.class === "ack" && this.#last.direction === direction &&
      this.#last.end === seq;
    return endsTrain ? "CLOSE" : old;
  }

  #follow(segment: Segment, old: State): void {
    const { class: kind, direction, seq, ack, window } = segment;
    const own = this.#sides[direction], peer = this.#sides[1 - direction];
    const end = endOf(segment);
    const opens = kind === "syn" || kind === "synack";
    if (own.end === undefined) {
      own.end = end;
      if (!opens && peer.end === undefined) peer.guess = ack ?? 0;
    } else if (after(end, own.end) && (opens ? ["SYN_SENT", "SYN_RECV"].includes(old) : false)) {
      own.end = end;
    } else if (after(end, own.end) && kind !== "rst") {
      own.end = end;
      own.unacknowledged = true;
    }
    if (ack !== undefined && !(kind === "rst" && ack === 0)) {
      const plausible = peer.end === undefined || !after(ack, peer.end);
      if (plausible && (own.maxAck === undefined || after(ack, own.maxAck))) own.maxAck = ack;
      if (ack === (peer.end ?? peer.guess)) peer.unacknowledged = false;
    }
    if (kind !== "ack") return;
    const now = { seq, ack: ack ?? 0, end, window };
    const known = this.#lastAck;
    const same = this.#last.direction === direction && known !== undefined &&
      known.seq === now.seq && known.ack === now.ack && known.end === end &&
      known.window === window;
    this.#repeated = same ? this.#repeated + 1 : 0;
    this.#lastAck = now;
  }

  #refresh(segment: Segment, old: State, now: number): "accept" | "last" {
    const { class: kind } = segment;
    let timeout = TIMEOUTS[this.state];
    const repeated = this.#repeated >= 3 && timeout > DOUBTFUL;
    if (kind === "rst" && !repeated) timeout = TIMEOUTS.CLOSE;
    else {
      const doubtful = repeated || this.#sides.some((side) => side.unacknowledged) ||
        (this.#lastAck?.window ?? 0) === 0;
      if (doubtful) timeout = Math.min(timeout, DOUBTFUL);
    }
    const next = this.state;
    if (!this.#answered) {
      if (kind === "rst") return "last";
      if (kind === "syn" && old === "SYN_SENT") return "accept";
      if (next === "ESTABLISHED") timeout = Math.min(timeout, DOUBTFUL);
    } else if (["SYN_RECV", "ESTABLISHED"].includes(old) && next === "ESTABLISHED") {
      this.assured = true;
    }
    this.expiresAt = now + timeout;
    return "accept";
  }
}
