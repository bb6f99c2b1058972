import { requires } from "../requirements.ts";
import { Image } from "./image.ts";
import { checkNode } from "./node_check.ts";

Deno.test({
  ...requires(
    "the image programs a node: offline, with a read-only root and the DaemonSet's capabilities",
    ...["root", "netns", "iptables", "curl", "npm", "openssl", "setpriv", "unshare"],
  ),
  async fn() {
    await using image = await Image.build();
    await checkNode((options) => image.start(options));
  },
});
