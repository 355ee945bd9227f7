/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/explain/offline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/explain/document.h"
#include "controlplane/explain/profile.h"
#include "controlplane/source/folder.h"
#include "controlplane/source/review.h"
#include "controlplane/source/yaml.h"

#define PROFILE_BYTES_MAX (1U << 20)

static int fail(char error[512], int err, const char *path)
{
	snprintf(error, 512, "%.400s: %s", path, strerror(-err));
	return err;
}

/* The first document of the file. */
static int read_profile(const char *path, json_t **ret, char error[512])
{
	sl_auto_mem char *text = malloc(PROFILE_BYTES_MAX);
	FILE *file = text ? fopen(path, "re") : NULL;
	json_t *documents;
	size_t len;
	int err;

	if (!file)
		return fail(error, text ? -errno : -ENOMEM, path);
	len = fread(text, 1, PROFILE_BYTES_MAX, file);
	err = ferror(file) ? -EIO : len == PROFILE_BYTES_MAX ? -EFBIG : 0;
	fclose(file);
	if (err)
		return fail(error, err, path);
	err = yaml_parse(path, text, len, &documents, error);
	if (err)
		return err;
	*ret = json_incref(json_array_get(documents, 0));
	json_decref(documents);
	if (*ret)
		return 0;
	snprintf(error, 512, "%.400s: is empty", path);
	return -EINVAL;
}

static int read_objects(const char *path, const char *node_name, struct store *store,
			char error[512])
{
	sl_auto(folder) folder = NULL;
	struct review review;
	int err = folder_read(path, &folder);

	err = err ?: review_init(&review, store, node_name);
	if (err)
		return fail(error, err, path);
	err = review_apply(&review, folder);
	review_done(&review);
	return err < 0 ? fail(error, err, path) : 0;
}

static int explain(struct store *store, const json_t *json, const char *path,
		   struct decide_packet *packet, json_t **ret, char error[512])
{
	sl_auto(profile) profile = NULL;
	sl_auto(world) world = NULL;
	struct decision decision;
	char reason[512];
	int err = profile_new(json, store, &profile, reason);

	if (err) {
		snprintf(error, 512, "%.100s: %.400s", path, reason);
		return err;
	}
	profile_place(profile, packet);
	err = world_new(store, &profile->world, packet, &world);
	err = err ?: decide(&world->decide, packet, &decision);
	if (!err) {
		err = explain_document(packet, &decision, "objects", ret);
		decision_done(&decision);
	}
	return err ? fail(error, err, "explain") : 0;
}

int explain_offline(const char *objects, const char *profile, const struct explain_query *query,
		    json_t **ret, char error[512])
{
	sl_auto(store) store = store_new();
	struct decide_packet packet;
	const char *node_name;
	json_t *json = NULL;
	int err = store ? explain_query_parse(query, &packet, error)
			: fail(error, -ENOMEM, "explain");

	err = err ?: read_profile(profile, &json, error);
	if (err)
		return err;
	node_name = json_string_value(json_object_get(json, "nodeName"));
	err = read_objects(objects, node_name ? node_name : "", store, error);
	err = err ?: explain(store, json, profile, &packet, ret, error);
	json_decref(json);
	return err;
}
