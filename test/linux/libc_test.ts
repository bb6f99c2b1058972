import assert from "node:assert/strict";
import {
  close,
  cString,
  drainEvent,
  errnoName,
  eventfd,
  interfaceIndex,
  libc,
  O_RDONLY,
  open,
  poll,
  pollAsync,
  polledEvents,
  POLLIN,
  pollSet,
  read,
  signalEvent,
  SystemError,
} from "../../src/linux/libc.ts";

// Opened once for the process: within a test it would count as a leak of that test.
libc();

Deno.test("libc: a failed call says what was tried, on what and why", () => {
  assert.throws(() => open("/nonexistent/file", O_RDONLY), (error) => {
    assert(error instanceof SystemError);
    assert.equal(error.errno, 2);
    assert.equal(error.code, "ENOENT");
    assert.equal(error.operation, "open /nonexistent/file");
    assert.equal(error.message, "open /nonexistent/file: No such file or directory (ENOENT)");
    return true;
  });
  assert.throws(() => close(-1), { code: "EBADF" });
});

Deno.test("libc: error numbers have names, also those that are a subsystem's own", () => {
  assert.equal(errnoName(1), "EPERM");
  assert.equal(errnoName(4103), "errno 4103");
});

Deno.test("libc: text with a zero byte is refused", () => {
  assert.throws(() => cString("/etc\0/passwd"), TypeError);
  assert.deepEqual(cString("é"), Uint8Array.of(0xc3, 0xa9, 0));
});

Deno.test("libc: reads into a buffer and through a pointer", () => {
  const fd = open("/dev/zero", O_RDONLY);
  try {
    const buffer = new Uint8Array(8).fill(7);
    assert.equal(read(fd, buffer, 4), 4);
    assert.deepEqual([...buffer], [0, 0, 0, 0, 7, 7, 7, 7]);
    assert.equal(read(fd, Deno.UnsafePointer.of(buffer)!, 6), 6);
    assert.deepEqual([...buffer], [0, 0, 0, 0, 0, 0, 7, 7]);
  } finally {
    close(fd);
  }
});

Deno.test("libc: an event descriptor wakes poll, in this thread and on a helper", async () => {
  const fd = eventfd();
  const other = eventfd();
  try {
    const set = pollSet([other, fd]);
    assert.equal(poll(set, 0), 0);
    assert.equal(drainEvent(fd), 0);
    signalEvent(fd);
    assert.equal(poll(set, 1000), 1);
    assert.equal(polledEvents(set, 0), 0);
    assert.equal(polledEvents(set, 1), POLLIN);
    assert.equal(drainEvent(fd), 1);
    assert.equal(poll(set, 0), 0);
    const waiting = pollAsync(set, 5000);
    signalEvent(fd);
    assert.equal(await waiting, 1);
  } finally {
    close(fd);
    close(other);
  }
});

Deno.test("libc: interfaces by name", () => {
  assert.equal(interfaceIndex("lo"), 1);
  assert.equal(interfaceIndex("no-such-link"), null);
});
