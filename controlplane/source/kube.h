/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The Kubernetes source with its times as a parameter. */

#include "controlplane/source/reflector.h"
#include "controlplane/source/source.h"

struct kube_limits {
	struct reflector_times times;
	struct http_times http;
	size_t line_max; /* bytes of the longest watch event or object */
};

extern const struct kube_limits kube_limits;

/* source_kube_new() is this with `kube_limits`. `limits` has to live until
 * source_free(). */
int kube_new(const struct source_options *options, const struct kube_limits *limits,
	     struct source **ret, char error[OBJECT_ERROR_MAX]);
