/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/takeover.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

static const char *const modes[] = {
	[CONFIG_MASQUERADE_MINIMAL] = "minimal",
	[CONFIG_MASQUERADE_COMPATIBLE] = "compatible",
};

struct takeover takeover_decide(const struct takeover_facts *facts)
{
	static const struct sl_node unwritten;
	struct takeover ret = { .mode = CONFIG_MASQUERADE_MINIMAL, .why = TAKEOVER_DEFAULT };
	const struct sl_node *adopted = facts->adopted;

	if (adopted && !memcmp(adopted, &unwritten, sizeof(unwritten)))
		adopted = NULL;

	if (facts->configured) {
		ret.mode = *facts->configured;
		ret.why = TAKEOVER_CONFIGURED;
	} else if (adopted && adopted->taken_over) {
		ret.mode = CONFIG_MASQUERADE_COMPATIBLE;
		ret.why = TAKEOVER_ADOPTED;
	} else if (adopted && !adopted->compatible) {
		ret.why = TAKEOVER_ADOPTED;
	} else if (facts->kube_proxy) {
		ret.mode = CONFIG_MASQUERADE_COMPATIBLE;
		ret.why = TAKEOVER_KUBE_PROXY;
		snprintf(ret.found, sizeof(ret.found), "%s", facts->kube_proxy);
	}
	return ret;
}

bool takeover_is_kept(const struct takeover *takeover)
{
	return takeover->mode == CONFIG_MASQUERADE_COMPATIBLE &&
	       takeover->why != TAKEOVER_CONFIGURED;
}

static void report(const struct takeover *takeover)
{
	const char *mode = modes[takeover->mode];

	if (takeover->why == TAKEOVER_ADOPTED && takeover_is_kept(takeover))
		log_info("takeover: masquerade=%s as in the run before; --masquerade changes it",
			 mode);
	else if (takeover->why == TAKEOVER_KUBE_PROXY)
		log_info("takeover: masquerade=%s because kube-proxy's rules are here (%s); see "
			 "lbctl doctor, then change it with --masquerade minimal",
			 mode, takeover->found);
}

void takeover_start(struct config *config, const struct datapath *datapath, struct takeover *ret)
{
	struct takeover_facts facts = {};
	struct sl_node node;
	char found[128];
	const __u32 zero = 0;
	int r;

	if (config->masquerade_set)
		facts.configured = &config->masquerade;
	if (datapath_adopted(datapath) &&
	    bpf_map_lookup_elem(datapath_map(datapath, DATAPATH_node), &zero, &node) == 0)
		facts.adopted = &node;
	r = takeover_find_kube_proxy(found);
	if (r > 0)
		facts.kube_proxy = found;
	*ret = takeover_decide(&facts);
	if (r < 0 && ret->why == TAKEOVER_DEFAULT)
		log_warn("takeover: whether kube-proxy's rules are here is not known: %s; "
			 "masquerade=%s",
			 strerror(-r), modes[ret->mode]);
	config->masquerade = ret->mode;
	config->taken_over = takeover_is_kept(ret);
	report(ret);
}

json_t *takeover_describe(const struct takeover *takeover)
{
	static const char *const why[] = {
		[TAKEOVER_CONFIGURED] = "configured",
		[TAKEOVER_ADOPTED] = "adopted",
		[TAKEOVER_KUBE_PROXY] = "kubeProxy",
		[TAKEOVER_DEFAULT] = "default",
	};

	return json_pack("{s:s, s:s}", "mode", modes[takeover->mode], "why", why[takeover->why]);
}
