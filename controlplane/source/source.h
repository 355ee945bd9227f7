/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where objects come from: a Kubernetes API server (kube.c) or a folder of
 * manifests (manifests.c). Both put what they read into the store and say that
 * they did; a source that lost its connection changes nothing in the store and
 * keeps trying.
 */

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/mem.h"
#include "controlplane/store/store.h"

struct source;

struct source_options {
	uv_loop_t *loop;
	struct store *store;
	const char *node_name; /* whose Node to read */
	/* Called on the loop's thread after the store changed; may be NULL. */
	void (*changed)(void *context);
	void *context;
	/* manifests */
	const char *folder;
	/* kube: NULL kubeconfig means in-cluster (S-270) */
	const char *kubeconfig;
	const char *context_name; /* of the kubeconfig; NULL: current-context */
	/* Override the server of either, tried in turn; or none. */
	const char *const *api_servers;
	size_t n_api_servers;
};

/*
 * Begin to read; nothing blocks. Configuration that can't work (no such file,
 * a kubeconfig without a CA, a folder that can't be read) is refused at once.
 *
 * Returns 0 and the source, or -errno with the reason, naming the file and the
 * field, in `error`. The options' strings are copied.
 */
int source_kube_new(const struct source_options *options, struct source **ret,
		    char error[OBJECT_ERROR_MAX]);
int source_manifests_new(const struct source_options *options, struct source **ret,
			 char error[OBJECT_ERROR_MAX]);

/*
 * Stops it. The handles close on the loop's next turns: run the loop until
 * they have before it is closed. Takes NULL too.
 */
void source_free(struct source *source);
SL_DEFINE_AUTO(source)

/*
 * The state for lbctl status, a new reference:
 *   { "source": "kube" | "manifests", "connected": bool, "since": RFC 3339,
 *     "error": "last error or absent", "kinds": [ { "kind": "Service",
 *     "listed": bool, "listedBy": "stream" | "pages" or absent (kube only),
 *     "resourceVersion": "...", "events": n, "lists": n } ] }
 */
json_t *source_status(const struct source *source);

/*
 * Calls `each` for the requests that an API server was asked, by what came of
 * them: `status` 0 is no answer. `host` may have a port.
 */
typedef void source_request(void *context, const char *host, const char *method,
			    unsigned int status, uint64_t n);
void source_each_request(const struct source *source, source_request *each, void *context);

/*
 * Puts one object, of any kind that sluice reads, into the store, or removes
 * it if `removed`. Objects of other kinds are ignored. What is wrong with an
 * object is logged by name. Returns true if the store changed.
 */
bool source_apply(struct store *store, const json_t *object, bool removed);
