/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/reader.h"

void service_cidr_free(struct service_cidr *cidr)
{
	if (!cidr)
		return;
	free(cidr->prefixes);
	free(cidr->name);
	free(cidr);
}

int service_cidr_parse(const json_t *json, struct service_cidr **ret, char error[OBJECT_ERROR_MAX])
{
	struct reader reader;
	struct field root, metadata, spec;
	int err = reader_begin(&reader, "ServiceCIDR", false, json, error, &root, &metadata);

	if (!err)
		err = field_object(&reader, &root, "spec", &spec);
	if (err)
		return err;

	sl_auto(service_cidr) cidr = calloc(1, sizeof(*cidr));

	if (!cidr)
		return reader_no_memory(&reader);
	cidr->name = strdup(reader.name);
	if (!cidr->name)
		return reader_no_memory(&reader);
	err = reader_prefixes(&reader, &spec, "cidrs", &cidr->prefixes, &cidr->n_prefixes);
	if (err)
		return err;
	reader_end(&reader);
	*ret = sl_take(cidr);
	return 0;
}
