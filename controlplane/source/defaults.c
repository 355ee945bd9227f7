/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/defaults.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define AFFINITY_S 10800 /* of the API (S-036) */

/* Null and absent are the same (S-286). */
static bool is_absent(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return !value || json_is_null(value);
}

static int fill_text(json_t *object, const char *key, const char *value)
{
	if (!json_is_object(object) || !is_absent(object, key))
		return 0;
	return json_object_set_new(object, key, json_string(value)) ? -ENOMEM : 0;
}

static int fill_ports(json_t *ports, bool named)
{
	json_t *port;
	size_t i;

	json_array_foreach (ports, i, port) {
		if (fill_text(port, "protocol", "TCP") || (named && fill_text(port, "name", "")))
			return -ENOMEM;
	}
	return 0;
}

static int fill_affinity(json_t *spec)
{
	const char *affinity = json_string_value(json_object_get(spec, "sessionAffinity"));
	json_t *config = json_object_get(spec, "sessionAffinityConfig");
	json_t *client_ip = json_object_get(config, "clientIP");

	if (!affinity || strcmp(affinity, "ClientIP") != 0)
		return 0;
	if (is_absent(spec, "sessionAffinityConfig"))
		return json_object_set_new(
			       spec, "sessionAffinityConfig",
			       json_pack("{s{si}}", "clientIP", "timeoutSeconds", AFFINITY_S))
			       ? -ENOMEM
			       : 0;
	if (json_is_object(config) && is_absent(config, "clientIP"))
		return json_object_set_new(config, "clientIP",
					   json_pack("{si}", "timeoutSeconds", AFFINITY_S))
			       ? -ENOMEM
			       : 0;
	if (json_is_object(client_ip) && is_absent(client_ip, "timeoutSeconds"))
		return json_object_set_new(client_ip, "timeoutSeconds", json_integer(AFFINITY_S))
			       ? -ENOMEM
			       : 0;
	return 0;
}

/* spec.clusterIP and the first of spec.clusterIPs are the same field. */
static int fill_cluster_ip(json_t *spec)
{
	const char *first =
		json_string_value(json_array_get(json_object_get(spec, "clusterIPs"), 0));

	return first ? fill_text(spec, "clusterIP", first) : 0;
}

int defaults_fill(json_t *object)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	json_t *metadata = json_object_get(object, "metadata");
	json_t *spec = json_object_get(object, "spec");
	int err;

	if (!kind)
		return 0;
	if (strcmp(kind, "Service") == 0) {
		err = fill_text(metadata, "namespace", "default");
		if (!err)
			err = fill_ports(json_object_get(spec, "ports"), false);
		if (!err)
			err = fill_cluster_ip(spec);
		return err ? err : fill_affinity(spec);
	}
	if (strcmp(kind, "EndpointSlice") == 0) {
		err = fill_text(metadata, "namespace", "default");
		/* An API server makes a missing name "", which S-070 takes. */
		return err ? err : fill_ports(json_object_get(object, "ports"), true);
	}
	return 0;
}
