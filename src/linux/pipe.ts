/**
 * Pipes to child processes.
 *
 * @module
 */

import { close, cString, libc, O_NONBLOCK, O_WRONLY } from "./libc.ts";

/** What the kernel lets everyone have (pipe(7), pipe-max-size), 16 times as much as it gives. */
export const PIPE_ROOM = 1 << 20;

const F_SETPIPE_SZ = 1031;

/**
 * Makes room in the pipe that a child process has as standard input, so that the child goes on
 * reading while its input's next part is being made. Returns the room in bytes; null when none could
 * be made, as for a child that has ended, which is no failure: the input arrives more slowly.
 */
export function widenStdin(pid: number): number | null {
  const fd = libc().open(cString(`/proc/${pid}/fd/0`), O_WRONLY | O_NONBLOCK, 0);
  if (fd < 0) return null;
  try {
    const room = libc().fcntl(fd, F_SETPIPE_SZ, PIPE_ROOM);
    return room < 0 ? null : room;
  } finally {
    close(fd);
  }
}
