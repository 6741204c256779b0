/** Knows where the project lies, how its scripts run other programs, and how contents are told apart. Needs Node alone. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs `work` where its file is the one that Node was started with; a failure is told in one line. */
export async function main(meta, work) {
  if (process.argv[1] === undefined || realpathSync(process.argv[1]) !== realpathSync(fileURLToPath(meta.url))) return;
  try {
    await work();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

/** Every file below `folder`, as sorted paths from the project's root with forward slashes. */
export function filesBelow(folder) {
  const start = join(root, folder);
  if (!existsSync(start)) return [];
  return readdirSync(start, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      relative(root, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    )
    .sort();
}

/** One hash over the names and contents of files; a missing one counts as absent. */
export function hashOf(files, ...more) {
  const hash = createHash('sha256');
  for (const file of files) {
    const path = join(root, file);
    hash.update(`\0${file}\0`);
    if (existsSync(path)) hash.update(readFileSync(path));
  }
  for (const text of more) hash.update(`\0${text}`);
  return hash.digest('hex');
}

/**
 * Runs a program to its end, its output on ours.
 * @returns its exit code; 1 where it could not be started or a signal ended it
 */
export function run(command, args, options = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', ...options });
    child.on('error', (error) => {
      process.stderr.write(`${command}: ${error.message}\n`);
      done(1);
    });
    child.on('close', (code) => done(code ?? 1));
  });
}

/** Runs a JavaScript file with the Node that runs us. */
export function runNode(args, options) {
  return run(process.execPath, args, options);
}

/** Runs npm: by its own script where we know it (as under `npm run`), else by name. */
export function runNpm(args, options = {}) {
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js') && existsSync(script)) return runNode([script, ...args], options);
  const beside = join(dirname(process.execPath), 'node_modules', 'npm', 'bin', 'npm-cli.js');
  if (existsSync(beside)) return runNode([beside, ...args], options);
  return run('npm', args, { ...options, shell: process.platform === 'win32' });
}

/** Tells people what happens; stdout stays with what was asked for. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}
