import assert from "node:assert/strict";
import { IpvsSaveError, parseIpvsSave } from "../../../src/explain/ipvs/save_text.ts";

/** As ipvsadm 1.31 prints them. */
const PRINTED = `\
-A -t 10.0.0.1:0 -s rr -p 600 -M 255.255.255.0
-A -t 10.0.0.1:80 -s rr -p 600
-a -t 10.0.0.1:80 -r 10.0.0.3:80 -g -w 1
-a -t 10.0.0.1:80 -r 10.0.0.4:80 -i -w 0 --tun-type ipip
-a -t 10.0.0.1:80 -r 10.0.0.9:8080 -m -w 1
-A -u 10.0.0.1:53 -s rr -o
-A -u 10.0.0.1:5060 -s rr -p 100 --pe sip
-A --sctp-service 10.0.0.1:53 -s mh -b mh-port
-A -t [fd00::1]:80 -s sh -b sh-fallback,sh-port
-a -t [fd00::1]:80 -r [fd00::5]:8080 -m -w 1
-A -t [fd00::1]:81 -s rr -p 600 -M 64
-A -f 5 -s wlc
-a -f 5 -r 10.0.0.4:0 -m -w 3
-A -f 5 -6 -s wlc
-a -f 5 -6 -r [fd00::4]:90 -m -w 3
`;

Deno.test("everything that ipvsadm-save -n prints is read", () => {
  const { IPv4, IPv6 } = parseIpvsSave(PRINTED);
  const listed = [...IPv4, ...IPv6].map((
    [name, { scheduler, flags, persistenceSeconds, realServers, line }],
  ) => [
    line,
    name,
    [scheduler, persistenceSeconds, ...flags].join(" "),
    ...realServers.map(({ address, port, weight, method }) =>
      `${address} ${port} ${weight} ${method}`
    ),
  ]);
  assert.deepEqual(listed, [
    [1, "10.0.0.1:0/TCP", "rr 600"],
    [
      2,
      "10.0.0.1:80/TCP",
      "rr 600",
      "10.0.0.3 80 1 direct",
      "10.0.0.4 80 0 tunnel",
      "10.0.0.9 8080 1 masquerade",
    ],
    [6, "10.0.0.1:53/UDP", "rr "],
    [7, "10.0.0.1:5060/UDP", "rr 100"],
    [8, "10.0.0.1:53/SCTP", "mh  mh-port"],
    [12, "mark 0x5", "wlc ", "10.0.0.4 0 3 masquerade"],
    [9, "[fd00::1]:80/TCP", "sh  sh-fallback sh-port", "fd00::5 8080 1 masquerade"],
    [11, "[fd00::1]:81/TCP", "rr 600"],
    [14, "mark 0x5", "wlc ", "fd00::4 90 3 masquerade"],
  ]);
});

Deno.test("what ours never have is read, too", () => {
  const { IPv4, IPv6 } = parseIpvsSave(PRINTED);
  const special = [...IPv4, ...IPv6].map(([name, { onePacket, engine, clientBits }]) =>
    [name, onePacket, engine, clientBits] as const
  ).filter(([, ...rest]) => rest.some((one) => one !== undefined));
  assert.deepEqual(special, [
    ["10.0.0.1:0/TCP", undefined, undefined, 24],
    ["10.0.0.1:53/UDP", true, undefined, undefined],
    ["10.0.0.1:5060/UDP", undefined, "sip", undefined],
    ["[fd00::1]:81/TCP", undefined, undefined, 64],
  ]);
});

Deno.test("what ipvsadm leaves out is as it takes it", () => {
  const text = "# by hand\n\n-A -t 10.0.0.1:80 -p\n-a -t 10.0.0.1:80 -r 10.0.0.2:80\n";
  const server = parseIpvsSave(text).IPv4.get("10.0.0.1:80/TCP")!;
  assert.deepEqual([server.scheduler, server.persistenceSeconds], ["wlc", 360]);
  const [{ weight, method }] = server.realServers;
  assert.deepEqual([weight, method], [1, "direct"]);
});

for (
  const [text, message] of [
    ["-D -t 10.0.0.1:80", /^line 1: expected -A or -a, not "-D"$/],
    [
      "\n-A -t 10.0.0.1:http -s rr",
      /^line 2: 10\.0\.0\.1:http is not ADDRESS:PORT, as ipvsadm-save -n/,
    ],
    ["-A -t nobody:80", /^line 1: nobody:80 is not ADDRESS:PORT/],
    ["-A -t 10.0.0.1:65536", /65536 is not a number from 0 to 65535$/],
    ["-A -s rr", /expected -t, -u, --sctp-service or -f$/],
    ["-A -t", /option -t lacks its argument$/],
    ["-A -t 10.0.0.1:80 --strange", /option --strange is not known$/],
    ["-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m", /virtual server 10\.0\.0\.1:80\/TCP was not added$/],
    ["-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -m", /^line 2: expected -r ADDRESS:PORT$/],
    ["-A -f 0 -s rr", /0 is not a number from 1 to 4294967295$/],
    ["constructor", /expected -A or -a/],
    ["-A constructor", /option constructor is not known$/],
  ] as [string, RegExp][]
) {
  Deno.test(`text that ipvsadm-save would not write: ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseIpvsSave(text), (error: Error) => {
      assert.ok(error instanceof IpvsSaveError);
      assert.match(error.message, message);
      return true;
    });
  });
}
