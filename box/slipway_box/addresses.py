"""The addresses of the box, in one place because certificates, rules and configurations must agree on them."""

BRIDGE = "slipway0"
BRIDGE_MAC = "02:53:4c:49:50:57"  # fixed: a bridge otherwise takes the lowest address of its ports and pods lose their gateway for a while
GATEWAY = "10.244.0.1"  # the bridge's own address: the node, the API server, DNS and the object store listen here and nowhere else
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
DOMAIN = "cluster.local"
NODE = "box"
