/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "test/semantics/netns.h"

#define FLAGS_MAX 32
#define FLAG_MAX  512

struct flags {
	char text[FLAGS_MAX][FLAG_MAX];
	char *argv[FLAGS_MAX + 1];
	int n;
};

static void add(struct flags *flags, const char *name, const char *value)
{
	snprintf(flags->text[flags->n], FLAG_MAX, "%s=%s", name, value);
	flags->argv[flags->n] = flags->text[flags->n];
	flags->n++;
}

static void add_list(struct flags *flags, const char *name, const json_t *list)
{
	char joined[FLAG_MAX] = "";
	const json_t *item;
	size_t i, len = 0;

	json_array_foreach (list, i, item)
		len += (size_t)snprintf(joined + len, FLAG_MAX - len, "%s%s", i ? "," : "",
					json_string_value(item));
	if (len)
		add(flags, name, joined);
}

/* What a profile has leads outside; bridges and pods' links are sluice's to judge. */
static void add_interfaces(struct flags *flags, const json_t *profile)
{
	json_t *list = json_array();
	const char *name;
	const json_t *addresses;
	char port[32];

	json_object_foreach ((json_t *)json_object_get(profile, "interfaces"), name, addresses) {
		if (netns_is_bridge(profile, name)) {
			snprintf(port, sizeof(port), NETNS_PORT "=pod", name);
			json_array_append_new(list, json_string(port));
		} else if (strcmp(name, "lo") != 0) {
			json_array_append_new(list, json_sprintf("%s=uplink", name));
		}
	}
	add_list(flags, "--interfaces", list);
	json_decref(list);
}

static void add_detector(struct flags *flags, const json_t *profile)
{
	static const char *const modes[][2] = {
		{ "ClusterCIDR", "clusterCIDR" },
		{ "NodeCIDR", "nodeCIDR" },
		{ "BridgeInterface", "bridgeInterface" },
		{ "InterfaceNamePrefix", "interfaceNamePrefix" },
	};
	const char *mode = json_string_value(json_object_get(profile, "detectLocalMode"));
	const char *bridge = json_string_value(json_object_get(profile, "bridgeInterface"));
	const char *prefix = json_string_value(json_object_get(profile, "interfaceNamePrefix"));

	for (size_t i = 0; mode && i < SL_COUNT(modes); i++) {
		if (strcmp(mode, modes[i][0]) == 0)
			add(flags, "--detect-local-mode", modes[i][1]);
	}
	add_list(flags, "--cluster-cidr", json_object_get(profile, "clusterCIDRs"));
	if (bridge)
		add(flags, "--bridge-interface", bridge);
	if (prefix)
		add(flags, "--interface-name-prefix", prefix);
}

int settings_of(const json_t *profile, const char *name, struct config **ret, char error[512])
{
	struct flags flags = { .n = 0 };
	enum config_action action;
	char reason[512];
	int err;

	flags.argv[flags.n++] = "semantics-check";
	add(&flags, "--node-name", json_string_value(json_object_get(profile, "nodeName")));
	add(&flags, "--source", "manifests");
	add(&flags, "--manifests", "/nonexistent");
	add(&flags, "--masquerade", "compatible");
	add(&flags, "--masquerade-all",
	    json_is_true(json_object_get(profile, "masqueradeAll")) ? "true" : "false");
	add(&flags, "--max-maglev-slots", "1048576");
	add(&flags, "--healthz-bind-address", "");
	/* Small ones are cleared fast. */
	add(&flags, "--max-flows-new", "16384");
	add(&flags, "--max-flows", "16384");
	add(&flags, "--max-affinity", "1024");
	add(&flags, "--max-sockets", "1024");
	add_interfaces(&flags, profile);
	add_list(&flags, "--node-port-addresses", json_object_get(profile, "nodePortAddresses"));
	add_detector(&flags, profile);
	err = config_load(flags.n, flags.argv, ret, &action, reason);
	if (err)
		snprintf(error, 512, "profile %s: %.400s", name, reason);
	return err;
}

struct attach_detect settings_detect(const struct config *config)
{
	return (struct attach_detect) {
		.bridge = config->detect == CONFIG_DETECT_BRIDGE ? config->bridge_interface : NULL,
		.prefix = config->detect == CONFIG_DETECT_PREFIX ? config->interface_name_prefix
								 : NULL,
		.role = config->detect == CONFIG_DETECT_ROLE,
	};
}

void settings_fill(const struct config *config, struct datapath_options *ret)
{
	ret->max_services = config->max_services;
	ret->max_backends = config->max_backends;
	ret->max_frontends = config->max_frontends;
	ret->max_maglev_slots = config->max_maglev_slots;
	ret->max_policies = config->max_policies;
	ret->max_flows_new = config->max_flows_new;
	ret->max_flows = config->max_flows;
	ret->max_snat_ports = config->max_snat_ports;
	ret->max_affinity = config->max_affinity;
	ret->max_sockets = config->max_sockets;
	ret->config.snat_first = config->snat_first;
	ret->config.snat_count = config->snat_last - config->snat_first + 1;
	for (int i = 0; i < 2; i++) {
		for (int state = 0; state < SL_FLOW_STATE_MAX; state++)
			ret->config.timeout[i][state] = SL_TICKS(3600);
	}
}
