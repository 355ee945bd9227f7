/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/apply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

static const struct {
	const char *api_version;
	const char *kind;
	bool namespaced;
} kinds[] = {
	[OBJECT_SERVICE] = { "v1", "Service", true },
	[OBJECT_SLICE] = { "discovery.k8s.io/v1", "EndpointSlice", true },
	[OBJECT_NODE] = { "v1", "Node", false },
	[OBJECT_SERVICE_CIDR] = { "networking.k8s.io/v1", "ServiceCIDR", false },
};

const char *apply_kind_name(enum object_kind kind)
{
	return kinds[kind].kind;
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int apply_identify(const json_t *object, struct apply_id *ret, char error[OBJECT_ERROR_MAX])
{
	const char *api_version = text(object, "apiVersion");
	const char *kind = text(object, "kind");
	const json_t *metadata = json_object_get(object, "metadata");
	const char *name = text(metadata, "name");
	const char *namespace_ = text(metadata, "namespace");

	error[0] = '\0';
	if (!api_version || !kind) {
		snprintf(error, OBJECT_ERROR_MAX, "not a Kubernetes object: no %s",
			 kind ? "apiVersion" : "kind");
		return -EINVAL;
	}
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		if (strcmp(kind, kinds[i].kind) != 0 ||
		    strcmp(api_version, kinds[i].api_version) != 0)
			continue;
		if (!name || !*name || (kinds[i].namespaced && (!namespace_ || !*namespace_))) {
			snprintf(error, OBJECT_ERROR_MAX, "%s %s: no metadata.%s", kind,
				 name ? name : "", name && *name ? "namespace" : "name");
			return -EINVAL;
		}
		*ret = (struct apply_id) {
			.kind = (enum object_kind)i,
			.namespace_ = kinds[i].namespaced ? namespace_ : "",
			.name = name,
		};
		return 0;
	}
	return -ENOENT;
}

bool apply_is_left_out(enum object_kind kind, const json_t *object)
{
	const json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
	const char *ip = text(json_object_get(object, "spec"), "clusterIP");

	switch (kind) {
	case OBJECT_SERVICE:
		return json_object_get(labels, "service.kubernetes.io/service-proxy-name") ||
		       (ip && strcmp(ip, "None") == 0);
	case OBJECT_SLICE:
		return json_object_get(labels, "service.kubernetes.io/headless");
	default:
		return false;
	}
}

int apply_parse(enum object_kind kind, const json_t *object, void **ret,
		char error[OBJECT_ERROR_MAX])
{
	switch (kind) {
	case OBJECT_SERVICE:
		return service_parse(object, (struct service **)ret, error);
	case OBJECT_SLICE:
		return slice_parse(object, (struct slice **)ret, error);
	case OBJECT_SERVICE_CIDR:
		return service_cidr_parse(object, (struct service_cidr **)ret, error);
	default:
		return node_parse(object, (struct node **)ret, error);
	}
}

int apply_put(struct store *store, enum object_kind kind, void *parsed)
{
	switch (kind) {
	case OBJECT_SERVICE:
		return store_put_service(store, parsed);
	case OBJECT_SLICE:
		return store_put_slice(store, parsed);
	case OBJECT_SERVICE_CIDR:
		return store_put_service_cidr(store, parsed);
	default:
		return store_put_node(store, parsed);
	}
}

void apply_drop(enum object_kind kind, void *parsed)
{
	switch (kind) {
	case OBJECT_SERVICE:
		service_free(parsed);
		break;
	case OBJECT_SLICE:
		slice_free(parsed);
		break;
	case OBJECT_SERVICE_CIDR:
		service_cidr_free(parsed);
		break;
	default:
		node_free(parsed);
	}
}

int apply_object(struct store *store, const json_t *object, bool removed,
		 char error[OBJECT_ERROR_MAX])
{
	struct apply_id id;
	int err = apply_identify(object, &id, error);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (removed || apply_is_left_out(id.kind, object))
		return store_remove(store, id.kind, id.namespace_, id.name);

	void *parsed = NULL;
	int changed = apply_parse(id.kind, object, &parsed, error);
	if (changed == 0)
		changed = apply_put(store, id.kind, parsed);
	if (changed < 0) {
		store_keep(store, id.kind, id.namespace_, id.name);
		if (!error[0])
			snprintf(error, OBJECT_ERROR_MAX, "%s %s%s%s: %s", apply_kind_name(id.kind),
				 id.namespace_, *id.namespace_ ? "/" : "", id.name,
				 strerror(-changed));
	}
	return changed;
}

struct object_uid apply_uid(const json_t *object)
{
	return uid_parse(text(json_object_get(object, "metadata"), "uid"));
}

void apply_tell(const struct store *store, enum object_kind kind, const struct store_wrong *wrong)
{
	log_warn("source: %s%s", wrong->what, wrong->refused ? "; what was known of it stays" : "");
	if (kind == OBJECT_SERVICE)
		store_tell_wrong(store, wrong);
}

bool source_apply(struct store *store, const json_t *object, bool removed)
{
	char error[OBJECT_ERROR_MAX], unnamed[OBJECT_ERROR_MAX];
	struct apply_id id = {};
	int changed = apply_object(store, object, removed, error);

	if (changed == 0 || !error[0])
		return changed > 0;
	if (apply_identify(object, &id, unnamed))
		id.kind = OBJECT_KIND_MAX;
	apply_tell(store, id.kind,
		   &(struct store_wrong) {
			   .namespace_ = id.namespace_,
			   .name = id.name,
			   .uid = apply_uid(object),
			   .refused = changed < 0,
			   .what = error,
		   });
	return changed > 0;
}
