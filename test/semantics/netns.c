/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "test/semantics/frame.h"

bool netns_is_bridge(const json_t *profile, const char *name)
{
	const char *bridge = json_string_value(json_object_get(profile, "bridgeInterface"));

	return strncmp(name, "cbr", 3) == 0 || (bridge && strcmp(bridge, name) == 0);
}

static void add_link(FILE *shell, const char *name)
{
	fprintf(shell,
		"ip link add %s address " FRAME_MAC " type veth peer name %.12s-p netns $peers\n",
		name, name);
	fprintf(shell, "nsenter --net=$peers ip link set %.12s-p up\n", name);
	/* No neighbour answers here, and none is needed. */
	fprintf(shell, "ip link set %s arp off\nip link set %s up\n", name, name);
}

static void add_interface(FILE *shell, const json_t *profile, const char *name,
			  const json_t *addresses)
{
	char port[16];
	const json_t *address;
	size_t i;

	if (netns_is_bridge(profile, name)) {
		snprintf(port, sizeof(port), NETNS_PORT, name);
		fprintf(shell, "ip link add %s address " FRAME_MAC " type bridge\n", name);
		add_link(shell, port);
		fprintf(shell, "ip link set %s master %s\nip link set %s arp off\n", port, name,
			name);
	} else if (strcmp(name, "lo") != 0) {
		add_link(shell, name);
	}
	fprintf(shell, "ip link set %s up\n", name);
	json_array_foreach (addresses, i, address) {
		const char *text = json_string_value(address);

		if (strncmp(text, "127.", 4) != 0 && strcmp(text, "::1/128") != 0)
			fprintf(shell, "ip addr add %s dev %s%s\n", text, name,
				strchr(text, ':') ? " nodad" : "");
	}
}

/* The first interface that is neither loopback nor a bridge leads outside. */
const char *netns_uplink(const json_t *profile)
{
	const char *name, *found = NULL;
	const json_t *addresses;

	json_object_foreach ((json_t *)json_object_get(profile, "interfaces"), name, addresses) {
		if (strcmp(name, "lo") != 0 && !netns_is_bridge(profile, name) &&
		    (!found || strcmp(name, found) < 0))
			found = name;
	}
	return found;
}

/* A link that is none of the profile's leads to the pods that send by it. */
static void learn(json_t *pods, const json_t *profile, const json_t *packet)
{
	const char *iif = json_string_value(json_object_get(packet, "iif"));

	if (iif && !json_object_get(json_object_get(profile, "interfaces"), iif))
		json_object_set(pods, json_string_value(json_object_get(packet, "src")),
				json_object_get(packet, "iif"));
}

/* Address -> link. A new reference. */
static json_t *find_pods(const json_t *profile, const char *name, const json_t *cases)
{
	json_t *pods = json_object(), *the_case, *item;
	size_t i, k;

	json_array_foreach (cases, i, the_case) {
		const char *its = json_string_value(json_object_get(the_case, "profile"));

		if (!its || strcmp(its, name) != 0)
			continue;
		json_array_foreach (json_object_get(the_case, "packets"), k, item)
			learn(pods, profile, item);
		json_array_foreach (json_object_get(the_case, "connections"), k, item)
			learn(pods, profile, json_object_get(item, "packet"));
	}
	return pods;
}

static void add_pods(FILE *shell, const json_t *pods)
{
	json_t *links = json_object(), *link;
	const char *key;

	json_object_foreach ((json_t *)pods, key, link) {
		const char *name = json_string_value(link);

		if (!json_object_get(links, name))
			add_link(shell, name);
		json_object_set(links, name, json_true());
		fprintf(shell, "ip route add %s dev %s\n", key, name);
	}
	json_decref(links);
}

static void write_script(FILE *shell, const json_t *profile, const json_t *pods, int peers)
{
	const char *name, *uplink = netns_uplink(profile);
	const json_t *addresses;

	fprintf(shell,
		"set -e\n"
		"peers=/proc/%d/fd/%d\n"
		"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
		" net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
		" net.ipv6.conf.default.addr_gen_mode=1\n",
		getpid(), peers);
	json_object_foreach ((json_t *)json_object_get(profile, "interfaces"), name, addresses)
		add_interface(shell, profile, name, addresses);
	if (uplink)
		fprintf(shell, "ip route add default dev %s\nip -6 route add default dev %s\n",
			uplink, uplink);
	add_pods(shell, pods);
}

static int run_script(const json_t *profile, const json_t *pods, int peers)
{
	FILE *shell = popen("bash", "w");
	int status;

	if (!shell)
		return -errno;
	write_script(shell, profile, pods, peers);
	status = pclose(shell);
	return status ? -EIO : 0;
}

/* A new namespace, which the process then is in. */
static int make_one(void)
{
	int ns = unshare(CLONE_NEWNET) ? -1 : open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return ns < 0 ? -errno : ns;
}

int netns_make(const json_t *profile, const char *name, const json_t *cases, struct netns *ret,
	       char error[512])
{
	struct netns netns = { .peers = make_one(), .node = -1 };
	json_t *pods = find_pods(profile, name, cases);
	int err;

	if (netns.peers >= 0)
		netns.node = make_one();
	err = netns.node < 0 ? -EPERM : run_script(profile, pods, netns.peers);
	json_decref(pods);
	if (err) {
		snprintf(error, 512, "profile %s: the node's network namespace: %s", name,
			 strerror(-err));
		netns_close(&netns);
		return err;
	}
	*ret = netns;
	return 0;
}

void netns_close(struct netns *netns)
{
	if (netns->node >= 0)
		close(netns->node);
	if (netns->peers >= 0)
		close(netns->peers);
	netns->node = netns->peers = -1;
}
