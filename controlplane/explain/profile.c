/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/explain/profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/node_ports.h"
#include "controlplane/store/intern.h"

#define ZONE_LABEL "topology.kubernetes.io/zone"

static int fail(char error[512], const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(char error[512], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, 512, format, args);
	va_end(args);
	return -EINVAL;
}

void profile_free(struct profile *profile)
{
	if (!profile)
		return;
	world_node_done(&profile->world);
	free(profile->config.cluster_cidrs.items);
	free(profile->config.service_cidrs.items);
	free(profile->config.node_port_addresses);
	free(profile->own.addresses);
	free(profile->ifaces);
	json_decref(profile->json);
	free(profile);
}

/* The string of a field: NULL if it is absent, -EINVAL for another type. */
static int text_of(const json_t *json, const char *key, const char **ret, char error[512])
{
	const json_t *value = json_object_get(json, key);

	if (value && !json_is_null(value) && !json_is_string(value))
		return fail(error, "%s: is no string", key);
	*ret = json_string_value(value);
	return 0;
}

/* A list of strings, or a single one, or nothing. */
static int list_of(const json_t *json, const char *key, const json_t **ret, char error[512])
{
	const json_t *value = json_object_get(json, key), *item;
	size_t i;

	*ret = json_is_null(value) ? NULL : value;
	if (!*ret)
		return 0;
	if (!json_is_array(value))
		return fail(error, "%s: is no list", key);
	json_array_foreach (value, i, item)
		if (!json_is_string(item))
			return fail(error, "%s[%zu]: is no string", key, i);
	return 0;
}

static int read_prefixes(const json_t *json, const char *key, struct ip_prefix **ret, size_t *ret_n,
			 char error[512])
{
	const json_t *list, *item;
	size_t i;
	int err = list_of(json, key, &list, error);
	sl_auto_mem struct ip_prefix *items = calloc(json_array_size(list) + 1, sizeof(*items));

	if (err || !items)
		return err ?: -ENOMEM;
	json_array_foreach (list, i, item)
		if (ip_prefix_parse(json_string_value(item), &items[i]))
			return fail(error, "%s: \"%s\" is no prefix", key, json_string_value(item));
	free(*ret);
	*ret = sl_take(items);
	*ret_n = json_array_size(list);
	return 0;
}

static int add_node_address(struct node *node, const char *text, char error[512])
{
	struct object_address address;
	int family = ip_parse(text, &address.addr);

	if (family < 0)
		return fail(error, "addresses: \"%s\" is no address", text);
	address.family = (uint8_t)family;
	node->addresses[node->n_addresses++] = address;
	return 0;
}

/* `addresses`, a list by precedence; or `nodeIPs`, one by family. */
static int read_node_addresses(struct node *node, const json_t *json, const struct node *object,
			       char error[512])
{
	const json_t *list, *by_family = json_object_get(json, "nodeIPs"), *item;
	size_t i, n = object ? object->n_addresses : 0;
	const char *key;
	int err = list_of(json, "addresses", &list, error);

	if (err)
		return err;
	n += json_array_size(list) + json_object_size(by_family);
	node->addresses = calloc(n + 1, sizeof(*node->addresses));
	if (!node->addresses)
		return -ENOMEM;
	json_array_foreach (list, i, item)
		err = err ?: add_node_address(node, json_string_value(item), error);
	json_object_foreach ((json_t *)by_family, key, item) {
		if (!err && json_is_string(item))
			err = add_node_address(node, json_string_value(item), error);
	}
	for (i = 0; object && !list && !by_family && i < object->n_addresses; i++)
		node->addresses[node->n_addresses++] = object->addresses[i];
	return err;
}

static int read_pod_cidrs(struct node *node, const json_t *json, const struct node *object,
			  char error[512])
{
	if (json_object_get(json, "nodePodCIDRs") || !object || !object->n_pod_cidrs)
		return read_prefixes(json, "nodePodCIDRs", &node->pod_cidrs, &node->n_pod_cidrs,
				     error);
	node->pod_cidrs = calloc(object->n_pod_cidrs, sizeof(*node->pod_cidrs));
	if (!node->pod_cidrs)
		return -ENOMEM;
	memcpy(node->pod_cidrs, object->pod_cidrs, object->n_pod_cidrs * sizeof(*node->pod_cidrs));
	node->n_pod_cidrs = object->n_pod_cidrs;
	return 0;
}

/* The Node by the profile, and by the object for what it leaves out. */
static int make_node(const struct profile *profile, const struct node *object, struct node **ret,
		     char error[512])
{
	const json_t *json = profile->json, *labels = json_object_get(json, "nodeLabels");
	sl_auto(node) node = calloc(1, sizeof(*node));
	const char *zone = NULL;
	int err = node ? text_of(json, "zone", &zone, error) : -ENOMEM;

	if (err)
		return err;
	if (!zone)
		zone = json_string_value(json_object_get(labels, ZONE_LABEL));
	if (!zone && !labels && object)
		zone = object->zone;
	node->name = strdup(profile->config.node_name);
	node->zone = intern_get(zone ? zone : "");
	if (!node->name || !node->zone)
		return -ENOMEM;
	err = read_node_addresses(node, json, object, error);
	err = err ?: read_pod_cidrs(node, json, object, error);
	if (!err)
		*ret = sl_take(node);
	return err;
}

static int read_node(struct profile *profile, struct store *store, char error[512])
{
	const struct node *object = store_node(store);
	const char *name = NULL;
	struct node *node;
	int err = text_of(profile->json, "nodeName", &name, error);

	if (err)
		return err;
	if (!name || !*name)
		return fail(error, "nodeName: is needed");
	profile->config.node_name = (char *)name;
	err = make_node(profile, object && !strcmp(object->name, name) ? object : NULL, &node,
			error);
	if (err)
		return err;
	err = store_put_node(store, node);
	return err < 0 ? err : 0;
}

static int role_of(const char *text)
{
	static const char *const names[SL_ROLE_MAX] = { "none", "pod", "uplink", "tunnel" };

	for (int i = 0; i < SL_ROLE_MAX; i++)
		if (!strcmp(text, names[i]))
			return i;
	return -EINVAL;
}

/* "address" or "address/length" of an interface. */
static int add_own(struct profile *profile, const char *iface, const char *text, char error[512])
{
	char copy[IP_TEXT_MAX];
	struct tables_address own = { 0 };
	int family;

	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(text, "/"), text);
	family = ip_parse(copy, &own.addr);
	if (family < 0)
		return fail(error, "interfaces: %s: \"%s\" is no address", iface, text);
	own.family = (uint8_t)family;
	if (!ip_is_loopback(&own.addr, own.family))
		profile->own.addresses[profile->own.n_addresses++] = own;
	return 0;
}

/* A list of addresses, or an object with `addresses` and `role`. */
static int read_interface(struct profile *profile, const char *name, const json_t *json,
			  char error[512])
{
	struct profile_iface *iface = &profile->ifaces[profile->n_ifaces++];
	const json_t *list = json_is_array(json) ? json : json_object_get(json, "addresses"), *item;
	const char *role = NULL;
	size_t i;
	int err = json_is_object(json) ? text_of(json, "role", &role, error) : 0, found;

	*iface = (struct profile_iface) { .name = name, .role = SL_ROLE_UPLINK };
	if (role) {
		found = role_of(role);
		if (found < 0)
			return fail(
				error,
				"interfaces: %s: role \"%s\" is not none, pod, uplink or tunnel",
				name, role);
		iface->role = (enum sl_role)found;
	}
	json_array_foreach (list, i, item)
		err = err
			      ?: json_is_string(item)
				 ? add_own(profile, name, json_string_value(item), error)
				 : fail(error, "interfaces: %s: addresses[%zu]: is no string", name,
					i);
	return err;
}

static size_t count_addresses(const json_t *interfaces)
{
	const json_t *item;
	const char *name;
	size_t n = 0;

	json_object_foreach ((json_t *)interfaces, name, item)
		n += json_array_size(json_is_array(item) ? item
							 : json_object_get(item, "addresses"));
	return n;
}

static int read_interfaces(struct profile *profile, const json_t *json, char error[512])
{
	json_t *interfaces = json_object_get(json, "interfaces"), *item;
	const char *name;
	int err = 0;

	if (interfaces && !json_is_object(interfaces))
		return fail(error, "interfaces: is no object of names");
	profile->own.addresses =
		calloc(count_addresses(interfaces) + 1, sizeof(*profile->own.addresses));
	profile->ifaces = calloc(json_object_size(interfaces) + 1, sizeof(*profile->ifaces));
	if (!profile->own.addresses || !profile->ifaces)
		return -ENOMEM;
	json_object_foreach (interfaces, name, item)
		err = err ?: read_interface(profile, name, item, error);
	return err;
}

/* Which of the node's addresses node ports answer on. */
static int read_node_ports(struct profile *profile, const struct store *store, char error[512])
{
	struct config *config = &profile->config;
	const json_t *list, *item;
	size_t i;
	int err = list_of(profile->json, "nodePortAddresses", &list, error);

	config->node_port_addresses = calloc(json_array_size(list) + 1, sizeof(char *));
	if (err || !config->node_port_addresses)
		return err ?: -ENOMEM;
	json_array_foreach (list, i, item)
		config->node_port_addresses[config->n_node_port_addresses++] =
			(char *)json_string_value(item);
	for (i = 0; i < profile->own.n_addresses; i++) {
		struct tables_address *own = &profile->own.addresses[i];

		own->node_port =
			node_ports_serve(config->node_port_addresses, config->n_node_port_addresses,
					 store_node(store), &own->addr, own->family);
	}
	return 0;
}

/* The number of a word among `words`, in any case; -1 for none of them. */
static int word_of(const char *text, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcasecmp(text, words[i]))
			return i;
	return -1;
}

static int read_detector(struct profile *profile, char error[512])
{
	static const char *const modes[] = {
		[CONFIG_DETECT_CLUSTER_CIDR] = "clusterCIDR",
		[CONFIG_DETECT_NODE_CIDR] = "nodeCIDR",
		[CONFIG_DETECT_BRIDGE] = "bridgeInterface",
		[CONFIG_DETECT_PREFIX] = "interfaceNamePrefix",
		[CONFIG_DETECT_ROLE] = "interfaceRole",
		NULL,
	};
	struct config *config = &profile->config;
	const char *mode = NULL, *bridge = NULL, *prefix = NULL;
	int err = text_of(profile->json, "detectLocalMode", &mode, error);
	int detect = mode ? word_of(mode, modes) : CONFIG_DETECT_ROLE;

	err = err ?: text_of(profile->json, "bridgeInterface", &bridge, error);
	err = err ?: text_of(profile->json, "interfaceNamePrefix", &prefix, error);
	if (err)
		return err;
	if (detect < 0 || (detect == CONFIG_DETECT_BRIDGE && !bridge) ||
	    (detect == CONFIG_DETECT_PREFIX && !prefix))
		return fail(
			error,
			"detectLocalMode: \"%s\" is not interfaceRole, clusterCIDR, nodeCIDR, or "
			"bridgeInterface or interfaceNamePrefix with a field of that name",
			mode);
	config->detect = (enum config_detect)detect;
	config->bridge_interface = (char *)bridge;
	config->interface_name_prefix = (char *)prefix;
	return read_prefixes(profile->json,
			     json_object_get(profile->json, "clusterCIDR") ? "clusterCIDR"
									   : "clusterCIDRs",
			     &config->cluster_cidrs.items, &config->cluster_cidrs.n, error);
}

static int read_flag(const json_t *json, const char *key, bool *ret, char error[512])
{
	const json_t *value = json_object_get(json, key);

	if (value && !json_is_boolean(value) && !json_is_null(value))
		return fail(error, "%s: is not true or false", key);
	*ret = json_is_true(value);
	return 0;
}

static int read_masquerade(struct profile *profile, char error[512])
{
	static const char *const modes[] = {
		[CONFIG_MASQUERADE_MINIMAL] = "minimal",
		[CONFIG_MASQUERADE_COMPATIBLE] = "compatible",
		NULL,
	};
	struct config *config = &profile->config;
	const char *mode = NULL;
	int err = text_of(profile->json, "masquerade", &mode, error);
	int masquerade = mode ? word_of(mode, modes) : CONFIG_MASQUERADE_MINIMAL;

	if (err)
		return err;
	if (masquerade < 0)
		return fail(error, "masquerade: \"%s\" is not minimal or compatible", mode);
	config->masquerade = (enum config_masquerade)masquerade;
	err = read_flag(profile->json, "masqueradeAll", &config->masquerade_all, error);
	return err
		       ?: read_flag(profile->json, "sourceRangesEverywhere",
				    &config->source_ranges_everywhere, error);
}

int profile_new(const json_t *json, struct store *store, struct profile **ret, char error[512])
{
	sl_auto(profile) profile = calloc(1, sizeof(*profile));
	int err;

	snprintf(error, 512, "out of memory");
	if (!profile)
		return -ENOMEM;
	if (!json_is_object(json))
		return fail(error, "the profile is no object");
	profile->json = json_incref((json_t *)json);
	err = read_node(profile, store, error);
	err = err ?: read_interfaces(profile, json, error);
	err = err ?: read_node_ports(profile, store, error);
	err = err ?: read_detector(profile, error);
	err = err
		      ?: read_prefixes(json, "serviceCIDRs", &profile->config.service_cidrs.items,
				       &profile->config.service_cidrs.n, error);
	err = err ?: read_masquerade(profile, error);
	err = err ?: world_node_init(&profile->world, &profile->config, store, &profile->own);
	if (err)
		return err;
	*ret = sl_take(profile);
	return 0;
}

static bool is_own(const struct profile *profile, const struct decide_packet *packet)
{
	for (size_t i = 0; i < profile->own.n_addresses; i++)
		if (profile->own.addresses[i].family == packet->family &&
		    ip_equal(&profile->own.addresses[i].addr, &packet->saddr))
			return true;
	return ip_is_loopback(&packet->saddr, packet->family);
}

void profile_place(const struct profile *profile, struct decide_packet *packet)
{
	const char *name = packet->iface;

	if (!name) {
		packet->local = packet->local || is_own(profile, packet);
		return;
	}
	packet->role = SL_ROLE_POD;
	for (size_t i = 0; i < profile->n_ifaces; i++)
		if (!strcmp(profile->ifaces[i].name, name))
			packet->role = (uint8_t)profile->ifaces[i].role;
	switch (profile->config.detect) {
	case CONFIG_DETECT_BRIDGE:
		packet->pod_traffic = !strcmp(name, profile->config.bridge_interface);
		break;
	case CONFIG_DETECT_PREFIX:
		packet->pod_traffic = !strncmp(name, profile->config.interface_name_prefix,
					       strlen(profile->config.interface_name_prefix));
		break;
	default:
		packet->pod_traffic = packet->role == SL_ROLE_POD;
	}
}
