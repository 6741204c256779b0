/** Knows a simulated MCP server that runs as a process: one message a line, and the ways in which a process misbehaves. */

import type { SimChild } from './child.js';
import type { Json, Line, SimServer } from './server.js';
import type { Program, World } from './world.js';

export interface ProcessFaults {
  /** Chance that a start fails, and with which errno. */
  refuses: number;
  errno: string;
  /** Longest time until it runs. */
  startMs: number;
  /** Chance that it ends by itself at some time, and the longest life of such a one. */
  dies: number;
  lifeMs: number;
  /** Ignores the end of its stdin; ignores SIGTERM; leaves a grandchild behind. */
  stubborn: boolean;
  immortal: boolean;
  forks: boolean;
}

export const NO_PROCESS_FAULTS: ProcessFaults = {
  refuses: 0,
  errno: 'EAGAIN',
  startMs: 20,
  dies: 0,
  lifeMs: 0,
  stubborn: false,
  immortal: false,
  forks: false,
};

export class StdioProgram implements Program {
  readonly #server: SimServer;
  readonly #faults: ProcessFaults;
  readonly #world: World;

  constructor(server: SimServer, faults: ProcessFaults) {
    this.#server = server;
    this.#faults = faults;
    this.#world = server.world;
  }

  refuses(): string | undefined {
    return this.#server.random.chance(this.#faults.refuses) ? this.#faults.errno : undefined;
  }

  startMs(): number {
    return this.#server.random.int(0, this.#faults.startMs);
  }

  run(child: SimChild): void {
    const server = this.#server;
    const faults = this.#faults;
    const { loop } = this.#world;
    const { random } = server;
    child.grandchild = faults.forks;
    child.deafGrandchild = faults.immortal;
    const line: Line = {
      send: (message) => child.say(`${JSON.stringify(message)}\n`, random.chance(0.1) ? random.int(2, 4) : 1),
      noise: () => child.say(random.pick(['ready\n', '\n', '{"half": \n', '[]\n', '\ufeffhello\r\n', '{}\n'])),
      crash: (mid) => {
        if (mid) child.say(JSON.stringify(mid).slice(0, random.int(1, 40)));
        child.complain(`${server.name} gives up\n`);
        child.exit(random.pick([0, 1, 139]));
      },
      stall: (ms) => {
        child.stall(true);
        loop.after(ms, () => child.stall(false));
      },
      get alive() {
        return !child.exited;
      },
    };
    child.onLine = (text) => server.receive(JSON.parse(text) as Json, line, child);
    child.onEnd = () => {
      if (!faults.stubborn) loop.after(random.int(0, 30), () => child.exit(0));
    };
    child.onTerm = () => {
      if (!faults.immortal) loop.after(random.int(0, 30), () => child.exit(null, 'SIGTERM'));
    };
    if (random.chance(faults.dies))
      loop.after(random.int(1, faults.lifeMs), () => child.exit(random.pick([0, 1]), null));
  }
}
