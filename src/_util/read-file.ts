/** Knows how to read a file without ever taking in more than a limit. */

import { open } from 'node:fs/promises';

const CHUNK = 64 * 1024;

/**
 * The bytes of a file, or `undefined` if it has more than `maxBytes`. What a file says of its own size is not believed:
 * devices and pipes say 0, and a file may grow while it is read.
 */
export async function readBounded(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > maxBytes) return undefined;
    const chunks: Buffer[] = [];
    let total = 0;
    for (;;) {
      const buffer = Buffer.allocUnsafe(Math.max(size - total + 1, CHUNK));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return Buffer.concat(chunks, total);
      total += bytesRead;
      if (total > maxBytes) return undefined;
      chunks.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
