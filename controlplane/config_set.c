/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/config_set.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/ip.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS	"0123456789"

__attribute__((format(printf, 2, 3))) static int refuse(char *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, CONFIG_REASON_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

static void *member(struct config *config, const struct config_field *field)
{
	return (char *)config + field->offset;
}

static int store_text(struct config *config, const struct config_field *field, const char *text)
{
	char **at = member(config, field);
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

/* Returns the index of `text` among the choices, or -EINVAL and says them. */
static int find_choice(const char *const *choices, const char *text, char *reason)
{
	int n = 0;

	for (int i = 0; choices[i]; i++) {
		if (strcmp(choices[i], text) == 0)
			return i;
	}
	n = snprintf(reason, CONFIG_REASON_MAX, "'%.60s' is none of", text);
	for (int i = 0; choices[i]; i++)
		n += snprintf(reason + n, (size_t)(CONFIG_REASON_MAX - n), "%s %s", i ? "," : "",
			      choices[i]);
	return -EINVAL;
}

/* Digits only: no sign, no space, no unit. */
static int parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *ret, char *reason)
{
	size_t len = strlen(text);

	if (len == 0 || strspn(text, DIGITS) != len)
		return refuse(reason, "'%.60s' is not a number", text);
	unsigned long long value = len > 10 ? UINT64_MAX : strtoull(text, NULL, 10);
	if (value < min || value > max)
		return refuse(reason, "%.60s is not in %u ... %u", text, min, max);
	*ret = (uint32_t)value;
	return 0;
}

CONFIG_SETTER(config_set_instance)
{
	const char *text = values->text[0];
	size_t len = strlen(text);

	(void)ret_bad;
	if (len < 1 || len > 32 || strspn(text, LETTERS DIGITS "-") != len)
		return refuse(reason, "'%.60s' is not 1 to 32 of a-z, 0-9 and -", text);
	return store_text(config, field, text);
}

CONFIG_SETTER(config_set_node_name)
{
	char name[254];
	const char *text = values->text[0];

	(void)ret_bad;
	text += strspn(text, " \t\r\n");
	size_t len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	if (len == 0 || len >= sizeof(name))
		return refuse(reason, "'%.60s' is not 1 to 253 characters", text);
	for (size_t i = 0; i < len; i++)
		name[i] = (char)tolower((unsigned char)text[i]);
	name[len] = '\0';
	if (strspn(name, LETTERS DIGITS "-.") != len)
		return refuse(reason, "'%.60s' has other characters than a-z, 0-9, - and .", name);
	return store_text(config, field, name);
}

CONFIG_SETTER(config_set_text_field)
{
	(void)ret_bad;
	if (!*values->text[0])
		return refuse(reason, "is empty");
	return store_text(config, field, values->text[0]);
}

CONFIG_SETTER(config_set_path)
{
	(void)ret_bad;
	if (values->text[0][0] != '/')
		return refuse(reason, "'%.100s' does not begin with /", values->text[0]);
	return store_text(config, field, values->text[0]);
}

void config_clear_api_servers(struct config *config)
{
	for (size_t i = 0; i < config->n_api_servers; i++)
		free(config->api_servers[i]);
	free(sl_take(config->api_servers));
	config->n_api_servers = 0;
}

CONFIG_SETTER(config_set_api_servers)
{
	(void)field;
	config_clear_api_servers(config);
	config->api_servers = calloc(values->n + 1, sizeof(*config->api_servers));
	if (!config->api_servers)
		return -ENOMEM;
	for (size_t i = 0; i < values->n; i++) {
		const char *text = values->text[i];
		const char *host = strstr(text, "://");
		/* What comes before an @ may be a password. */
		const char *at = strrchr(text, '@'), *shown = at ? at + 1 : text;

		*ret_bad = i;
		if ((strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0) ||
		    !host[3])
			return refuse(reason, "'%.100s' is not https://HOST:PORT", shown);
		for (size_t other = 0; other < config->n_api_servers; other++) {
			if (strcmp(config->api_servers[other], text) == 0)
				return refuse(reason, "'%.100s' is given twice", shown);
		}
		char *copy = strdup(text);
		if (!copy)
			return -ENOMEM;
		config->api_servers[config->n_api_servers++] = copy;
	}
	return 0;
}

CONFIG_SETTER(config_set_word)
{
	(void)ret_bad;
	int index = find_choice(field->choices, values->text[0], reason);
	return index < 0 ? index : store_text(config, field, field->choices[index]);
}

/* Every enum of struct config is an unsigned int to the compiler. */
_Static_assert(sizeof(enum config_source) == sizeof(unsigned int), "stored as unsigned int");
_Static_assert(sizeof(enum config_xdp) == sizeof(unsigned int), "stored as unsigned int");
_Static_assert(sizeof(enum config_masquerade) == sizeof(unsigned int), "stored as unsigned int");
_Static_assert(sizeof(enum config_detect) == sizeof(unsigned int), "stored as unsigned int");

CONFIG_SETTER(config_set_choice)
{
	(void)ret_bad;
	int index = find_choice(field->choices, values->text[0], reason);
	if (index < 0)
		return index;
	*(unsigned int *)member(config, field) = (unsigned int)index;
	return 0;
}

CONFIG_SETTER(config_set_masquerade)
{
	int err = config_set_choice(config, field, values, ret_bad, reason);

	if (!err)
		config->masquerade_set = true;
	return err;
}

CONFIG_SETTER(config_set_flag)
{
	(void)ret_bad;
	int index = find_choice(field->choices, values->text[0], reason);
	if (index < 0)
		return index;
	*(bool *)member(config, field) = index == 1;
	return 0;
}

CONFIG_SETTER(config_set_number)
{
	(void)ret_bad;
	return parse_number(values->text[0], field->min, field->max, member(config, field), reason);
}

CONFIG_SETTER(config_set_ports)
{
	char first_text[16];
	uint32_t first, last;
	const char *dash = strchr(values->text[0], '-');

	(void)ret_bad;
	if (!dash || dash - values->text[0] >= (int)sizeof(first_text))
		return refuse(reason, "'%.60s' is not FIRST-LAST", values->text[0]);
	memcpy(first_text, values->text[0], (size_t)(dash - values->text[0]));
	first_text[dash - values->text[0]] = '\0';

	int err = parse_number(first_text, field->min, field->max, &first, reason);
	if (!err)
		err = parse_number(dash + 1, field->min, field->max, &last, reason);
	if (err)
		return err;
	if (first > last)
		return refuse(reason, "%u is above %u", first, last);
	config->snat_first = (uint16_t)first;
	config->snat_last = (uint16_t)last;
	return 0;
}

static int parse_role(const char *text, enum sl_role *ret, char *reason)
{
	static const char *const roles[] = {
		[SL_ROLE_NONE] = "none",     [SL_ROLE_POD] = "pod", [SL_ROLE_UPLINK] = "uplink",
		[SL_ROLE_TUNNEL] = "tunnel", [SL_ROLE_MAX] = NULL,
	};
	int index = find_choice(roles, text, reason);

	if (index < 0)
		return index;
	*ret = (enum sl_role)index;
	return 0;
}

static bool is_interface_name(const char *text, size_t len)
{
	return len > 0 && len < IF_NAMESIZE && strcspn(text, "/ \t\r\n") >= len;
}

static int add_interface(struct config *config, const char *text, char *reason)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;
	enum sl_role role;

	if (!equals)
		return refuse(reason, "'%.60s' is not NAME=ROLE", text);
	if (!is_interface_name(text, len))
		return refuse(reason, "'%.*s' is not an interface name", (int)(len < 60 ? len : 60),
			      text);
	int err = parse_role(equals + 1, &role, reason);
	if (err)
		return err;

	sl_auto_mem char *name = strndup(text, len);
	if (!name)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_interfaces; i++) {
		if (strcmp(config->interfaces[i].name, name) == 0)
			return refuse(reason, "'%s' is given twice", name);
	}
	config->interfaces[config->n_interfaces++] =
		(struct config_interface) { .name = sl_take(name), .role = role };
	return 0;
}

void config_clear_interfaces(struct config *config)
{
	for (size_t i = 0; i < config->n_interfaces; i++)
		free(config->interfaces[i].name);
	free(sl_take(config->interfaces));
	config->n_interfaces = 0;
}

CONFIG_SETTER(config_set_interfaces)
{
	(void)field;
	config_clear_interfaces(config);
	config->interfaces = calloc(values->n + 1, sizeof(*config->interfaces));
	if (!config->interfaces)
		return -ENOMEM;
	for (size_t i = 0; i < values->n; i++) {
		int err = add_interface(config, values->text[i], reason);

		if (err) {
			*ret_bad = i;
			return err;
		}
	}
	return 0;
}

void config_clear_networks(struct config *config)
{
	for (size_t i = 0; i < config->n_node_port_addresses; i++)
		free(config->node_port_addresses[i]);
	free(sl_take(config->node_port_addresses));
	config->n_node_port_addresses = 0;
}

static int add_network(struct config *config, const char *text, char *reason)
{
	struct ip_prefix prefix;

	if (strcmp(text, "all") != 0 && strcmp(text, "primary") != 0 &&
	    strcmp(text, "localhost") != 0 && ip_prefix_parse(text, &prefix) < 0)
		return refuse(reason, "'%.60s' is not a prefix, primary, localhost or all", text);
	for (size_t i = 0; i < config->n_node_port_addresses; i++) {
		if (strcmp(config->node_port_addresses[i], text) == 0)
			return refuse(reason, "'%.60s' is given twice", text);
	}
	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	config->node_port_addresses[config->n_node_port_addresses++] = copy;
	return 0;
}

CONFIG_SETTER(config_set_networks)
{
	(void)field;
	config_clear_networks(config);
	config->node_port_addresses = calloc(values->n + 1, sizeof(*config->node_port_addresses));
	if (!config->node_port_addresses)
		return -ENOMEM;
	for (size_t i = 0; i < values->n; i++) {
		int err = add_network(config, values->text[i], reason);

		if (err) {
			*ret_bad = i;
			return err;
		}
	}
	return 0;
}

/* As many of each family as `max`. */
static int set_prefixes(struct config_prefixes *list, const struct config_values *values,
			size_t max, size_t *ret_bad, char *reason)
{
	size_t n[2] = { 0 };

	free(sl_take(list->items));
	list->n = 0;
	list->items = calloc(values->n + 1, sizeof(*list->items));
	if (!list->items)
		return -ENOMEM;
	for (size_t i = 0; i < values->n; i++) {
		struct ip_prefix *prefix = &list->items[i];

		*ret_bad = i;
		if (ip_prefix_parse(values->text[i], prefix))
			return refuse(reason, "'%.60s' is not a prefix", values->text[i]);
		if (++n[prefix->family == 6] > max)
			return refuse(reason, "'%.60s' is one too many of IPv%u, %zu can be given",
				      values->text[i], prefix->family, max);
		list->n++;
	}
	return 0;
}

CONFIG_SETTER(config_set_cluster_cidrs)
{
	return set_prefixes(member(config, field), values, 1, ret_bad, reason);
}

CONFIG_SETTER(config_set_service_cidrs)
{
	return set_prefixes(member(config, field), values, SL_SERVICE_CIDRS, ret_bad, reason);
}

CONFIG_SETTER(config_set_interface)
{
	const char *text = values->text[0];

	(void)ret_bad;
	if (*text && !is_interface_name(text, strlen(text)))
		return refuse(reason, "'%.60s' is not an interface name", text);
	return store_text(config, field, text);
}

static int set_bind(struct config *config, const struct config_field *field, const char *text,
		    uint32_t port, char *reason)
{
	char host[IP_TEXT_MAX], whole[IP_TEXT_MAX];
	const char *colon = strrchr(text, ':');
	bool bracket = text[0] == '[' && colon && colon > text && colon[-1] == ']';
	struct sl_addr addr;
	int family = ip_parse(text, &addr);

	if (!*text)
		return store_text(config, field, text);
	if (family < 0 && colon) {
		snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * bracket,
			 text + bracket);
		/* Without brackets the last colon would be one of the address. */
		family = strchr(host, ':') && !bracket ? -EINVAL : ip_parse(host, &addr);
		if (family > 0 && parse_number(colon + 1, 1, 65535, &port, reason))
			return -EINVAL;
	}
	if (family < 0)
		return refuse(reason, "'%.60s' is not ADDRESS:PORT", text);
	return store_text(config, field,
			  ip_format_port(&addr, (uint8_t)family, htons((uint16_t)port), whole));
}

CONFIG_SETTER(config_set_bind)
{
	(void)ret_bad;
	return set_bind(config, field, values->text[0], 10256, reason);
}

CONFIG_SETTER(config_set_metrics_bind)
{
	(void)ret_bad;
	return set_bind(config, field, values->text[0], 10249, reason);
}

CONFIG_SETTER(config_set_oom_score)
{
	const char *text = values->text[0];
	uint32_t number;

	(void)ret_bad;
	if (parse_number(text + (*text == '-'), 0, 1000, &number, reason))
		return refuse(reason, "'%.60s' is not in -1000 ... 1000", text);
	*(int32_t *)member(config, field) = *text == '-' ? -(int32_t)number : (int32_t)number;
	return 0;
}
