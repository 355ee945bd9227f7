/* SPDX-License-Identifier: Apache-2.0 */

/* What the table looks like with the values that are in force. */

#include <string.h>

#include "controlplane/config_set.h"

static json_t *text_json(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* Without what comes before an @, which may be a password. */
static json_t *url_json(const char *url)
{
	const char *host = url ? strstr(url, "://") : NULL;
	const char *at;

	if (!host)
		return text_json(url);
	host += strlen("://");
	at = memrchr(host, '@', strcspn(host, "/"));
	return at ? json_sprintf("%.*s%s", (int)(host - url), url, at + 1) : json_string(url);
}

/* A list of `n` texts, of which `text` makes each. */
static json_t *list_json(const void *items, size_t n,
			 const char *(*text)(const void *items, size_t i, char room[IP_TEXT_MAX]))
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++) {
		char room[IP_TEXT_MAX];

		if (json_array_append_new(list, json_string(text(items, i, room)))) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static json_t *urls_json(char *const *urls, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		json_array_append_new(list, url_json(urls[i]));
	return list;
}

static const char *network_text(const void *items, size_t i, char room[IP_TEXT_MAX])
{
	(void)room;
	return ((char *const *)items)[i];
}

static const char *prefix_text(const void *items, size_t i, char room[IP_TEXT_MAX])
{
	const struct ip_prefix *prefix = &((const struct ip_prefix *)items)[i];
	char address[IP_TEXT_MAX];

	snprintf(room, IP_TEXT_MAX, "%.*s/%u", IP_TEXT_MAX - 8,
		 ip_format(&prefix->addr, prefix->family, address), prefix->len);
	return room;
}

static json_t *prefixes_json(const struct config_prefixes *prefixes)
{
	return list_json(prefixes->items, prefixes->n, prefix_text);
}

static json_t *interfaces_json(const struct config *config)
{
	static const char *const roles[] = {
		[SL_ROLE_NONE] = "none",
		[SL_ROLE_POD] = "pod",
		[SL_ROLE_UPLINK] = "uplink",
		[SL_ROLE_TUNNEL] = "tunnel",
	};
	json_t *map = json_object();

	for (size_t i = 0; map && i < config->n_interfaces; i++)
		json_object_set_new(map, config->interfaces[i].name,
				    json_string(roles[config->interfaces[i].role]));
	return map;
}

/* By the function that sets a field's kind of value. */
static json_t *value_json(const struct config *config, const struct config_field *field)
{
	const void *member = (const char *)config + field->offset;

	if (field->set == config_set_number)
		return json_integer(*(const uint32_t *)member);
	if (field->set == config_set_oom_score)
		return json_integer(*(const int32_t *)member);
	if (field->set == config_set_flag)
		return json_boolean(*(const bool *)member);
	if (field->set == config_set_choice || field->set == config_set_masquerade)
		return json_string(field->choices[*(const unsigned int *)member]);
	if (field->set == config_set_ports)
		return json_sprintf("%u-%u", config->snat_first, config->snat_last);
	if (field->set == config_set_interfaces)
		return interfaces_json(config);
	if (field->set == config_set_networks)
		return list_json(config->node_port_addresses, config->n_node_port_addresses,
				 network_text);
	if (field->set == config_set_cluster_cidrs || field->set == config_set_service_cidrs)
		return prefixes_json(member);
	if (field->set == config_set_api_servers)
		return urls_json(config->api_servers, config->n_api_servers);
	return text_json(*(char *const *)member);
}

json_t *config_json(const struct config *config)
{
	json_t *map = json_object();

	for (size_t i = 0; map && i < config_n_fields; i++) {
		if (json_object_set_new(map, config_fields[i].name,
					value_json(config, &config_fields[i]))) {
			json_decref(map);
			map = NULL;
		}
	}
	return map;
}
