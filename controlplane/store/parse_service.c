/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/annotations.h"
#include "controlplane/store/intern.h"
#include "controlplane/store/reader.h"
#include "controlplane/store/table.h"

#define AFFINITY_DEFAULT_S 10800
#define AFFINITY_MAX_S	   86400
#define PORT_MAX	   65535

void service_free(struct service *service)
{
	if (!service)
		return;
	for (size_t i = 0; i < service->n_ports; i++)
		intern_put(service->ports[i].name);
	free(service->ports);
	free(service->external_ips);
	free(service->vips);
	free(service->source_ranges);
	intern_put(service->namespace_);
	free(service->name);
	free(service);
}

static int read_identity(struct reader *reader, const struct field *metadata,
			 struct service *service)
{
	struct field name = field_of(metadata, "name");
	int err = reader_name_fits(reader, &name, reader->name);

	if (err)
		return err;
	service->name = strdup(reader->name);
	if (!service->name)
		return reader_no_memory(reader);
	return reader_intern(reader, reader->namespace_, &service->namespace_);
}

static int read_type(struct reader *reader, const struct field *spec, struct service *service)
{
	static const struct {
		const char *name;
		enum service_type type;
	} types[] = {
		{ "", SERVICE_CLUSTER_IP },
		{ "ClusterIP", SERVICE_CLUSTER_IP },
		{ "NodePort", SERVICE_NODE_PORT },
		{ "LoadBalancer", SERVICE_LOAD_BALANCER },
		{ "ExternalName", SERVICE_EXTERNAL_NAME },
	};
	const char *name;
	int err = field_string(reader, spec, "type", &name);

	if (err)
		return err;
	for (size_t i = 0; i < SL_COUNT(types); i++) {
		if (!strcmp(types[i].name, name)) {
			service->type = types[i].type;
			return 0;
		}
	}

	struct field field = field_of(spec, "type");

	return reader_refuse(reader, &field, "\"%.50s\" is not a type of Service", name);
}

/* Takes over the cluster IP that stands in `field`, if it is of `family`. */
static int set_cluster_ip(struct reader *reader, const struct field *field, const char *text,
			  int family, struct service *service)
{
	struct object_address ip;

	if (!reader_address(reader, field, text, &ip))
		return reader_refuse(reader, field, "\"%.50s\" is no cluster IP", text);
	if (family && ip.family != family)
		return reader_refuse(reader, field, "\"%.50s\" is not IPv%d", text, family);
	if (ip.family == 4) {
		service->has_ip4 = true;
		service->ip4 = ip.addr;
	} else {
		service->has_ip6 = true;
		service->ip6 = ip.addr;
	}
	return 0;
}

/* S-022: clusterIPs[i] belongs to ipFamilies[i]; the first of a family counts. */
static int read_families(struct reader *reader, const struct field *families, size_t n_families,
			 const struct field *ips, size_t n_ips, struct service *service)
{
	for (size_t i = 0; i < n_families; i++) {
		struct field family = field_at(families, i), ip = field_at(ips, i);
		const char *name, *text;
		int err = element_string(reader, &family, &name);

		if (err)
			return err;

		int number = !strcmp(name, "IPv4") ? 4 : !strcmp(name, "IPv6") ? 6 : 0;

		if (!number)
			return reader_refuse(reader, &family, "\"%.50s\" is not IPv4 or IPv6",
					     name);
		if (i >= n_ips) {
			reader_note(reader, &family, "skipped: no such entry in spec.clusterIPs");
			continue;
		}
		if (number == 4 ? service->has_ip4 : service->has_ip6)
			continue;
		err = element_string(reader, &ip, &text);
		if (!err)
			err = set_cluster_ip(reader, &ip, text, number, service);
		if (err)
			return err;
	}
	return 0;
}

static int read_cluster_ips(struct reader *reader, const struct field *spec,
			    struct service *service)
{
	struct field ip = field_of(spec, "clusterIP"), ips, families;
	size_t n_ips, n_families;
	const char *text;
	int err = field_string(reader, spec, "clusterIP", &text);

	if (!err)
		err = field_list(reader, spec, "clusterIPs", &ips, &n_ips);
	if (!err)
		err = field_list(reader, spec, "ipFamilies", &families, &n_families);
	if (err)
		return err;
	service->headless = !*text || !strcmp(text, "None");
	if (service->type == SERVICE_EXTERNAL_NAME)
		return 0;
	if (!*text)
		reader_note(reader, &ip, "missing: the Service has no traffic");
	if (service->headless)
		return 0;
	if (!n_families)
		return set_cluster_ip(reader, &ip, text, 0, service);
	return read_families(reader, &families, n_families, &ips, n_ips, service);
}

static int read_port(struct reader *reader, const struct field *field, struct service_port *port)
{
	long long number = -1, node_port = 0;
	const char *name;
	int err = element_object(reader, field);

	if (!err)
		err = field_string(reader, field, "name", &name);
	if (!err)
		err = reader_protocol(reader, field, &port->proto);
	if (!err)
		err = field_int(reader, field, "port", 1, PORT_MAX, &number);
	if (!err)
		err = field_int(reader, field, "nodePort", 0, PORT_MAX, &node_port);
	if (err)
		return err;

	struct field port_field = field_of(field, "port"), name_field = field_of(field, "name");

	if (number < 0)
		return reader_refuse(reader, &port_field, "missing");
	port->port = number;
	port->node_port = node_port;
	err = reader_name_fits(reader, &name_field, name);
	return err ? err : reader_intern(reader, name, &port->name);
}

/*
 * The API server lets no two ports of a Service and one protocol share a name or
 * a number; a manifest can. They would be one service port (S-020) or have one
 * frontend.
 */
static int check_unique(struct reader *reader, const struct field *list,
			const struct service *service, size_t last)
{
	const struct service_port *port = &service->ports[last];
	struct field field = field_at(list, last);

	for (size_t i = 0; i < last; i++) {
		const struct service_port *other = &service->ports[i];

		if (other->proto != port->proto)
			continue;
		if (other->name == port->name)
			return reader_refuse(reader, &field,
					     "same name and protocol as spec.ports[%zu]", i);
		if (other->port == port->port)
			return reader_refuse(reader, &field,
					     "same port and protocol as spec.ports[%zu]", i);
		if (port->node_port && other->node_port == port->node_port)
			return reader_refuse(reader, &field,
					     "same nodePort and protocol as spec.ports[%zu]", i);
	}
	return 0;
}

static int read_ports(struct reader *reader, const struct field *spec, struct service *service)
{
	struct field list;
	size_t n;
	int err = field_list(reader, spec, "ports", &list, &n);

	if (err || !n)
		return err;
	service->ports = calloc(n, sizeof(*service->ports));
	if (!service->ports)
		return reader_no_memory(reader);
	for (size_t i = 0; i < n && !err; i++) {
		struct field field = field_at(&list, i);

		err = read_port(reader, &field, &service->ports[service->n_ports++]);
		if (!err)
			err = check_unique(reader, &list, service, i);
	}
	return err;
}

/* S-025 */
static int read_external_ips(struct reader *reader, const struct field *spec,
			     struct service *service)
{
	struct field list;
	size_t n;
	int err = field_list(reader, spec, "externalIPs", &list, &n);

	if (err || !n)
		return err;
	service->external_ips = calloc(n, sizeof(*service->external_ips));
	if (!service->external_ips)
		return reader_no_memory(reader);
	for (size_t i = 0; i < n; i++) {
		struct field field = field_at(&list, i);
		struct object_address *next = &service->external_ips[service->n_external_ips];
		const char *text;

		err = element_string(reader, &field, &text);
		if (err)
			return err;
		service->n_external_ips += reader_address(reader, &field, text, next);
	}
	return 0;
}

/* S-027: entries with a hostname only, or another ipMode than VIP, don't count. */
static int read_vips(struct reader *reader, const struct field *root, struct service *service)
{
	struct field status, balancer, list;
	size_t n = 0;
	int err = field_object(reader, root, "status", &status);

	if (!err)
		err = field_object(reader, &status, "loadBalancer", &balancer);
	if (!err)
		err = field_list(reader, &balancer, "ingress", &list, &n);
	if (err || !n)
		return err;
	service->vips = calloc(n, sizeof(*service->vips));
	if (!service->vips)
		return reader_no_memory(reader);
	for (size_t i = 0; i < n; i++) {
		struct field entry = field_at(&list, i), ip = field_of(&entry, "ip");
		const char *text, *mode;

		err = element_object(reader, &entry);
		if (!err)
			err = field_string(reader, &entry, "ip", &text);
		if (!err)
			err = field_string(reader, &entry, "ipMode", &mode);
		if (err)
			return err;
		if (!*text || (*mode && strcmp(mode, "VIP")))
			continue;
		service->n_vips +=
			reader_address(reader, &ip, text, &service->vips[service->n_vips]);
	}
	return 0;
}

/* S-036 */
static int read_affinity(struct reader *reader, const struct field *spec, struct service *service)
{
	struct field config, client_ip;
	long long timeout_s = AFFINITY_DEFAULT_S;
	const char *kind;
	int err = field_string(reader, spec, "sessionAffinity", &kind);

	if (err || strcmp(kind, "ClientIP"))
		return err;
	err = field_object(reader, spec, "sessionAffinityConfig", &config);
	if (!err)
		err = field_object(reader, &config, "clientIP", &client_ip);
	if (!err)
		err = field_int(reader, &client_ip, "timeoutSeconds", 1, AFFINITY_MAX_S,
				&timeout_s);
	if (!err)
		service->affinity_s = timeout_s;
	return err;
}

static int read_policies(struct reader *reader, const struct field *spec, struct service *service)
{
	long long health_port = 0;
	const char *internal, *external;
	int err = field_string(reader, spec, "internalTrafficPolicy", &internal);

	if (!err)
		err = field_string(reader, spec, "externalTrafficPolicy", &external);
	if (!err)
		err = field_int(reader, spec, "healthCheckNodePort", 0, PORT_MAX, &health_port);
	if (err)
		return err;
	service->internal_policy = strcmp(internal, "Local") ? POLICY_CLUSTER : POLICY_LOCAL;
	service->external_policy = strcmp(external, "Local") ? POLICY_CLUSTER : POLICY_LOCAL;
	service->health_check_node_port = health_port;
	return 0;
}

int service_parse(const json_t *json, struct service **ret, char error[OBJECT_ERROR_MAX])
{
	struct reader reader;
	struct field root, metadata, spec;
	int err = reader_begin(&reader, "Service", true, json, error, &root, &metadata);

	if (!err)
		err = field_object(&reader, &root, "spec", &spec);
	if (err)
		return err;

	sl_auto(service) service = calloc(1, sizeof(*service));

	if (!service)
		return reader_no_memory(&reader);
	err = read_identity(&reader, &metadata, service);
	if (!err)
		err = read_type(&reader, &spec, service);
	if (!err)
		err = read_cluster_ips(&reader, &spec, service);
	if (!err)
		err = read_ports(&reader, &spec, service);
	if (!err)
		err = read_external_ips(&reader, &spec, service);
	if (!err)
		err = read_vips(&reader, &root, service);
	if (!err)
		err = reader_prefixes(&reader, &spec, "loadBalancerSourceRanges",
				      &service->source_ranges, &service->n_source_ranges);
	if (!err)
		err = read_affinity(&reader, &spec, service);
	if (!err)
		err = read_policies(&reader, &spec, service);
	if (!err)
		err = annotations_read(&reader, &metadata, service);
	if (err)
		return err;
	service->version.latest = reader_version(&metadata);
	service->uid = uid_parse(json_string_value(json_object_get(metadata.json, "uid")));
	reader_end(&reader);
	service->skipped = *error ? (uint32_t)table_hash(error, 0) : 0;
	*ret = sl_take(service);
	return 0;
}
