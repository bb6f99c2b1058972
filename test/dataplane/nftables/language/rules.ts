/**
 * Rules in the words in which nft 1.0.6 lists them, for tables of family ip with the sets of
 * {@link SETS}, and chains "other" and "more".
 *
 * @module
 */

/** What the rules refer to. */
export const SETS = [
  "set addresses {\ntype ipv4_addr\n}",
  "set networks {\ntype ipv4_addr\nflags interval\n}",
  "set clients {\ntype ipv4_addr\nsize 65535\nflags dynamic,timeout\ntimeout 3h\n}",
  "map services {\ntype ipv4_addr . inet_proto . inet_service : verdict\n}",
  "map marks {\ntypeof ip saddr : meta mark\n}",
  'chain other {\ncomment "for others"\n}',
  "chain more {\n}",
].join("\n");

/** For chains of any type and hook. */
export const RULES = [
  "meta mark set meta mark | 0x00004000",
  "meta mark & 0x00004000 == 0x00000000 return",
  "meta mark & 0x00000010 != 0x00000010 accept",
  "meta mark set meta mark ^ 0x00004000",
  "meta mark set ct mark & 0x000000ff",
  "meta mark set ct mark & 0x000000ff | 0x00000001",
  "meta mark set meta mark << 8",
  "meta mark 0x00000010 accept",
  "meta mark 0x00000005-0x00000007 accept",
  "ct mark & 0x00000010 == 0x00000010 meta mark set ct mark",
  "meta mark set ip saddr map @marks",
  "meta mark set numgen random mod 2 map { 0 : 0x00000001, 1 : 0x00000002 }",
  "meta mark set numgen inc mod 2 offset 10",
  "ip saddr @addresses goto other",
  "ip saddr != @networks drop",
  "numgen random mod 1 vmap { 0 : goto other }",
  "numgen random mod 2 offset 1 vmap { 1 : goto other, 2 : jump more }",
  "update @clients { ip saddr }",
  "update @clients { ip saddr timeout 5m }",
  "add @clients { ip saddr } drop",
  "ip daddr . meta l4proto . th dport vmap @services",
  "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap { tcp . 80 : jump other }",
  "fib saddr . iif oif missing drop",
  'fib saddr oifname "lo" drop',
  "fib daddr . iif type != local drop",
  "fib daddr type { local, broadcast } drop",
  "ct state new jump other",
  "ct state established,related accept",
  "ct state { established, related } accept",
  "ct state vmap { established : drop, new : accept }",
  "ct state != new accept",
  "ct state == new accept",
  "ct status dnat accept",
  "ct status dnat / snat,dnat accept",
  "ct original ip daddr 10.0.0.1 accept",
  "ct direction original accept",
  "tcp dport 22 accept",
  "tcp dport { 22, 80-90 } accept",
  "tcp dport != 22-33 accept",
  "tcp dport vmap { 22 : accept, 80-90 : drop }",
  "tcp sport 1024-65535 tcp dport 80 accept",
  "tcp flags syn / fin,syn,rst,ack accept",
  "tcp flags fin,syn accept",
  "tcp flags != fin,syn / fin,syn accept",
  "tcp flags & (fin | syn) vmap { fin | syn : drop }",
  'iifname "eth*" accept',
  'iifname { "lo", "eth0" } accept',
  'oif != "lo" accept',
  "iif 77 accept",
  "ip protocol { tcp, udp } accept",
  "meta l4proto { icmp, tcp, udp, gre, ipv6-icmp, ospf, sctp, 250 } accept",
  "meta l4proto tcp accept",
  "ip daddr { 10.0.0.0/8, 192.168.1.1-192.168.1.9 } accept",
  "ip saddr & 255.0.255.0 == 10.0.0.0 accept",
  "ip saddr . tcp dport { 1.1.1.1 . 80, 1.2.3.4 . 81 } accept",
  "ip saddr vmap { 1.2.3.4 : accept, 10.0.0.0/8 : drop, * : return }",
  "icmp type { echo-request, timestamp-request } accept",
  "limit rate 10/second accept",
  "limit rate over 1 mbytes/second drop",
  "limit rate 10/second burst 7 packets accept",
  'log prefix "hello: " group 2',
  'log prefix "abc" level info flags all',
  "counter packets 5 bytes 10 ip saddr 10.0.0.1 counter packets 0 bytes 0 drop",
  "meta skuid 1234 accept",
  "meta length > 100 accept",
  "ip ttl < 5 drop",
  "ip dscp set cs1",
  "tcp option maxseg size set 1400",
  "jhash ip saddr . tcp dport mod 2 vmap { 0 : accept, 1 : drop }",
  "jhash ip saddr mod 2 seed 0xdeadbeef offset 5 vmap { 5 : accept, 6 : drop }",
  "symhash mod 2 vmap { 0 : accept, 1 : drop }",
  "@th,0,32 4660 accept",
  "socket transparent 1 accept",
  "ip frag-off & 8191 != 0 accept",
  'accept comment "some \\ comment"',
  "continue",
] as const;

/** For chains at input, forward and output. */
export const REJECTING = [
  'reject comment "a refusal"',
  "reject with icmp host-prohibited",
  "tcp dport 1 reject with tcp reset",
] as const;

/** For chains at prerouting of type nat. */
export const TO_DESTINATIONS = [
  "meta l4proto tcp dnat to 10.0.0.1:80",
  "meta l4proto udp dnat to 10.0.0.1:80-90",
  "dnat to 10.0.0.1-10.0.0.6",
  "dnat to 10.0.0.0/24",
  "meta l4proto tcp dnat to :80",
  "meta l4proto tcp redirect to :8080-8090 random",
  "redirect",
  "dnat to numgen random mod 2 map { 0 : 1.2.3.4, 1 : 1.2.3.5 }",
  "meta l4proto tcp dnat to numgen random mod 2 map { 0 : 1.2.3.4, 1 : 1.2.3.5 }:80",
] as const;

/** For chains at postrouting of type nat. */
export const TO_SOURCES = [
  "masquerade",
  "masquerade fully-random",
  "meta mark & 0x00004000 == 0x00004000 counter packets 0 bytes 0 masquerade random,persistent",
  "meta l4proto tcp masquerade to :100-200 random",
  "snat to 1.2.3.4-1.2.3.9 random,persistent",
  "meta l4proto tcp snat to 1.2.3.4:10-20",
] as const;
