/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/kube.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "controlplane/source/source_impl.h"

const struct kube_limits kube_limits = {
	.times = {
		.backoff = { .min_ms = 800, .max_ms = 30000, .reset_ms = 120000 },
		.list_ms = 120000,
		/* The server itself gives up after a minute. */
		.answer_ms = 65000,
		/* Bookmarks come about once a minute. */
		.receive_ms = 150000,
		.short_ms = 1000,
		.settled_ms = 10000,
		.complain_ms = 60000,
		.absent_ms = 300000,
	},
	.http = { .ping_ms = 30000, .pong_ms = 15000, .exec_ms = 60000 },
	.line_max = 16 * 1024 * 1024,
};

struct kube {
	struct source source;
	struct kubeconfig *config;
	struct http *http;
	struct reflector *reflectors[OBJECT_KIND_MAX];
};

/* S-001, S-002, S-004, S-272 */
static const struct reflector_kind kinds[OBJECT_KIND_MAX] = {
	[OBJECT_SERVICE] = {
		.kind = OBJECT_SERVICE,
		.name = "Service",
		.api_version = "v1",
		.path = "/api/v1/services",
		.selector = "&labelSelector=%21service.kubernetes.io%2Fservice-proxy-name"
			    "&fieldSelector=spec.clusterIP%21%3DNone",
	},
	[OBJECT_SLICE] = {
		.kind = OBJECT_SLICE,
		.name = "EndpointSlice",
		.api_version = "discovery.k8s.io/v1",
		.path = "/apis/discovery.k8s.io/v1/endpointslices",
		.selector = "&labelSelector=%21service.kubernetes.io%2Fheadless",
	},
	[OBJECT_NODE] = {
		.kind = OBJECT_NODE,
		.name = "Node",
		.api_version = "v1",
		.path = "/api/v1/nodes",
		.selector = "&fieldSelector=metadata.name%3D", /* and the node's name */
	},
	[OBJECT_SERVICE_CIDR] = {
		.kind = OBJECT_SERVICE_CIDR,
		.name = "ServiceCIDR",
		.api_version = "networking.k8s.io/v1",
		.path = "/apis/networking.k8s.io/v1/servicecidrs",
		.selector = "",
		.optional = true,
	},
};

static void kube_free(struct source *source)
{
	struct kube *kube = (struct kube *)source;

	for (size_t i = 0; i < OBJECT_KIND_MAX; i++)
		reflector_free(kube->reflectors[i]);
	http_free(kube->http);
	kubeconfig_free(kube->config);
	free(kube);
}

static json_t *kube_status(const struct source *source)
{
	const struct kube *kube = (const struct kube *)source;
	json_t *list = json_array();
	char why[OBJECT_ERROR_MAX + 32] = "";
	bool connected = true;
	time_t since = 0;
	char when[32];
	struct tm utc;

	for (size_t i = 0; i < OBJECT_KIND_MAX; i++) {
		struct reflector_state state = reflector_state(kube->reflectors[i]);

		/* Connected since the last kind is, or not since the first is not. */
		if (state.connected < connected || since == 0) {
			since = state.since;
		} else if (state.connected == connected) {
			if (connected ? state.since > since : state.since < since)
				since = state.since;
		}
		connected = connected && state.connected;
		if (!*why && *state.error)
			snprintf(why, sizeof(why), "%s: %s", kinds[i].name, state.error);
		json_array_append_new(list, reflector_status(kube->reflectors[i]));
	}
	gmtime_r(&since, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return json_pack("{s:s, s:b, s:s, s:o*, s:o}", "source", "kube", "connected", connected,
			 "since", when, "error", source_error(why), "kinds", list);
}

static int kube_post(struct source *source, const char *path, const char *body,
		     const struct http_handler *handler, void *context, struct http_request **ret)
{
	struct kube *kube = (struct kube *)source;

	return http_post(kube->http, path, body, handler, context, ret);
}

static void kube_requests(const struct source *source, source_request *each, void *context)
{
	const struct kube *kube = (const struct kube *)source;

	http_each_count(kube->http, each, context);
}

static const struct source_ops kube_ops = {
	.free = kube_free,
	.status = kube_status,
	.requests = kube_requests,
	.post = kube_post,
};

/* Starts the list of each kind. */
static int start(struct kube *kube, const struct source_options *options,
		 const struct kube_limits *limits)
{
	const struct reflector_options common = {
		.loop = options->loop,
		.http = kube->http,
		.store = options->store,
		.times = &limits->times,
		.line_max = limits->line_max,
		.changed = options->changed,
		.context = options->context,
	};
	char *name = curl_easy_escape(NULL, options->node_name, 0);
	sl_auto_mem char *selector = NULL;
	int err = 0;

	if (!name || asprintf(&selector, "%s%s", kinds[OBJECT_NODE].selector, name) < 0) {
		selector = NULL;
		err = -ENOMEM;
	}
	curl_free(name);
	for (size_t i = 0; i < OBJECT_KIND_MAX && !err; i++) {
		struct reflector_kind kind = kinds[i];

		if (i == OBJECT_NODE)
			kind.selector = selector;
		err = reflector_new(&kind, &common, &kube->reflectors[i]);
	}
	return err;
}

int kube_new(const struct source_options *options, const struct kube_limits *limits,
	     struct source **ret, char error[OBJECT_ERROR_MAX])
{
	int err;

	if (!options->node_name || !*options->node_name) {
		snprintf(error, OBJECT_ERROR_MAX, "node name: is empty");
		return -EINVAL;
	}

	struct kube *kube = calloc(1, sizeof(*kube));
	if (!kube) {
		snprintf(error, OBJECT_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	kube->source.ops = &kube_ops;
	sl_auto(source) source = &kube->source;

	const struct kubeconfig_choice choice = {
		.context = options->context_name,
		.api_servers = options->api_servers,
		.n_api_servers = options->n_api_servers,
	};
	if (options->kubeconfig)
		err = kubeconfig_load(options->kubeconfig, &choice, &kube->config, error);
	else
		err = kubeconfig_in_cluster(KUBECONFIG_SERVICE_ACCOUNT, &choice, &kube->config,
					    error);
	if (err)
		return err;

	err = http_new(options->loop, kube->config, &limits->http, &kube->http);
	if (!err)
		err = start(kube, options, limits);
	if (err) {
		snprintf(error, OBJECT_ERROR_MAX, "%s", strerror(-err));
		return err;
	}
	log_info("kube: reading from %s servers=%zu node=%s", kube->config->servers[0],
		 kube->config->n_servers, options->node_name);
	*ret = sl_take(source);
	return 0;
}

int source_kube_new(const struct source_options *options, struct source **ret,
		    char error[OBJECT_ERROR_MAX])
{
	return kube_new(options, &kube_limits, ret, error);
}
