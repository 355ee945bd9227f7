/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/intern.h"
#include "controlplane/store/reader.h"
#include "controlplane/store/time.h"

#define SERVICE_LABEL "kubernetes.io/service-name"
#define TRIGGER_TIME  "endpoints.kubernetes.io/last-change-trigger-time"
#define PORT_MAX      65535
#define HINTS_MAX     UINT16_MAX

static void clear_endpoint(struct endpoint *endpoint)
{
	for (size_t i = 0; i < endpoint->n_zones; i++)
		intern_put(endpoint->zones[i]);
	for (size_t i = 0; i < endpoint->n_nodes; i++)
		intern_put(endpoint->nodes[i]);
	free(endpoint->zones);
	free(endpoint->nodes);
	intern_put(endpoint->node);
}

void slice_free(struct slice *slice)
{
	if (!slice)
		return;
	for (size_t i = 0; i < slice->n_ports; i++)
		intern_put(slice->ports[i].name);
	for (size_t i = 0; i < slice->n_endpoints; i++)
		clear_endpoint(&slice->endpoints[i]);
	free(slice->ports);
	free(slice->endpoints);
	intern_put(slice->namespace_);
	intern_put(slice->service);
	free(slice->name);
	free(slice);
}

static int read_identity(struct reader *reader, const struct field *metadata, struct slice *slice)
{
	const char *service;
	int err = reader_label(reader, metadata, SERVICE_LABEL, &service);

	if (!err)
		err = reader_intern(reader, reader->namespace_, &slice->namespace_);
	if (!err)
		err = reader_intern(reader, service, &slice->service);
	if (err)
		return err;
	slice->name = strdup(reader->name);
	return slice->name ? 0 : reader_no_memory(reader);
}

/* S-235: what can't be read is no reason to refuse the slice. */
static int read_trigger(struct reader *reader, const struct field *metadata, struct slice *slice)
{
	struct field annotations, field;
	const char *text;
	int err = field_object(reader, metadata, "annotations", &annotations);

	if (!err)
		err = field_string(reader, &annotations, TRIGGER_TIME, &text);
	if (err || !*text)
		return err;
	field = field_of(&annotations, TRIGGER_TIME);
	if (time_parse(text, &slice->triggered_ns))
		reader_note(reader, &field, "ignored: \"%.50s\" is no time", text);
	return 0;
}

/* S-011 */
static int read_family(struct reader *reader, const struct field *root, struct slice *slice)
{
	struct field field = field_of(root, "addressType");
	const char *type;
	int err = field_string(reader, root, "addressType", &type);

	if (err)
		return err;
	if (!strcmp(type, "IPv4"))
		slice->family = 4;
	else if (!strcmp(type, "IPv6"))
		slice->family = 6;
	else
		reader_note(reader, &field, "slice ignored: \"%.50s\" is not IPv4 or IPv6", type);
	return 0;
}

/* S-070: appends the port, unless it has no name or no number. */
static int read_port(struct reader *reader, const struct field *field, struct slice *slice)
{
	struct slice_port *port = &slice->ports[slice->n_ports];
	long long number = 0;
	const char *name;
	int err = element_object(reader, field);

	if (!err)
		err = field_string(reader, field, "name", &name);
	if (!err)
		err = reader_protocol(reader, field, &port->proto);
	if (!err)
		err = field_int(reader, field, "port", 0, PORT_MAX, &number);
	if (err || !number || !field_of(field, "name").json)
		return err;
	port->port = number;
	err = reader_intern(reader, name, &port->name);
	if (!err)
		slice->n_ports++;
	return err;
}

static int read_ports(struct reader *reader, const struct field *root, struct slice *slice)
{
	struct field list;
	size_t n;
	int err = field_list(reader, root, "ports", &list, &n);

	if (err || !n)
		return err;
	slice->ports = calloc(n, sizeof(*slice->ports));
	if (!slice->ports)
		return reader_no_memory(reader);
	for (size_t i = 0; i < n && !err; i++) {
		struct field field = field_at(&list, i);

		err = read_port(reader, &field, slice);
	}
	return err;
}

/* S-071: false if the endpoint can't be used. */
static int read_address(struct reader *reader, const struct field *field, uint8_t family,
			struct endpoint *endpoint, bool *ret_usable)
{
	struct field list;
	size_t n;
	struct object_address address;
	const char *text;
	int err = field_list(reader, field, "addresses", &list, &n);

	*ret_usable = false;
	if (err || !n)
		return err;

	struct field first = field_at(&list, 0);

	err = element_string(reader, &first, &text);
	if (err || !reader_address(reader, &first, text, &address))
		return err;
	if (address.family != family) {
		reader_note(reader, &first, "skipped: \"%.50s\" is not IPv%d", text, family);
		return 0;
	}
	endpoint->addr = address.addr;
	*ret_usable = true;
	return 0;
}

/* S-072 */
static int read_conditions(struct reader *reader, const struct field *field,
			   struct endpoint *endpoint)
{
	struct field conditions;
	int err = field_object(reader, field, "conditions", &conditions);

	endpoint->ready = true;
	endpoint->serving = true;
	if (!err)
		err = field_bool(reader, &conditions, "ready", &endpoint->ready);
	if (!err)
		err = field_bool(reader, &conditions, "serving", &endpoint->serving);
	if (!err)
		err = field_bool(reader, &conditions, "terminating", &endpoint->terminating);
	return err;
}

/* S-078: the names in a list of hints. */
static int read_hints(struct reader *reader, const struct field *hints, const char *key,
		      const char ***names, uint16_t *n_names)
{
	struct field list;
	size_t n;
	int err = field_list(reader, hints, key, &list, &n);

	if (err || !n)
		return err;
	if (n > HINTS_MAX)
		return reader_refuse(reader, &list, "has more than %d entries", HINTS_MAX);
	*names = calloc(n, sizeof(**names));
	if (!*names)
		return reader_no_memory(reader);
	for (size_t i = 0; i < n; i++) {
		struct field hint = field_at(&list, i);
		const char *name;

		err = element_object(reader, &hint);
		if (!err)
			err = field_string(reader, &hint, "name", &name);
		if (!err)
			err = reader_intern(reader, name, &(*names)[i]);
		if (err)
			return err;
		(*n_names)++;
	}
	return 0;
}

/* Fills in `endpoint`, which the caller clears whatever the outcome. */
static int read_endpoint(struct reader *reader, const struct field *field, uint8_t family,
			 struct endpoint *endpoint, bool *ret_usable)
{
	struct field hints;
	const char *node;
	bool usable = false;
	int err = element_object(reader, field);

	if (!err)
		err = read_address(reader, field, family, endpoint, &usable);
	if (!err)
		err = read_conditions(reader, field, endpoint);
	if (!err)
		err = field_string(reader, field, "nodeName", &node);
	if (!err && *node)
		err = reader_intern(reader, node, &endpoint->node);
	if (!err)
		err = field_object(reader, field, "hints", &hints);
	if (!err)
		err = read_hints(reader, &hints, "forZones", &endpoint->zones, &endpoint->n_zones);
	if (!err)
		err = read_hints(reader, &hints, "forNodes", &endpoint->nodes, &endpoint->n_nodes);
	*ret_usable = usable;
	return err;
}

static int read_endpoints(struct reader *reader, const struct field *root, struct slice *slice)
{
	struct field list;
	size_t n;
	int err = field_list(reader, root, "endpoints", &list, &n);

	if (err || !n)
		return err;
	slice->endpoints = calloc(n, sizeof(*slice->endpoints));
	if (!slice->endpoints)
		return reader_no_memory(reader);
	for (size_t i = 0; i < n && !err; i++) {
		struct field field = field_at(&list, i);
		struct endpoint *endpoint = &slice->endpoints[slice->n_endpoints];
		bool usable;

		err = read_endpoint(reader, &field, slice->family, endpoint, &usable);
		if (!err && usable) {
			slice->n_endpoints++;
		} else {
			clear_endpoint(endpoint);
			*endpoint = (struct endpoint) { 0 };
		}
	}
	return err;
}

int slice_parse(const json_t *json, struct slice **ret, char error[OBJECT_ERROR_MAX])
{
	struct reader reader;
	struct field root, metadata;
	int err = reader_begin(&reader, "EndpointSlice", true, json, error, &root, &metadata);

	if (err)
		return err;

	sl_auto(slice) slice = calloc(1, sizeof(*slice));

	if (!slice)
		return reader_no_memory(&reader);
	err = read_identity(&reader, &metadata, slice);
	if (!err)
		err = read_trigger(&reader, &metadata, slice);
	if (!err)
		err = read_family(&reader, &root, slice);
	/* The addresses of an unknown type can't be read, nor are they needed. */
	if (!err && slice->family)
		err = read_ports(&reader, &root, slice);
	if (!err && slice->family)
		err = read_endpoints(&reader, &root, slice);
	if (err)
		return err;
	slice->version.latest = reader_version(&metadata);
	reader_end(&reader);
	*ret = sl_take(slice);
	return 0;
}
