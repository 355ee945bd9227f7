/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every source begins with; private to the sources. */

#include "controlplane/source/source.h"

struct source_ops {
	void (*free)(struct source *source);
	json_t *(*status)(const struct source *source);
};

struct source {
	const struct source_ops *ops;
};
