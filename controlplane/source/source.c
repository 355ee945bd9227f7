/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/source.h"

#include "controlplane/source/source_impl.h"

void source_free(struct source *source)
{
	if (source)
		source->ops->free(source);
}

json_t *source_status(const struct source *source)
{
	return source->ops->status(source);
}
