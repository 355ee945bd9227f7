/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/intern.h"
#include "controlplane/store/reader.h"

#define ZONE_LABEL	 "topology.kubernetes.io/zone"
#define AUTOSCALER_TAINT "ToBeDeletedByClusterAutoscaler"

void node_free(struct node *node)
{
	if (!node)
		return;
	free(node->addresses);
	free(node->pod_cidrs);
	intern_put(node->zone);
	free(node->name);
	free(node);
}

/* Appends the addresses of one type to `node->addresses`, which has room. */
static int read_addresses_of(struct reader *reader, const struct field *list, size_t n,
			     const char *want, struct node *node)
{
	for (size_t i = 0; i < n; i++) {
		struct field entry = field_at(list, i);
		const char *type, *text;
		int err = element_object(reader, &entry);

		if (!err)
			err = field_string(reader, &entry, "type", &type);
		if (!err)
			err = field_string(reader, &entry, "address", &text);
		if (err)
			return err;
		if (strcmp(type, want))
			continue;

		struct field field = field_of(&entry, "address");

		node->n_addresses +=
			reader_address(reader, &field, text, &node->addresses[node->n_addresses]);
	}
	return 0;
}

/* S-251 */
static int read_addresses(struct reader *reader, const struct field *root, struct node *node)
{
	struct field status, list;
	size_t n = 0;
	int err = field_object(reader, root, "status", &status);

	if (!err)
		err = field_list(reader, &status, "addresses", &list, &n);
	if (err || !n)
		return err;
	node->addresses = calloc(n, sizeof(*node->addresses));
	if (!node->addresses)
		return reader_no_memory(reader);
	err = read_addresses_of(reader, &list, n, "InternalIP", node);
	return err ? err : read_addresses_of(reader, &list, n, "ExternalIP", node);
}

/* podCIDR is the older field: the first of podCIDRs. */
static int read_pod_cidrs(struct reader *reader, const struct field *spec, struct node *node)
{
	struct field field = field_of(spec, "podCIDR");
	const char *only;
	int err = field_string(reader, spec, "podCIDR", &only);

	if (!err)
		err = reader_prefixes(reader, spec, "podCIDRs", &node->pod_cidrs,
				      &node->n_pod_cidrs);
	if (err || !*only || node->pod_cidrs)
		return err;
	node->pod_cidrs = calloc(1, sizeof(*node->pod_cidrs));
	if (!node->pod_cidrs)
		return reader_no_memory(reader);
	if (ip_prefix_parse(only, node->pod_cidrs))
		reader_note(reader, &field, "skipped: \"%.50s\" is no CIDR", only);
	else
		node->n_pod_cidrs = 1;
	return 0;
}

/* S-214: whatever the taint's value and effect are. */
static int read_taints(struct reader *reader, const struct field *spec, struct node *node)
{
	struct field list;
	size_t n;
	int err = field_list(reader, spec, "taints", &list, &n);

	for (size_t i = 0; i < n && !err; i++) {
		struct field taint = field_at(&list, i);
		const char *key = "";

		err = element_object(reader, &taint);
		if (!err)
			err = field_string(reader, &taint, "key", &key);
		if (!strcmp(key, AUTOSCALER_TAINT))
			node->to_be_deleted = true;
	}
	return err;
}

int node_parse(const json_t *json, struct node **ret, char error[OBJECT_ERROR_MAX])
{
	struct reader reader;
	struct field root, metadata, spec;
	const char *zone, *deleted;
	int err = reader_begin(&reader, "Node", false, json, error, &root, &metadata);

	if (!err)
		err = reader_label(&reader, &metadata, ZONE_LABEL, &zone);
	if (!err)
		err = field_string(&reader, &metadata, "deletionTimestamp", &deleted);
	if (!err)
		err = field_object(&reader, &root, "spec", &spec);
	if (err)
		return err;

	sl_auto(node) node = calloc(1, sizeof(*node));

	if (!node)
		return reader_no_memory(&reader);
	node->name = strdup(reader.name);
	if (!node->name)
		return reader_no_memory(&reader);
	node->deleting = *deleted;
	err = reader_intern(&reader, zone, &node->zone);
	if (!err)
		err = read_addresses(&reader, &root, node);
	if (!err)
		err = read_pod_cidrs(&reader, &spec, node);
	if (!err)
		err = read_taints(&reader, &spec, node);
	if (err)
		return err;
	reader_end(&reader);
	*ret = sl_take(node);
	return 0;
}
