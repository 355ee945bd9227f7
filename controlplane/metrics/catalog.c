/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/metrics/catalog.h"

const struct metric_entry metric_catalog[METRIC_MAX] = {
#define X(id, name_, type_, labels_, help_)                                                        \
	[METRIC_##id] = {                                                                          \
		.name = name_,                                                                     \
		.type = METRIC_##type_,                                                            \
		.labels = labels_,                                                                 \
		.help = help_,                                                                     \
	},
	METRICS(X)
#undef X
};

const char *metric_type_name(enum metric_type type)
{
	static const char *const names[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};

	return names[type];
}
