/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/pressure.h"

#include "common/log.h"
#include "controlplane/tables/state.h"

#define HIGH_PERCENT 90
#define LOW_PERCENT  85

bool pressure_fill(const struct tables *tables, enum datapath_map map, uint32_t *ret_used,
		   uint32_t *ret_max)
{
	*ret_max = datapath_entries(tables->datapath, map);
	switch (map) {
	case DATAPATH_services:
	case DATAPATH_identities:
		*ret_used = ids_used(tables->service_ids);
		break;
	case DATAPATH_records:
		*ret_used = ids_used(tables->record_ids);
		break;
	case DATAPATH_backends:
		*ret_used = ids_used(tables->backend_ids);
		break;
	case DATAPATH_maglev:
		/* Two slots a value. */
		*ret_used = slab_used(tables->slab) / 2;
		break;
	case DATAPATH_frontends4:
	case DATAPATH_frontends6:
		*ret_used = claims_keys(tables->claims, map == DATAPATH_frontends4 ? 4 : 6);
		break;
	case DATAPATH_policy4:
	case DATAPATH_policy6:
		*ret_used = tables->n_prefixes[map == DATAPATH_policy6];
		break;
	case DATAPATH_snat4:
	case DATAPATH_snat6:
		*ret_used = sweep_ports(tables->sweep, map == DATAPATH_snat4 ? 4 : 6);
		break;
	case DATAPATH_ifaces:
		*ret_used = (uint32_t)tables->ifaces.n;
		break;
	default:
		return false;
	}
	return true;
}

/* What to change when a map is too small. */
static const char *setting_of(enum datapath_map map)
{
	switch (map) {
	case DATAPATH_services:
	case DATAPATH_identities:
	case DATAPATH_records:
		return "maxServices";
	case DATAPATH_backends:
		return "maxBackends";
	case DATAPATH_maglev:
		return "maxMaglevSlots";
	case DATAPATH_frontends4:
	case DATAPATH_frontends6:
		return "maxFrontends";
	case DATAPATH_policy4:
	case DATAPATH_policy6:
		return "maxPolicies";
	case DATAPATH_snat4:
	case DATAPATH_snat6:
		return "maxSnatPorts";
	default:
		return NULL;
	}
}

static bool check_one(struct tables *tables, enum datapath_map map)
{
	bool *high = &tables->pressure.high[map];
	const char *setting = setting_of(map);
	uint32_t used, max;
	uint64_t percent;

	if (!pressure_fill(tables, map, &used, &max))
		return false;
	percent = 100ULL * used / max;
	if (*high ? percent >= LOW_PERCENT : percent < HIGH_PERCENT)
		return false;
	*high = !*high;
	/* They fill together: one line is enough. */
	if (map == DATAPATH_identities)
		return true;
	if (*high)
		log_warn("tables: map %s is nearly full, %u of %u%s%s", datapath_map_name(map),
			 used, max, setting ? ": larger with " : "", setting ? setting : "");
	else
		log_info("tables: map %s has room again, %u of %u", datapath_map_name(map), used,
			 max);
	return true;
}

void pressure_check(struct tables *tables)
{
	bool changed = false;

	for (int map = 0; map < DATAPATH_MAP_MAX; map++)
		changed = check_one(tables, map) || changed;
	if (changed && tables->pressure.changed)
		tables->pressure.changed(tables->pressure.context);
}

json_t *tables_fill(const struct tables *tables)
{
	json_t *list = json_array();
	uint32_t used, max;

	for (int map = 0; map < DATAPATH_MAP_MAX; map++) {
		if (pressure_fill(tables, map, &used, &max))
			json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:b}", "name",
							      datapath_map_name(map), "entries",
							      (json_int_t)used, "maxEntries",
							      (json_int_t)max, "nearlyFull",
							      tables->pressure.high[map]));
	}
	return list;
}

void tables_on_pressure(struct tables *tables, void (*changed)(void *context), void *context)
{
	tables->pressure.changed = changed;
	tables->pressure.context = context;
}
