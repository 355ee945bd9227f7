/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/handover.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/takeover.h"

#define CHECK_MS 10000

/* conntrack may be a module of the kernel. */
bool handover_can_ask_conntrack(void)
{
	static const char name[] = "bpf_skb_ct_lookup";
	struct btf *kernel = btf__load_vmlinux_btf(), *module = NULL;
	bool found = kernel && btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC) > 0;

	if (kernel && !found)
		module = btf__load_module_btf("nf_conntrack", kernel);
	if (module)
		found = btf__find_by_name_kind(module, name, BTF_KIND_FUNC) > 0;
	btf__free(module);
	btf__free(kernel);
	return found;
}

void handover_start(struct config *config, const struct datapath *datapath)
{
	const __u32 zero = 0;
	struct sl_node node = {};
	char found[128];

	config->handover = SL_HANDOVER_NONE;
	if (config->hand_back) {
		config->handover = SL_HANDOVER_BACK;
		log_info("handover: new connections are kube-proxy's; what is open goes on");
		return;
	}
	if (datapath_adopted(datapath))
		bpf_map_lookup_elem(datapath_map(datapath, DATAPATH_node), &zero, &node);
	if (takeover_find_kube_proxy(found) <= 0 && node.handover == SL_HANDOVER_NONE)
		return;
	config->handover = SL_HANDOVER_FROM;
	log_info("handover: what kube-proxy's conntrack translates is left to it until it ends%s",
		 datapath_config(datapath)->can_ask_conntrack
			 ? ""
			 : "; this kernel can't be asked: UDP is taken over at once");
}

const char *handover_name(const struct config *config)
{
	switch (config->handover) {
	case SL_HANDOVER_FROM:
		return "fromKubeProxy";
	case SL_HANDOVER_BACK:
		return "toKubeProxy";
	default:
		return "none";
	}
}

struct handover {
	uv_timer_t timer;
	struct config *config;
	void (*changed)(void *context);
	void *context;
};

static void on_timer(uv_timer_t *timer)
{
	struct handover *handover = timer->data;
	char found[128];

	if (takeover_find_kube_proxy(found) != 0 || handover_find_connection() != 0)
		return;
	log_info("handover: kube-proxy's rules and its last connection are gone");
	uv_timer_stop(timer);
	handover->config->handover = SL_HANDOVER_NONE;
	handover->changed(handover->context);
}

int handover_new(uv_loop_t *loop, struct config *config, void (*changed)(void *context),
		 void *context, struct handover **ret)
{
	struct handover *handover = calloc(1, sizeof(*handover));

	if (!handover)
		return -ENOMEM;
	handover->config = config;
	handover->changed = changed;
	handover->context = context;
	handover->timer.data = handover;
	uv_timer_init(loop, &handover->timer);
	if (config->handover == SL_HANDOVER_FROM)
		uv_timer_start(&handover->timer, on_timer, CHECK_MS, CHECK_MS);
	*ret = handover;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void handover_free(struct handover *handover)
{
	if (handover)
		uv_close((uv_handle_t *)&handover->timer, on_closed);
}
