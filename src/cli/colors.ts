/** Knows when colours are wanted. */

import pc from 'picocolors';

export type Colors = ReturnType<typeof pc.createColors>;

/** NO_COLOR (https://no-color.org) and `--no-color` win over FORCE_COLOR, which wins over what the stream is. */
export function colorsFor(stream: { isTTY?: boolean }, wanted: boolean): Colors {
  const { env } = process;
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '' && env['FORCE_COLOR'] !== '0';
  const on = wanted && !env['NO_COLOR'] && (forced || (stream.isTTY === true && env['TERM'] !== 'dumb'));
  return pc.createColors(on);
}
